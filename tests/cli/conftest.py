"""A database with some runs in it, and commands as a user types them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stent.cli.entry import commands

APP = "tests.cli.shop"

Cli = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def cli(database: Path) -> Cli:
    """`cli("ls", "--json")`: the command on the test's database, in this process."""

    def run(*args: str, **extra: Any) -> Result:
        return CliRunner().invoke(commands, ["--db", str(database), *args], prog_name="stent", **extra)

    return run


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a completed, a failed, a waiting and an unbegun run."""
    path = tmp_path_factory.mktemp("cli") / "recorded.db"

    def run(*args: str) -> Result:
        return CliRunner().invoke(commands, ["--db", str(path), "run", *args], prog_name="stent")

    assert 0 == run(f"{APP}:order", "[1]", "--id", "done-1").exit_code
    assert 1 == run(f"{APP}:failing", "--id", "failed-1").exit_code
    assert 6 == run(f"{APP}:approval", "--id", "waiting-1", "--timeout", "300ms").exit_code
    assert 0 == run(f"{APP}:double", "[4]", "--id", "unbegun-1", "--detach").exit_code
    return path


@pytest.fixture
def shop(cli: Cli, database: Path, recorded: Path) -> Cli:
    """`cli` on a copy of the recorded database."""
    shutil.copy(recorded, database)
    return cli


def data(result: Result) -> Any:
    """What a command with --json said."""
    assert 0 == result.exit_code, result.output
    return json.loads(result.stdout)

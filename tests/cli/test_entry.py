"""The group of commands: help without imports, did-you-mean, and a clean way out of everything."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stent.cli import entry
from stent.cli.entry import COMMANDS, commands
from stent.errors import OptionError
from tests.cli.conftest import Cli

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_there_and_its_help_says_what_the_list_says(name: str) -> None:
    command = getattr(importlib.import_module(COMMANDS[name][0]), name)
    assert isinstance(command, click.Command)
    assert name == command.name
    result = CliRunner().invoke(commands, [name, "--help"], prog_name="stent")
    assert 0 == result.exit_code
    assert f"Usage: stent {name}" in result.stdout


@pytest.mark.parametrize("name", ["ls", "show", "history", "why", "replay", "db"])
def test_every_reading_command_has_json(name: str) -> None:
    assert "--json" in CliRunner().invoke(commands, [name, "--help"]).stdout


def test_an_unknown_command_names_the_one_that_was_meant() -> None:
    result = CliRunner().invoke(commands, ["histroy"])
    assert 2 == result.exit_code
    assert "Did you mean 'history'?" in result.stderr


def test_the_version_is_told_also_by_a_checkout() -> None:
    result = CliRunner().invoke(commands, ["--version"])
    assert (0, "stent ") == (result.exit_code, result.stdout[:6])


def test_without_a_command_it_shows_its_help() -> None:
    result = CliRunner().invoke(commands, [])
    assert 2 == result.exit_code
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OptionError("no", fix="yes"), 2, "OptionError [STN004] no\n  fix: yes\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.UsageError("no"), 2, "Error: no\n"),
    ],
)
def test_each_way_out_is_a_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    @click.command()
    def ls() -> None:
        raise error

    monkeypatch.setattr(entry.Commands, "get_command", lambda *_: ls)
    result = CliRunner().invoke(commands, ["ls"])
    assert (code, True) == (result.exit_code, result.stderr.endswith(said))
    assert "Traceback" not in result.output


def test_a_database_is_named_by_option_or_variable(shop: Cli, database: Path) -> None:
    runner = CliRunner(env={"STENT_DATABASE_URL": f"sqlite:///{database}"})
    assert 0 == runner.invoke(commands, ["ls"]).exit_code
    result = CliRunner(env={"STENT_DATABASE_URL": ""}).invoke(commands, ["ls"])
    assert 2 == result.exit_code
    assert "stent --db app.db" in result.stderr


def test_a_database_may_be_named_behind_the_command_too(shop: Cli, database: Path) -> None:
    for args in (["ls", "--db", str(database)], ["--db", "nonsense.db", "ls", "--db", str(database)]):
        assert 0 == CliRunner().invoke(commands, args).exit_code


def test_looking_into_a_database_that_is_not_there_does_not_make_one(cli: Cli, database: Path) -> None:
    result = cli("ls")
    assert (4, False) == (result.exit_code, database.exists())
    assert "there is no database" in result.stderr


def test_a_file_that_is_no_database_is_code_four(cli: Cli, database: Path) -> None:
    database.write_text("this is a letter, and by no means a database" * 100)
    result = cli("ls")
    assert (4, True) == (result.exit_code, "STN301" in result.stderr)


# -- in a process of its own -------------------------------------------------------------------------------------------


def stent(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, env=environment, text=True, capture_output=True, check=False, timeout=60
    )


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["--help", "--version", "histroy"])
def test_what_concerns_no_run_imports_no_engine(asked: str) -> None:
    """Help, the version and a mistyped command: click and the errors are all that they need."""
    show = (
        "import atexit, sys, stent.cli; atexit.register(lambda: print('', *sys.modules, sep='\\n')); stent.cli.main()"
    )
    loaded = set(stent("-c", show, asked).stdout.splitlines())
    assert "stent.cli.entry" in loaded
    assert set() == loaded & {"sqlalchemy", "alembic", "pydantic", "pydantic_core", "rich", "structlog", "asyncio"}
    parts = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("stent.")}
    assert {"stent.cli", "stent.errors"} == parts


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [["history", "done-1"], ["show", "done-1"], ["ls"], ["ls", "--json"], ["--help"], ["ls", "--help"]],
    ids=str,
)
def test_a_reader_that_goes_away_is_no_error(asked: list[str], recorded: Path) -> None:
    """Whoever prints: click, rich, or we."""
    command = [sys.executable, "-m", "stent", "--db", str(recorded), *asked]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    finally:
        os.close(writing)
    assert (141, "") == (done.returncode, done.stderr)


@pytest.mark.slow
def test_python_m_stent_is_the_same_command_and_its_hash_seed_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "seedapp.py").write_text(
        "import os\n"
        "from stent import Stent\n\n"
        "@Stent.durable\n"
        "async def seed() -> str:\n"
        "    return os.environ.get('PYTHONHASHSEED', 'random')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONHASHSEED", None)
    done = subprocess.run(
        [sys.executable, "-m", "stent", "--db", "seed.db", "run", "seedapp:seed"],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (0, '"0"\n') == (done.returncode, done.stdout), done.stderr

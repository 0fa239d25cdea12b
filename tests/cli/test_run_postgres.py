"""The command on PostgreSQL: the same as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from stent.cli.entry import commands
from tests.cli.conftest import APP, data
from tests.postgres.server import fresh_database


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_database() as url:
        yield url


def stent(url: str, *args: str) -> Result:
    return CliRunner().invoke(commands, ["--db", url, *args], prog_name="stent")


@pytest.mark.slow
def test_a_run_is_started_followed_shown_explained_and_replayed(url: str) -> None:
    assert {"both": [2, 4], "last": [4]} == data(stent(url, "run", f"{APP}:order", "[1, 2]", "--id", "done-1"))
    assert 6 == stent(url, "run", f"{APP}:approval", "--id", "waiting-1", "--timeout", "500ms").exit_code
    assert ["waiting-1", "done-1"] == [row["run_id"] for row in data(stent(url, "ls", "--json"))]
    assert "2 × double" in stent(url, "show", "done").stdout
    assert "It has listened for the signal 'approve'" in stent(url, "why", "@last").stdout
    assert 0 == stent(url, "signal", "waiting-1", "approve", '"bob"').exit_code
    assert 0 == stent(url, "worker", APP, "--until-idle").exit_code
    assert "completed" == data(stent(url, "show", "waiting-1", "--json"))["state"]
    assert "2 histories: 2 fit\n" == stent(url, "replay", "--all", "--app", APP).stdout


def test_a_server_that_is_not_there_is_code_four() -> None:
    result = stent("postgresql://nobody@127.0.0.1:1/nothing", "ls")
    assert (4, True) == (result.exit_code, "STN301" in result.stderr)

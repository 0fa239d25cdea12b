"""`stent doctor`: stalled runs in groups, with the reason told once."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli import shop as app
from tests.cli.conftest import APP, Cli


def test_nothing_stalled_is_code_zero(shop: Cli) -> None:
    result = shop("doctor")
    assert (0, "nothing stalled\n") == (result.exit_code, result.stdout)


def test_runs_stalled_by_one_change_are_told_of_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in ("r1", "r2"):
        assert 6 == cli("run", f"{APP}:patched", '["a", true]', "--id", run, "--timeout", "300ms").exit_code
    monkeypatch.setattr(app, "is_changed", True)
    for run in ("r1", "r2"):
        cli("signal", run, "approve", "1")
    assert 5 == cli("run", f"{APP}:patched", '["a", true]', "--id", "r1").exit_code
    assert 5 == cli("run", f"{APP}:patched", '["a", true]', "--id", "r2").exit_code

    result = cli("doctor")
    assert 5 == result.exit_code
    assert "2 stalled runs of patched() at tests/cli/shop.py:" in result.stdout
    assert 1 == result.stdout.count("[STN101]")
    assert result.stdout.endswith("2 stalled, 1 reason\n")
    (group,) = json.loads(cli("doctor", "--json").stdout)
    assert (2, ["r1", "r2"]) == (group["count"], sorted(group["runs"]))


def test_a_run_that_is_stalled_because_its_rows_are_damaged_does_not_hide_the_others(shop: Cli, database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE stent_events SET payload = 7 WHERE run_id = 'waiting-1' AND seq = 1")
        connection.execute("UPDATE stent_runs SET status = 'stalled', stall = 'damaged' WHERE run_id = 'waiting-1'")
        connection.execute("UPDATE stent_runs SET status = 'stalled', stall = 'other' WHERE run_id = 'unbegun-1'")
    (first, second) = json.loads(shop("doctor", "--json").stdout)
    assert {("damaged", "waiting-1"), ("other", "unbegun-1")} == {
        (group["reason"], *group["runs"]) for group in (first, second)
    }


def test_a_run_whose_own_row_is_damaged_is_told_of_beside_the_others(shop: Cli, database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE stent_runs SET status = 'stalled', stall = 'other' WHERE run_id = 'unbegun-1'")
        connection.execute("UPDATE stent_runs SET status = 'stalled', tags = '{' WHERE run_id = 'waiting-1'")
    groups = {group["runs"][0]: group["reason"] for group in json.loads(shop("doctor", "--json").stdout)}
    assert {"unbegun-1", "waiting-1"} == set(groups)
    assert "run waiting-1: its row in stent_runs is damaged, column 'tags'" in groups["waiting-1"]
    assert "stent_runs is damaged, column 'tags'" in shop("why", "waiting-1").stderr
    assert "waiting-1" in shop("ls").stdout

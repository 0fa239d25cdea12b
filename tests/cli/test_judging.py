"""Judging histories in chunks, here or in other processes, gives the same answers in the same order."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from stent.cli.apps import load
from stent.cli.entry import Settings
from stent.cli.judging import judges, shapes, verdicts
from stent.errors import StentError
from stent.history.sql.sqlite import SQLiteStore
from stent.history.store import Store
from tests.cli.conftest import APP, Cli
from tests.cli.copies import copy_run

COPIES = [f"copy-{number}" for number in range(7)]


@pytest.fixture
def store(shop: Cli, database: Path) -> Iterator[SQLiteStore]:
    """A recorded database with some copies of one run."""
    load([APP])
    copy_run(database, "done-1", COPIES)
    opened = SQLiteStore(database)
    yield opened
    opened.close()


def test_copies_of_one_run_have_its_shape(store: SQLiteStore) -> None:
    found = shapes(store, ["done-1", *COPIES, "failed-1"])
    assert (1, 2) == (len(set(found[:-1])), len(set(found)))


def test_a_run_that_is_not_there_has_no_shape(store: SQLiteStore) -> None:
    assert [None] == shapes(store, ["nobody"])


def test_damage_hides_no_others(store: SQLiteStore, database: Path) -> None:
    """What has no shape is replayed, and that says what is wrong, run by run."""
    connection = sqlite3.connect(database)
    connection.execute("UPDATE stent_events SET code = 'x' WHERE run_id = 'copy-3' AND seq = 2")
    connection.commit()
    connection.close()
    assert [None] * len(COPIES) == shapes(store, COPIES)
    found = verdicts(store, COPIES)
    assert ["unreadable" if run_id == "copy-3" else "fits" for run_id in COPIES] == [each.finding for each in found]


@pytest.mark.slow
def test_other_processes_find_the_same(store: SQLiteStore, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    run_ids = ["done-1", *COPIES, "failed-1", "waiting-1", "unbegun-1"]
    with judges(store, Settings(str(database)), [APP], 2) as those:
        assert [[each] for each in shapes(store, run_ids)] == list(those.each(shapes, run_ids, 1))
        found = [verdict for chunk in those.each(verdicts, run_ids, 2) for verdict in chunk]
    assert verdicts(store, run_ids) == found
    assert run_ids == [verdict.run_id for verdict in found]


@pytest.mark.slow
def test_a_process_that_does_not_know_the_function_says_so(store: SQLiteStore, database: Path) -> None:
    with judges(store, Settings(str(database)), [], 2) as those:
        ((verdict,),) = those.each(verdicts, ["done-1"], 1)
    assert ("unknown", "UnregisteredFunctionError") == (verdict.finding, type(verdict.error).__name__)
    assert "tests.cli.shop:order" in str(verdict.error)


@pytest.mark.slow
def test_a_process_that_is_killed_is_an_error_and_no_hang(store: SQLiteStore, database: Path) -> None:
    with (
        pytest.raises(StentError, match="a process that replays histories has ended"),
        judges(store, Settings(str(database)), [APP], 2) as those,
    ):
        list(those.each(kill, ["done-1"], 1))


def kill(_store: Store, _run_ids: Sequence[str]) -> list[None]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []

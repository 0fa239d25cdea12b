"""One damaged cell, anywhere in the tables: what reads it says that it is damaged, and nothing else."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies as st

from stent.clock import ManualClock
from stent.codec import TypeRegistry, decode, decode_exception
from stent.errors import CorruptHistoryError, CorruptPayloadError, StentError, StoreUnavailableError
from stent.history import wire
from stent.history.events import RunCompleted, RunFailed
from stent.history.fold import fold
from stent.history.operations import Capabilities
from stent.history.records import RunFilter
from stent.history.sql.schema import metadata
from stent.history.sql.sqlite import SQLiteStore
from stent.history.store import Store
from stent.testing.conformance.rigging import Rig, call, cancel, completed, part, payload, scheduled, signal

RUNS = ("a", "b", "c", "d")
COLUMNS = [
    (table.name, column.name)
    for table in metadata.sorted_tables
    for column in table.columns
    if table.name not in ("stent_meta", "stent_limits")
]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A database with something in every table, and in every column somewhere something."""
    path = tmp_path / "whole.db"
    rig = Rig(SQLiteStore(path, durability="relaxed", clock=ManualClock(1_000)), ManualClock(1_000))
    rig.store.initialise()
    for run_id in ("a", "b"):
        rig.hold(run_id, tags=("t",), queue="q")
    shared = (call("a", 1, tags=("t",)), part("a", 2, (0, 4)))
    rig.append("a", scheduled(1), scheduled(2), scheduled(3), shared=shared)
    rig.append("b", signal("b", "x").event, completed(), status="completed")
    rig.start("c", arguments=payload(f'["{"x" * 5_000}"]'), limit_key="slow", parent_run="a", parent_call=3)
    rig.start("d", due_us=5_000)
    for message in (signal("a", "k"), cancel("a")):
        rig.put(message)
    rig.store.close()
    return path


def damage(path: Path, table: str, column: str, value: Any) -> None:
    """Write a value into a cell of every row, whatever the table says of it."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))


def questions(store: Store) -> Iterator[Callable[[], object]]:
    """All that is asked of a store, and what is made of the answers."""
    for run_id in RUNS:
        yield lambda run_id=run_id: store.get_run(run_id)
        yield lambda run_id=run_id: fold(wire.decode_history(store.read_rows(run_id)))
        yield lambda run_id=run_id: store.read_outlines([run_id])
        yield lambda run_id=run_id: _outcome(store, run_id)
        yield lambda run_id=run_id: [fold(wire.decode_history(run.rows)) for run in store.load_runs([run_id])]
        yield lambda run_id=run_id: wire.decode(row) if (row := store.last_row(run_id)) is not None else None
    yield lambda: store.list_runs(RunFilter())
    yield lambda: store.list_runs(RunFilter(tags=("t",)))
    yield lambda: [wire.decode(row) for row in store.ended_among(RUNS)]
    yield lambda: store.read_inbox("w1")
    yield lambda: store.stalled_runs(10)
    yield lambda: store.possessions("w1")
    yield lambda: store.cancelled_calls("w1")
    yield lambda: store.list_workers()
    yield lambda: store.queue_depth()
    yield lambda: _is_due(store)


def _outcome(store: Store, run_id: str) -> object:
    row = store.terminal_row(run_id)
    event = wire.decode(row) if row is not None else None
    match event:
        case RunCompleted(result=result):
            return decode(result, TypeRegistry())
        case RunFailed(error=error):
            return decode_exception(error, TypeRegistry())
    return event


def _is_due(store: Store) -> bool:
    due_us = store.glance("w1", Capabilities(frozenset({"shop.order"}))).next_due_us
    return due_us is not None and due_us <= store.now_us()


def asked(store: Store) -> list[StentError]:
    """The damage that is reported. Whatever else is raised fails the test."""
    found = []
    for question in questions(store):
        try:
            question()
        except StentError as error:
            found.append(error)
    return found


@pytest.fixture
def store(whole: Path) -> Iterator[Store]:
    store = SQLiteStore(whole, durability="relaxed", clock=ManualClock(1_000))
    yield store
    store.close()


def test_what_is_whole_is_read(store: Store) -> None:
    assert [] == asked(store)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.binary(max_size=8),
    st.sampled_from(["{", "[]", "{}", "null", '"x"', "[1]", '[["a","b"]]', "[[1]]", '{"call":"x"}', "[" * 5_000]),
)


def asked_of_damaged(whole: Path, table: str, column: str, value: Any) -> list[StentError]:
    """What a copy reports after one column of it was damaged."""
    with tempfile.TemporaryDirectory(dir=whole.parent) as folder:
        path = Path(folder) / "stent.db"
        shutil.copyfile(whole, path)
        with contextlib.suppress(sqlite3.IntegrityError):  # NULL where it may not be: the database has refused it
            damage(path, table, column, value)
        store = SQLiteStore(path, durability="relaxed", clock=ManualClock(1_000))
        try:
            return asked(store)
        finally:
            store.close()


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=600)
@given(place=st.sampled_from(COLUMNS), value=VALUES)
def test_damage_is_reported_as_damage_or_does_no_harm(whole: Path, place: tuple[str, str], value: Any) -> None:
    """Where SQLite itself reads a cell, as it does the tags, the damage is what it says of it."""
    for error in asked_of_damaged(whole, *place, value):
        assert isinstance(error, CorruptHistoryError | CorruptPayloadError | StoreUnavailableError)


@pytest.mark.slow
@pytest.mark.parametrize("value", [b"", "text"])
def test_every_column_may_be_damaged(whole: Path, value: Any) -> None:
    """No other error than ours comes of it; a column of numbers that holds something else is always noticed."""
    unnoticed = set()
    for table, column in COLUMNS:
        is_number = isinstance(metadata.tables[table].columns[column].type, sa.Integer)
        if not asked_of_damaged(whole, table, column, value) and is_number:
            unnoticed.add(f"{table}.{column}")
    refused = {"stent_inbox.n"}  # SQLite takes nothing else for it
    for_the_database_alone = {"stent_inbox.put_at_us"}
    assert refused | for_the_database_alone == unnoticed


@pytest.mark.parametrize("value", [7, "text", 1.5, None])
def test_a_payload_that_is_none_is_named_by_run_and_seq(whole: Path, store: Store, value: Any) -> None:
    damage(whole, "stent_events", "payload", value)
    with pytest.raises(CorruptHistoryError) as caught:
        store.read_rows("b")
    assert ("b", 1) == (caught.value.run_id, caught.value.seq)
    assert "run b, seq 1: " in caught.value.message


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("stent_runs", "tags", "{", "run a: its row in stent_runs is damaged, column 'tags' cannot hold a value of"),
        ("stent_runs", "tags", "[1]", "its row in stent_runs is damaged, column 'tags' cannot hold"),
        ("stent_runs", "status", "lost", "its row in stent_runs is damaged, column 'status' cannot hold"),
        ("stent_runs", "created_at_us", "x", "its row in stent_runs is damaged, column 'created_at_us' cannot hold"),
        ("stent_ready", "items", "[[1]]", "run a: its row in stent_ready is damaged, column 'items' cannot hold"),
        ("stent_events", "hash", 3, "run a, seq 1: its event is damaged, column 'hash' cannot hold a"),
        ("stent_inbox", "payload", "secret", "run a: message 'k' is damaged, column 'payload' cannot hold a"),
    ],
)  # fmt: skip
def test_the_place_of_the_damage_is_named(
    whole: Path, store: Store, table: str, column: str, value: Any, said: str
) -> None:
    damage(whole, table, column, value)
    with pytest.raises(CorruptHistoryError) as caught:
        store.load_runs(["a"])
    assert said in caught.value.message
    assert column == caught.value.column
    assert "secret" not in str(caught.value)

"""The SQLite store: how it opens, what it refuses, how processes get along, and that hot statements use an index."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from stent.clock import ManualClock
from stent.errors import OptionError, SchemaVersionError, StoreUnavailableError
from stent.history.operations import (
    Append,
    Capabilities,
    ClaimCalls,
    ClaimRuns,
    FinishCall,
    Operation,
    ReapWorkers,
    Release,
    StartRun,
)
from stent.history.records import RunFilter
from stent.history.sql.schema import SCHEMA_VERSION, metadata
from stent.history.sql.sqlite import SQLiteStore
from stent.history.sql.sqlite_writes import Writes
from stent.testing.conformance.rigging import ALL, FUNCTIONS, Rig, call, new_run, part, scheduled, signal
from tests.history.sql.forking import refusals_after_a_fork


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stent.db"


@pytest.fixture
def store(path: Path, clock: ManualClock) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path, durability="relaxed", clock=clock)
    store.initialise()
    yield store
    store.close()


@pytest.fixture
def rig(store: SQLiteStore, clock: ManualClock) -> Rig:
    return Rig(store, clock)


def pragma(store: SQLiteStore, name: str) -> list[object]:
    """What the writing connection and a reading one say."""
    store.get_run("a")
    assert store._writer is not None
    with store._engine.connect() as reader:
        return [
            store._writer.execute(f"PRAGMA {name}").fetchone()[0],
            reader.exec_driver_sql(f"PRAGMA {name}").scalar(),
        ]


# -- opening ---------------------------------------------------------------------------------------------------------


def test_a_power_cut_loses_nothing_unless_one_chose_so(tmp_path: Path) -> None:
    safe, relaxed = SQLiteStore(tmp_path / "a.db"), SQLiteStore(tmp_path / "b.db", durability="relaxed")
    for store in (safe, relaxed):
        store.initialise()
    full, normal = 2, 1
    assert [full, full] == pragma(safe, "synchronous")
    assert [normal, normal] == pragma(relaxed, "synchronous")
    for store in (safe, relaxed):
        store.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("busy_timeout", 10_000),
        ("journal_size_limit", 64 * 1024 * 1024),
        ("cell_size_check", 1),
        ("trusted_schema", 0),
        ("mmap_size", 0),
    ],
)
def test_every_connection_is_set_up_alike(store: SQLiteStore, name: str, value: object) -> None:
    assert [value, value] == pragma(store, name)


def test_opening_again_changes_nothing(path: Path, rig: Rig) -> None:
    rig.start("a")
    rig.store.initialise()
    other = SQLiteStore(path)
    other.initialise()
    assert rig.run("a") == other.get_run("a")
    other.close()


def test_the_tables_are_the_ones_of_the_schema(path: Path, store: SQLiteStore) -> None:
    with sqlite3.connect(path) as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'stent_%'")}
        version = connection.execute("SELECT version_num FROM stent_schema_version").fetchone()[0]
    connection.close()
    expected = {table.name for table in metadata.sorted_tables}
    expected |= {str(index.name) for table in metadata.sorted_tables for index in table.indexes}
    assert (expected, SCHEMA_VERSION) == (found, version)


def test_url_and_path_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"sqlite:///{tmp_path / 'x.db'}" == SQLiteStore("x.db").url


def test_every_write_begins_by_locking(store: SQLiteStore) -> None:
    """A transaction that begins by reading and then wants to write fails under contention, whatever the timeout."""
    store.initialise()
    assert store._writer is not None
    said: list[str] = []
    store._writer.set_trace_callback(said.append)
    store.commit([StartRun(new_run("a"))])
    store.initialise()
    store._writer.set_trace_callback(None)
    assert {"BEGIN IMMEDIATE"} == {text for text in said if text.startswith("BEGIN")}
    assert 1 == said.count("BEGIN IMMEDIATE"), "where the tables are of today, opening again writes nothing"


def test_reading_writes_nothing(path: Path, rig: Rig) -> None:
    rig.hold("a")
    before = [connection_dump(path), rig.store.read_rows("a")]
    for ask in questions(rig.store):
        ask()
    assert before == [connection_dump(path), rig.store.read_rows("a")]


def connection_dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_a_question_of_several_statements_sees_one_state(
    rig: Rig, store: SQLiteStore, path: Path, clock: ManualClock
) -> None:
    """Else a call could be neither shared any more nor answered yet, and would be carried out again."""
    rig.hold("a")
    rig.share("a", call("a", 1))
    (claimed,) = rig.claim_calls()
    other = Rig(SQLiteStore(path, durability="relaxed", clock=clock), clock)

    @event.listens_for(store._engine, "before_cursor_execute")
    def interrupt(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        """After the messages were read, and before what is shared."""
        if "FROM stent_ready" in sql:
            other.finish(claimed.call, message=signal("a", "k"))

    (loaded,) = store.load_runs(["a"])
    event.remove(store._engine, "before_cursor_execute", interrupt)
    assert (1, 0) == (len(loaded.shared), len(loaded.inbox))
    (loaded,) = store.load_runs(["a"])
    assert (0, 1) == (len(loaded.shared), len(loaded.inbox))
    other.store.close()


def test_looking_at_the_tables_makes_no_file(path: Path) -> None:
    store = SQLiteStore(path)
    assert None is store.schema_state().version
    store.close()
    assert [] == list(path.parent.iterdir())


def test_looking_at_the_tables_leaves_the_file_of_another_program_as_it_is(path: Path) -> None:
    """Preparing a connection would make it a file with a write-ahead log, for good."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (name TEXT)")
    connection.close()
    before = path.read_bytes()
    store = SQLiteStore(path)
    assert None is store.schema_state().version
    store.close()
    assert before == path.read_bytes()


# -- refusing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ":memory:"])
def test_what_would_not_survive_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="survives nothing") as caught:
        SQLiteStore(name)
    assert "stent.testing" in caught.value.fix


def test_an_unknown_durability_is_refused(path: Path) -> None:
    with pytest.raises(OptionError, match="'maybe'"):
        SQLiteStore(path, durability="maybe")  # type: ignore[arg-type]


def refused(path: Path) -> StoreUnavailableError:
    """The error of opening and writing, which is also the error of reading."""
    store = SQLiteStore(path)
    with pytest.raises(StoreUnavailableError) as reading:
        store.get_run("a")
    with pytest.raises(StoreUnavailableError) as caught:
        store.initialise()
    store.close()
    assert str(path) in str(caught.value)
    assert (caught.value.fix, caught.value.is_transient) == (reading.value.fix, reading.value.is_transient)
    return caught.value


def test_a_missing_folder(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere" / "stent.db")
    assert "check that the folder exists and that this user may write into it" == error.fix
    assert not error.is_transient


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert "folder" in refused(tmp_path).fix


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"This is a letter, not a database. " * 200)
    error = refused(path)
    assert "this file is no SQLite database: give another name, or restore it from a backup" == error.fix


def test_a_damaged_database(path: Path, store: SQLiteStore) -> None:
    store.commit([StartRun(new_run(f"run-{number}")) for number in range(300)])
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    path.write_bytes(data)
    error = refused(path)
    assert ("the file is damaged: restore it from a backup", False) == (error.fix, error.is_transient)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written(path: Path, store: SQLiteStore) -> None:
    store.close()
    path.chmod(stat.S_IRUSR)
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert "write" in refused(path).fix
    finally:
        path.parent.chmod(stat.S_IRWXU)


def test_a_database_that_may_only_be_read(path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """For root, who may write any file: SQLite itself is told to refuse."""
    prepare = SQLiteStore._prepare

    def read_only(self: SQLiteStore, connection: Any, record: Any) -> None:
        prepare(self, connection, record)
        connection.execute("PRAGMA query_only = ON")

    monkeypatch.setattr(SQLiteStore, "_prepare", read_only)
    other = SQLiteStore(path)
    with pytest.raises(StoreUnavailableError) as caught:
        other.commit([StartRun(new_run("a"))])
    assert "check that this user may write to the file and its folder" == caught.value.fix
    other.close()


@pytest.mark.parametrize(
    ("version", "fix"),
    [("9999", "upgrade Stent here"), ("0", "not ones of Stent"), ("x", "not ones of Stent")],
)
def test_a_database_of_another_version(path: Path, store: SQLiteStore, version: str, fix: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE stent_schema_version SET version_num = ?", (version,))
    connection.close()
    other = SQLiteStore(path)
    with pytest.raises(SchemaVersionError, match=f"works with {SCHEMA_VERSION}") as caught:
        other.initialise()
    assert fix in caught.value.fix
    other.close()


def test_a_file_that_cannot_be_used_is_not_kept_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remembered(*given: Any, **more: Any) -> sqlite3.Connection:
        opened.append(connect(*given, **more))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    path.write_bytes(b"no database " * 100)
    store = SQLiteStore(path)
    with pytest.raises(StoreUnavailableError):
        store.initialise()
    store.close()
    assert opened
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_file_that_somebody_keeps_locked(path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stent.history.sql.sqlite.BUSY_TIMEOUT_MS", 1)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    other = SQLiteStore(path)
    with pytest.raises(StoreUnavailableError) as caught:
        other.commit([StartRun(new_run("a"))])
    assert (True, "another program keeps the file locked: find and stop it") == (
        *(caught.value.is_transient, caught.value.fix),
    )
    blocker.execute("ROLLBACK")
    blocker.close()
    assert other.commit([StartRun(new_run("a"))])
    other.close()


def test_a_failed_commit_leaves_the_store_usable(rig: Rig) -> None:
    broken = new_run("b", function=None)  # type: ignore[arg-type]  # what no table takes
    with pytest.raises(StoreUnavailableError):
        rig.store.commit([StartRun(new_run("a")), StartRun(broken)])
    assert None is rig.store.get_run("a")
    assert rig.start("a")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # forking is what this test is about
def test_a_store_does_not_survive_a_fork(rig: Rig) -> None:
    """SQLite connections carried over a fork destroy databases."""
    rig.start("a")
    assert ["open a store after the fork (gunicorn: post_fork)"] * 3 == refusals_after_a_fork(rig)
    assert rig.start("b"), "the parent goes on"


# -- several processes -----------------------------------------------------------------------------------------------

WRITER = """
    import sys
    from stent.clock import SystemClock
    from stent.history.sql.sqlite import SQLiteStore
    from stent.testing.conformance.rigging import Rig, scheduled

    path, name = sys.argv[1:]
    store = SQLiteStore(path, durability="relaxed")
    store.initialise()
    rig = Rig(store, SystemClock())
    rig.hold(name, name)
    for number in range(1, 101):
        rig.append(name, scheduled(number))
        rig.start(f"{name}-{number}")
        assert store.get_run("main") is not None
    store.close()
"""


@pytest.mark.slow
def test_processes_that_write_at_once_wait_for_each_other(path: Path, rig: Rig) -> None:
    rig.start("main")
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    writers = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in ("x", "y")]
    said = [writer.communicate(timeout=60)[1] for writer in writers]
    assert ["", ""] == said
    assert [list(range(1, 102))] * 2 == [rig.seqs("x"), rig.seqs("y")]
    assert 203 == rig.store.count_unfinished()


def test_a_commit_of_another_connection_is_noticed_by_asking_the_file_first(path: Path, clock: ManualClock) -> None:
    one, two = SQLiteStore(path, durability="relaxed"), SQLiteStore(path, durability="relaxed")
    for store in (one, two):
        store.initialise()
    one.changed()
    two.commit([StartRun(new_run("a"))])
    assert one.changed()
    assert not one.changed()
    two.commit([StartRun(new_run("b"))])
    assert one.changed(), "also right after the last look, within one tick of the file's clock"
    for store in (one, two):
        store.close()


def test_a_commit_within_one_tick_of_the_files_clock_is_noticed(
    path: Path, store: SQLiteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A young file may change once more and keep its time and its size."""
    two = SQLiteStore(path, durability="relaxed", clock=clock)
    stamp = (clock.now_us() * 1_000, 4_096)
    monkeypatch.setattr(store, "_stamp", lambda: stamp)
    store.changed()
    two.commit([StartRun(new_run("a"))])
    assert store.changed()
    two.close()


def test_nothing_is_asked_while_the_file_stands_still(
    path: Path, store: SQLiteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.advance(10**15)  # the last write is long ago
    store.changed()
    assert store._writer is not None
    said: list[str] = []
    store._writer.set_trace_callback(said.append)
    assert not any(store.changed() for _ in range(5))
    assert [] == said
    store._writer.set_trace_callback(None)


# -- plans -----------------------------------------------------------------------------------------------------------


class Recorder:
    """A cursor that keeps what was executed."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self.said: list[tuple[str, Sequence[Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        self.said.append((sql, tuple(parameters)))
        return self._cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> Any:
        rows = list(parameters)
        self.said += [(sql, tuple(row)) for row in rows[:1]]
        return self._cursor.executemany(sql, rows)


def questions(store: Any) -> list[Any]:
    return [
        lambda: store.get_run("a"),
        lambda: store.read_rows("a"),
        lambda: store.read_rows("a", 5, 10),
        lambda: store.read_outlines(["a", "b"]),
        lambda: store.last_row("a"),
        lambda: store.terminal_row("a"),
        lambda: store.ended_among(["a", "b"]),
        lambda: store.load_runs(["a", "b"]),
        lambda: store.read_inbox("w1"),
        lambda: store.stalled_runs(5),
        lambda: store.list_runs(RunFilter()),
        lambda: store.list_runs(RunFilter(before=(5, "a"))),
        lambda: store.list_runs(RunFilter(parent_run="a")),
        lambda: store.find_runs("a", 5),
        lambda: store.count_unfinished(),
        lambda: store.glance("w1", ALL),
        lambda: store.glance("w1", Capabilities(FUNCTIONS, frozenset({"default"}), frozenset({"t"}))),
        lambda: store.has_sleepers(ALL),
    ]


# What may be read whole, and why that is little.
SMALL = {
    "SCAN stent_workers": "a row a process",
    "SCAN stent_ready USING INDEX stent_ready_claimed": "as many rows as all workers have slots",
    "SCAN stent_ready USING INDEX stent_ready_open": "ends at the first row that this worker knows",
    "SCAN stent_runs USING INDEX stent_runs_created": "in order, backwards, until the page is full",
    "SCAN stent_runs USING INDEX stent_runs_unfinished": "a count of just these",
}


def plan(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


def slow_lines(lines: list[str]) -> list[str]:
    """Lines of a plan that read a whole table of ours."""
    scans = [line for line in lines if line.startswith("SCAN stent_")]
    return [line for line in scans if not any(line.startswith(small) for small in SMALL)]


def busy_operations() -> list[Operation]:
    can = Capabilities(FUNCTIONS, frozenset({"default"}), frozenset({"t"}))
    return [
        ClaimRuns("w1", can, 10, 10),
        ClaimRuns("w1", can, 10, 10, ("a",)),
        ClaimCalls("w1", can, 10),
        FinishCall("w1", "a", 1, -1, signal("a", "x")),
        ReapWorkers(("w2",)),
    ]


def filled(rig: Rig) -> None:
    rig.register("w1", slow=2)
    rig.register("w2")
    rig.hold("a")
    rig.start("b", limit_key="slow")
    rig.start("c", due_us=rig.clock.now_us())
    rig.start("d", due_us=rig.clock.now_us() + 5)
    rig.clock.advance(5)
    rig.put(signal("a", "k"))
    rig.share("a", call("a", 1), part("a", 2, (0, 9), limit_key="slow"))


def test_writing_never_reads_a_whole_table(rig: Rig, store: SQLiteStore) -> None:
    filled(rig)
    writer = store._writer
    assert writer is not None
    recorder = Recorder(writer.cursor())
    writes = Writes(recorder)
    rows = rig.rows("a", *(scheduled(number) for number in range(3, 6)))
    append = Append(
        "a", 1, rows, ("k",), (new_run("e"),), (signal("b", "m"),), (), (1,), "running", 5, None, Release(9)
    )
    writer.execute("BEGIN IMMEDIATE")
    for operation in (append, *busy_operations()):
        writes.apply(operation, rig.clock.now_us())
    writer.execute("ROLLBACK")
    assert len(recorder.said) > 25
    slow = {sql: lines for sql, values in recorder.said if (lines := slow_lines(plan(writer, sql, values)))}
    assert {} == slow


def test_claims_are_in_order_without_sorting(rig: Rig, store: SQLiteStore) -> None:
    """A million ready rows must not be sorted to take ten of them."""
    filled(rig)
    writer = store._writer
    assert writer is not None
    recorder = Recorder(writer.cursor())
    writer.execute("BEGIN IMMEDIATE")
    for operation in busy_operations():
        Writes(recorder).apply(operation, rig.clock.now_us())
    writer.execute("ROLLBACK")
    orders = [(sql, values) for sql, values in recorder.said if "ORDER BY priority" in sql]
    assert len(orders) >= 4
    for sql, values in orders:
        lines = plan(writer, sql, values)
        assert [] == [line for line in lines if "TEMP B-TREE" in line], sql
        assert any("stent_ready_open (kind=? AND limit_key=?" in line for line in lines), lines


def test_questions_never_read_a_whole_table(rig: Rig, store: SQLiteStore) -> None:
    filled(rig)
    said: list[tuple[str, Any]] = []

    @event.listens_for(store._engine, "before_cursor_execute")
    def keep(_connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, _many: bool) -> None:
        if sql.startswith(("SELECT", "WITH")):
            said.append((sql, parameters))

    for ask in questions(store):
        ask()
    event.remove(store._engine, "before_cursor_execute", keep)
    assert len(said) > 15
    writer = store._writer
    assert writer is not None
    slow = {sql: lines for sql, values in said if (lines := slow_lines(plan(writer, sql, values)))}
    assert {} == slow

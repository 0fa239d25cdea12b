"""The log of an SQLite file is put back by who holds the lock of a writer, by one of all processes, and stays small."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from stent.clock import ManualClock
from stent.errors import StoreUnavailableError
from stent.history.operations import StartRun
from stent.history.sql.sqlite import SQLiteStore
from stent.history.sql.sqlite_log import COMMITS_A_LOOK, LOG_PAGES, LogKeeper, has_pages, loses_commits
from stent.testing.conformance.rigging import Rig, new_run, payload

AFFECTED = (3, 40, 1)
PAGE_BYTES = 4_096 + 24
SMALL_BYTES = LOG_PAGES * PAGE_BYTES
TEN_PAGES = payload(f'"{"x" * 40_000}"')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stent.db"


@pytest.fixture
def _on_affected_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stent.history.sql.sqlite.sqlite3.sqlite_version_info", AFFECTED)


@pytest.fixture
def store(path: Path, clock: ManualClock, _on_affected_sqlite: None) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path, durability="relaxed", clock=clock)
    store.initialise()
    yield store
    store.close()


@pytest.fixture
def rig(store: SQLiteStore, clock: ManualClock) -> Rig:
    return Rig(store, clock)


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def write(store: SQLiteStore, commits: int, name: str = "run") -> None:
    for number in range(commits):
        store.commit([StartRun(new_run(f"{name}-{number}", arguments=TEN_PAGES))])


def fill(store: SQLiteStore, name: str = "run") -> int:
    """Write until the log is due; how many commits that took."""
    commits = 0
    while not has_pages(f"{store.path}-wal", LOG_PAGES):
        write(store, 1, f"{name}-{commits}")
        commits += 1
    return commits


# -- which versions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 6, 23), False),  # knows no such log
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 44, 7), False),
        ((3, 45, 0), True),
        ((3, 49, 2), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((3, 53, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_which_versions_lose_commits(version: tuple[int, int, int], expected: bool) -> None:
    assert expected == loses_commits(version)


@pytest.mark.parametrize(("version", "expected"), [(AFFECTED, 0), ((3, 51, 3), LOG_PAGES)])
def test_sqlite_puts_its_log_back_by_itself_only_where_that_is_safe(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], expected: int
) -> None:
    """On writing and on reading connections, for a reader closes too."""
    monkeypatch.setattr("stent.history.sql.sqlite.sqlite3.sqlite_version_info", version)
    store = SQLiteStore(path)
    store.initialise()
    assert store._writer is not None
    with store._engine.connect() as reader:
        said = reader.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar()
    assert [expected] * 2 == [store._writer.execute("PRAGMA wal_autocheckpoint").fetchone()[0], said]
    assert (expected == 0) == (store._log is not None)
    store.close()


# -- how large the log is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page_bytes", [512, 4_096, 65_536])
def test_how_many_pages_the_log_has_now(path: Path, page_bytes: int) -> None:
    """As SQLite counts them, at any size of a page, also where older pages still lie behind the new ones."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (f"page_size={page_bytes}", "journal_mode=WAL", "wal_autocheckpoint=0", "synchronous=OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE t (n)")
    for rounds in (9, 3):
        for number in range(rounds):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        _, pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert pages == copied
        assert (True, False) == tuple(has_pages(str(log_of(path)), count) for count in (pages, pages + 1))
    assert log_of(path).stat().st_size > 9 * page_bytes, "the file does not shrink"
    connection.close()


@pytest.mark.parametrize("content", [None, b"", b"\0" * 20, b"\0" * 40])
def test_a_log_that_is_not_there_or_was_just_begun_is_small(path: Path, content: bytes | None) -> None:
    if content is not None:
        log_of(path).write_bytes(content)
    assert not has_pages(str(log_of(path)), 1)


def test_the_file_is_looked_at_only_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("stent.history.sql.sqlite_log.has_pages", lambda _path, pages: looks.append(pages) or True)
    keeper = LogKeeper(path, lambda: sqlite3.connect(path))
    due = [keeper.is_due() for _ in range(2 * COMMITS_A_LOOK)]
    assert [LOG_PAGES] * 2 == looks
    assert [0, COMMITS_A_LOOK] == [number for number, is_due in enumerate(due) if is_due], "at the first too"


# -- putting it back -------------------------------------------------------------------------------------------------


def test_nobody_can_commit_while_the_log_is_put_back(rig: Rig, store: SQLiteStore, path: Path) -> None:
    """This is what the bug needs: that a writer starts the log anew under the one that copies it."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    seen: list[str] = []

    def try_to_write(statement: str) -> None:
        if "wal_checkpoint" in statement:
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                seen.append("free")
            except sqlite3.OperationalError as error:
                seen.append(str(error))

    assert store._log is not None
    store._log._copier = store._open()
    store._log._copier.set_trace_callback(try_to_write)
    fill(store)
    write(store, COMMITS_A_LOOK, "more")
    assert ["database is locked"] == seen
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()


def test_the_log_is_started_anew_after_it(store: SQLiteStore, path: Path) -> None:
    commits = fill(store)
    for number in range(5):
        write(store, commits, f"more-{number}")
    assert log_of(path).stat().st_size < SMALL_BYTES + 2 * COMMITS_A_LOOK * 16 * PAGE_BYTES
    assert 6 * commits == store.count_unfinished()


def test_a_reader_that_stays_loses_nothing_and_the_log_is_small_again_when_it_has_gone(
    store: SQLiteStore, path: Path
) -> None:
    write(store, 1, "before")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    count = "SELECT count(*) FROM stent_runs"
    assert (1,) == reader.execute(count).fetchone()
    commits = fill(store) + fill(store, "again")
    write(store, COMMITS_A_LOOK, "more")
    assert (1,) == reader.execute(count).fetchone()
    reader.execute("COMMIT")
    write(store, COMMITS_A_LOOK + 1, "after")
    assert not has_pages(str(log_of(path)), LOG_PAGES)
    assert (2 + 2 * COMMITS_A_LOOK + commits,) == reader.execute(count).fetchone()
    reader.close()


def test_a_process_that_makes_one_commit_looks_after_the_log_too(store: SQLiteStore, path: Path) -> None:
    """The command `stent` opens a store for a moment, while others keep it open and write nothing."""
    fill(store)
    for name in ("one", "two"):
        moment = SQLiteStore(path, durability="relaxed")
        write(moment, 1, name)
        moment.close()
    assert not has_pages(str(log_of(path)), LOG_PAGES)


def test_the_last_one_to_close_leaves_one_file_behind(store: SQLiteStore, path: Path) -> None:
    fill(store)
    write(store, COMMITS_A_LOOK, "more")
    store.close()
    assert [path.name] == sorted(found.name for found in path.parent.iterdir())


def test_a_log_that_cannot_be_put_back_stops_no_commit_for_good(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of a commit: nothing was written, the same may be tried again, and then it succeeds."""
    fill(store)
    assert store._log is not None
    store._log._commits_to_look = 1

    def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(store._log, "put_back", full)
        with pytest.raises(StoreUnavailableError, match="full"):
            write(store, 1, "tried")
    write(store, 1, "tried")
    assert store.get_run("tried-0") is not None


# -- several processes -----------------------------------------------------------------------------------------------

WRITER = """
    import sqlite3, sys, time

    sqlite3.sqlite_version_info = (3, 40, 1)
    from stent.history.sql.sqlite import SQLiteStore
    from tests.history.sql.test_sqlite_log import write

    path, name, commits = sys.argv[1:]
    store = SQLiteStore(path, durability="relaxed")
    store.initialise()
"""
WRITES = """
    write(store, int(commits), name)
    store.close()
"""
STOPS_WHILE_IT_COPIES = """
    store._log._copier = store._open()

    def stop(statement):
        print("copying", flush=True)
        time.sleep(60)

    store._log._copier.set_trace_callback(stop)
    write(store, int(commits), name)
"""


def process(path: Path, name: str, commits: int, script: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WRITER) + textwrap.dedent(script), str(path), name, str(commits)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_processes_that_write_at_once_keep_the_log_small_and_lose_nothing(path: Path, store: SQLiteStore) -> None:
    commits = 300  # of ten pages and more: without anybody who puts the log back it would be nine times as large
    writers = [process(path, name, commits, WRITES) for name in ("x", "y", "z")]
    said = [writer.communicate(timeout=60)[1] for writer in writers]
    assert ["", "", ""] == said
    assert 3 * commits == store.count_unfinished()
    assert log_of(path).stat().st_size < 2 * SMALL_BYTES
    with store._engine.connect() as reader:
        assert "ok" == reader.exec_driver_sql("PRAGMA integrity_check").scalar()


@pytest.mark.slow
def test_one_that_is_killed_while_it_copies_is_followed_by_another(path: Path, store: SQLiteStore) -> None:
    commits = fill(store)
    copying = process(path, "killed", COMMITS_A_LOOK, STOPS_WHILE_IT_COPIES)
    assert copying.stdout is not None
    assert "copying\n" == copying.stdout.readline()
    copying.send_signal(signal.SIGKILL)
    copying.communicate(timeout=60)
    assert -signal.SIGKILL == copying.returncode
    write(store, COMMITS_A_LOOK + 1, "follower")
    assert not has_pages(str(log_of(path)), LOG_PAGES)
    assert commits + COMMITS_A_LOOK + 1 == store.count_unfinished()

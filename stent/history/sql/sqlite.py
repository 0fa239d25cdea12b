"""The store on one SQLite file, for any number of processes of one machine.

Rules of this file:
- one writing connection a process, used by one thread at a time; every transaction is BEGIN IMMEDIATE;
- readers have connections of their own, hold them shortly, and never write;
- WAL; where SQLite cannot look after it, `sqlite_log` does;
- `synchronous=FULL` unless the caller chose "relaxed" (then the last commits may be lost when the operating system
  dies, never when only the process does);
- the clock is the machine's: all processes on one file are on one machine.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event

from stent.clock import Clock, SystemClock
from stent.errors import OptionError, StoreUnavailableError
from stent.history.operations import Appended, Operation, Outcome, StartRun
from stent.history.records import SchemaState
from stent.history.sql import sqlite_appends
from stent.history.sql.reads import Reads
from stent.history.sql.schema import metadata
from stent.history.sql.sqlite_log import LOG_PAGES, LogKeeper, loses_commits
from stent.history.sql.sqlite_writes import Writes
from stent.history.sql.versions import (
    READ_VERSION,
    VERSION_TABLES,
    Found,
    check,
    is_current,
    look,
    must_check,
    state_of,
    statements_for,
)
from stent.history.wire import EventRow

Durability = Literal["fsync", "relaxed"]

BUSY_TIMEOUT_MS = 10_000  # SQLite's waiters are not served in order: with 5 s and 8 writers the worst wait was 1.04 s
BUSY_RETRIES = 6  # after this many waits of BUSY_TIMEOUT_MS somebody holds the file for good
JOURNAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024
CLOCK_GRAIN_NS = 20_000_000  # file times on Linux move in ticks of up to 10 ms: two writes can share one
_TRANSIENT_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_CONNECT: dict[str, Any] = {"check_same_thread": False, "isolation_level": None, "timeout": BUSY_TIMEOUT_MS / 1000}
_SYNCHRONOUS: dict[Durability, str] = {"fsync": "FULL", "relaxed": "NORMAL"}


class SQLiteStore(Reads):
    """A store on the SQLite file at `path` (":memory:" is refused: it would not survive anything)."""

    def __init__(self, path: str | os.PathLike[str], *, durability: Durability = "fsync", clock: Clock | None = None):
        if durability not in _SYNCHRONOUS:
            raise OptionError(f"durability={durability!r}", fix='use "fsync" (the default) or "relaxed"')
        if str(path) in ("", ":memory:"):
            raise OptionError(
                "an SQLite database in memory survives nothing",
                fix="give a file name; for tests use stent.testing",
            )
        self.path = Path(path).absolute()
        self.url = f"sqlite:///{self.path}"
        self._durability = durability
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._log = LogKeeper(self.path, self._open) if loses_commits(sqlite3.sqlite_version_info) else None
        """None: SQLite puts its log back by itself."""
        self._process_id = os.getpid()
        self._file_stamp: tuple[int, ...] = ()
        self._file_is_settled = False
        self._data_version = -1
        super().__init__(self._make_engine())
        self._single = self._engine.execution_options(is_single=True)

    # -- opening ---------------------------------------------------------------------------------------------------

    def _make_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)),
            connect_args=_CONNECT,
            pool_size=4,
            max_overflow=16,
            poolclass=sa.pool.QueuePool,
        )
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "begin", self._begin_reading)
        event.listen(engine, "handle_error", self._translate)
        return engine

    def _begin_reading(self, connection: sa.Connection) -> None:
        """The driver begins nothing by itself, and two statements of a question must not see two states."""
        self._check_process()
        if not connection.get_execution_options().get("is_single"):
            connection.exec_driver_sql("BEGIN")

    def _translate(self, context: Any) -> None:
        raise _translated(context.original_exception, self.path) from context.original_exception

    def _prepare(self, connection: Any, _record: Any) -> None:
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            f"wal_autocheckpoint={LOG_PAGES if self._log is None else 0}",
            f"synchronous={_SYNCHRONOUS[self._durability]}",
            f"journal_size_limit={JOURNAL_SIZE_LIMIT_BYTES}",
            "cell_size_check=ON",
            "trusted_schema=OFF",
            "mmap_size=0",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def initialise(self) -> None:
        """Create the tables, or bring them to this version."""
        with self._lock, self._errors():
            writer = self._connect()
            if is_current(_found(writer)):
                return  # without waiting for a writer: it may be the caller, who is in a transaction
            writer.execute("BEGIN IMMEDIATE")
            try:
                for statement in statements_for(_found(writer), "sqlite", str(self.path), _ddl):
                    writer.execute(statement).fetchall()  # some return a row, and must have ended before the commit
                writer.execute("COMMIT")
            except BaseException:  # border: whatever went wrong, the transaction must not stay open
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise

    def schema_state(self) -> SchemaState:
        """Where the tables stand, and what `initialise` would do. Changes nothing: it may be another program's file."""
        with self._errors():
            found = _look_into(self.path) if self.path.exists() else Found(None)
        return state_of(found, "sqlite", str(self.path), _ddl)

    def _check_process(self) -> None:
        if self._process_id != os.getpid():
            raise StoreUnavailableError(
                "this store was opened in another process and came here by fork",
                fix="open a store after the fork (gunicorn: post_fork)",
            )

    def _connect(self) -> sqlite3.Connection:
        self._check_process()
        if self._writer is None:
            self._writer = self._open()
        return self._writer

    def _open(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(self.path, **_CONNECT)
        try:
            self._prepare(connection, None)
        except BaseException:  # border: whatever went wrong, the connection must not stay open
            connection.close()
            raise
        return connection

    def close(self) -> None:
        with self._lock:
            if self._process_id == os.getpid():
                if self._log is not None:
                    self._log.close()
                if self._writer is not None:
                    self._writer.close()
                self._engine.dispose()
            self._writer = None

    # -- writing ---------------------------------------------------------------------------------------------------

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        with self._lock, self._errors():
            writer = self._connect()
            cursor = writer.cursor()
            if self._log is not None and self._log.is_due():
                _put_back(self._log, cursor)
            if _is_written_at_once(cursor, operations):
                return [Appended()] * len(operations)
            _begin(cursor)
            try:
                if must_check(operations):
                    check(cursor.execute(READ_VERSION).fetchall(), str(self.path))
                outcomes = Writes(cursor).apply_all(operations, self._clock.now_us())
                cursor.execute("COMMIT")
            except BaseException:  # border: whatever went wrong, the transaction must not stay open
                if writer.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            return outcomes

    async def start_within(self, connection: object, operation: StartRun) -> EventRow | None:
        """Start a run in the caller's own transaction."""
        from stent.history.sql import borrowed, sqlite_borrowed

        now_us = self._clock.now_us()
        return await borrowed.with_borrowed(
            connection, lambda lent: sqlite_borrowed.start_within(lent, self.path, operation, now_us)
        )

    def now_us(self) -> int:
        return self._clock.now_us()

    # -- noticing others -------------------------------------------------------------------------------------------

    def changed(self) -> bool:
        """Look at the file's time and size first (no statement); ask SQLite only when they moved."""
        self._check_process()
        stamp = self._stamp()
        if stamp == self._file_stamp and self._file_is_settled:
            return False
        if not self._lock.acquire(blocking=False):
            return False  # this process is writing: ask again at the next look
        try:
            if self._writer is None:
                return False
            version = self._writer.execute("PRAGMA data_version").fetchone()[0]
        finally:
            self._lock.release()
        self._file_is_settled = self._clock.now_us() * 1000 - max(stamp[0::2], default=0) > CLOCK_GRAIN_NS
        self._file_stamp = stamp
        is_changed: bool = version != self._data_version
        self._data_version = version
        return is_changed

    def _stamp(self) -> tuple[int, ...]:
        stamp: list[int] = []
        for name in (f"{self.path}-wal", str(self.path)):
            with contextlib.suppress(OSError):
                found = os.stat(name)
                stamp += (found.st_mtime_ns, found.st_size)
        return tuple(stamp)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Driver errors as ours, saying what to do."""
        try:
            yield
        except (sqlite3.Error, sa.exc.DBAPIError) as error:
            raise _translated(error, self.path) from error


def _look_into(path: Path) -> Found:
    """By a connection that is not prepared, for that would change how the file is kept."""
    with contextlib.closing(sqlite3.connect(path, **_CONNECT)) as connection:
        return _found(connection)


def _found(connection: sqlite3.Connection) -> Found:
    known = ", ".join("?" * len(VERSION_TABLES))
    asked = f"SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ({known})"
    tables = [name for (name,) in connection.execute(asked, VERSION_TABLES)]
    return look(tables, lambda sql: connection.execute(sql).fetchall())


def _is_written_at_once(cursor: sqlite3.Cursor, operations: Sequence[Operation]) -> bool:
    """Write a batch of plain appends, what nearly all batches are, as a transaction of one statement.

    False, and nothing is written, if the batch is of another kind, if one of its appends is refused, or if others kept
    the file locked for long: all that is for a transaction of more statements.
    """
    if not sqlite_appends.are_one_statement(operations):
        return False
    try:
        return sqlite_appends.write(cursor, operations)
    except sqlite3.OperationalError as error:
        if _is_busy(error):
            return False
        raise


def _put_back(log: LogKeeper, cursor: sqlite3.Cursor) -> None:
    """Before a transaction, not in it: what that adds could not be copied, and the log would never be all copied."""
    _begin(cursor)
    try:
        log.put_back()
    finally:
        cursor.execute("ROLLBACK")


def _begin(cursor: sqlite3.Cursor) -> None:
    for attempt in range(BUSY_RETRIES):
        try:
            cursor.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or attempt == BUSY_RETRIES - 1:
                raise


def _is_busy(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _translated(error: Exception, path: Path) -> StoreUnavailableError:
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    fix = {
        sqlite3.SQLITE_CANTOPEN: "check that the folder exists and that this user may write into it",
        sqlite3.SQLITE_READONLY: "check that this user may write to the file and its folder",
        sqlite3.SQLITE_NOTADB: "this file is no SQLite database: give another name, or restore it from a backup",
        sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a backup",
        sqlite3.SQLITE_FULL: "free space on the disk; nothing was lost, the work goes on by itself",
        sqlite3.SQLITE_BUSY: "another program keeps the file locked: find and stop it",
        sqlite3.SQLITE_IOERR: "the disk reports an error: look at the system's log",
    }.get(code, "")
    return StoreUnavailableError(
        f"{path}: {original}", fix=fix, path=str(path), sqlite_code=code, is_transient=code in _TRANSIENT_CODES
    )


def _ddl() -> list[str]:
    from sqlalchemy.dialects import sqlite
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = sqlite.dialect()
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements.extend(str(CreateIndex(index).compile(dialect=dialect)) for index in sorted(table.indexes, key=str))
    return statements

"""Runs that begin in a transaction of the caller's own, on SQLite. The rules are those of `borrowed`."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from stent.history.operations import Started, StartRun
from stent.history.sql.borrowed import AUTOCOMMIT_FIX, BEGIN_FIX, READ_ONLY_FIX, Borrowed, refused
from stent.history.sql.cursor import Cursor
from stent.history.sql.sqlite_log import loses_commits
from stent.history.sql.sqlite_runs import first_row, start_run
from stent.history.wire import EventRow

_LEGACY = -1  # sqlite3.LEGACY_TRANSACTION_CONTROL, which Python 3.11 does not know


class _CoreCursor:
    """A connection of SQLAlchemy, used as the statements of the store use a cursor of the driver."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._result: sa.CursorResult[Any] | None = None

    @property
    def rowcount(self) -> int:
        assert self._result is not None, "something was executed"
        return self._result.rowcount

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> None:
        self._result = self._connection.exec_driver_sql(sql, tuple(parameters))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        self._result = self._connection.exec_driver_sql(sql, [tuple(values) for values in parameters])

    def fetchone(self) -> Any:
        assert self._result is not None, "something was executed"
        return self._result.fetchone()

    def fetchall(self) -> list[Any]:
        assert self._result is not None, "something was executed"
        return list(self._result.fetchall())


def start_within(connection: Borrowed, path: Path, operation: StartRun, now_us: int) -> EventRow | None:
    """Start a run of the database at `path`; None, or the first event of the run that has this id already."""
    with _explained():
        cursor = _cursor(connection)
        _check(connection, cursor, path)
        started = start_run(cursor, operation, now_us)
        assert isinstance(started, Started), "the outcome of a start"
        return None if started.created else first_row(cursor, operation.run.run_id)


def _cursor(connection: Borrowed) -> Cursor:
    if isinstance(connection, sqlite3.Connection):
        cursor = connection.cursor()
        cursor.row_factory = None  # rows as tuples, whatever the caller likes
        return cursor
    if connection.dialect.name != "sqlite":
        raise refused(f"it leads to {connection.dialect.name}, and Stent's tables are in SQLite", BEGIN_FIX)
    return _CoreCursor(connection)


def _check(connection: Borrowed, cursor: Cursor, path: Path) -> None:
    cursor.execute("PRAGMA database_list")  # the first statement: SQLAlchemy begins, if nobody has
    found = next((file for _, name, file in cursor.fetchall() if name == "main"), "")
    if not (found and os.path.samefile(found, path)):
        raise refused(
            f"it is open on {found or 'a database in memory'}, and Stent's tables are in {path}",
            "use one database file for both",
        )
    if _commits_by_itself(_driver_of(connection)):
        raise refused("every statement on it is committed by itself (autocommit)", AUTOCOMMIT_FIX)
    if loses_commits(sqlite3.sqlite_version_info):
        cursor.execute("PRAGMA wal_autocheckpoint = 0")  # at its commit it would copy the log: see `sqlite_log`


def _driver_of(connection: Borrowed) -> Any:
    return connection.connection.driver_connection if isinstance(connection, sa.Connection) else connection


def _commits_by_itself(driver: Any) -> bool:
    """Whether an INSERT would be a transaction of its own: none is open, and the driver will not begin one."""
    if driver.in_transaction:
        return False
    mode = getattr(driver, "autocommit", _LEGACY)
    return mode is True or (mode == _LEGACY and driver.isolation_level is None)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Errors that mean that the connection is the wrong one, as ours."""
    try:
        yield
    except (sqlite3.Error, sa.exc.DBAPIError) as error:
        original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if (getattr(original, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_READONLY:
            raise refused("it may only read", READ_ONLY_FIX) from error
        if isinstance(error, sqlite3.ProgrammingError):  # closed, or of another thread
            raise refused(f"it cannot be used: {error}", BEGIN_FIX) from error
        raise

"""Runs that begin in a transaction of the caller's own, on PostgreSQL. The rules are those of `borrowed`.

The caller's driver may be any that SQLAlchemy knows, so that the statements of the store go through SQLAlchemy here.
Whether it is the right database is asked of the server, for one database has many addresses: when the server process
began, which database of it this is, and which table is found under the name.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa

from stent.errors import StoreUnavailableError
from stent.history.operations import Started, StartRun
from stent.history.sql.borrowed import AUTOCOMMIT_FIX, BEGIN_FIX, READ_ONLY_FIX, Borrowed, refused, with_borrowed
from stent.history.sql.postgres_detours import first_events, first_of_runs
from stent.history.sql.postgres_news import CHANNEL
from stent.history.sql.postgres_starts import start_runs
from stent.history.sql.postgres_talk import DATABASE_TIME, NOW, Send, Statement, converse
from stent.history.sql.rows import Row
from stent.history.wire import EventRow

_HOME = (
    "extract(epoch FROM pg_postmaster_start_time())::text, "
    "(SELECT oid::bigint FROM pg_database WHERE datname = current_database()), to_regclass('stent_runs')::oid::bigint"
)
_READ_HOME = f"SELECT {_HOME}"
_READ_STATE = Statement(
    "SELECT extract(epoch FROM transaction_timestamp())::text, "
    f"pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, {_HOME}"
)
_NOTIFY = Statement(f"SELECT pg_notify('{CHANNEL}', '')")  # travels with the caller's commit, and not without it

_FAILED_TRANSACTION, _READ_ONLY, _NO_RIGHTS = "25P02", "25006", "42501"


class Home(NamedTuple):
    """Where tables are: equal for two connections if and only if they see the same ones."""

    server_began: str
    database: int
    runs_table: int | None


class Guests:
    """Those who write through connections of their own to the tables that `engine` leads to."""

    def __init__(self, engine: sa.Engine, url: str) -> None:
        self._engine = engine
        self._url = url
        self._home: Home | None = None

    async def start_within(self, connection: object, operation: StartRun) -> EventRow | None:
        """See `stent.history.store.Guest`."""
        home = await with_borrowed(connection, checked)
        if home != self._home:  # not asked yet, or another server has taken over
            self._home = await asyncio.to_thread(self._ask_home)
        if home != self._home:
            raise refused(
                f"it does not see the tables of Stent in {self._url}",
                "connect both to the same database, with the same search_path",
            )
        return await with_borrowed(connection, lambda lent: start(lent, operation))

    def _ask_home(self) -> Home:
        with self._engine.connect() as connection:
            return Home(*connection.exec_driver_sql(_READ_HOME).one())


def checked(connection: Borrowed) -> Home:
    """Where a connection leads to, once it is known that it is in a transaction and may write."""
    if not isinstance(connection, sa.Connection) or connection.dialect.name != "postgresql":
        found = connection.dialect.name if isinstance(connection, sa.Connection) else "SQLite"
        raise refused(f"it leads to {found}, and Stent's tables are in PostgreSQL", BEGIN_FIX)
    with _explained():
        first, second = _sender(connection)([_READ_STATE, _READ_STATE])
    ((_, is_read_only, *home),) = first
    if first != second:  # each statement has a transaction of its own, with a time of its own
        raise refused("every statement on it is committed by itself (autocommit)", AUTOCOMMIT_FIX)
    if is_read_only:
        raise refused("it may only read: a standby, or a transaction that is READ ONLY", READ_ONLY_FIX)
    return Home(*home)


def start(connection: Borrowed, operation: StartRun) -> EventRow | None:
    """Start a run through a connection that was checked; None, or the first event of the run that has this id."""
    assert isinstance(connection, sa.Connection), "checked"
    send = _sender(connection)
    with _explained():
        ((started,),) = converse([start_runs([operation])], send)
        assert isinstance(started, Started), "the outcome of a start"
        if started.created:
            send([_NOTIFY])
            return None
        (firsts,) = send([first_events([operation.run.run_id])])
        return first_of_runs(firsts)[operation.run.run_id]


def _sender(connection: sa.Connection) -> Send:
    def ask(statement: Statement) -> list[Row]:
        values = {f"p{place}": value for place, value in enumerate(statement.values)}
        return [tuple(row) for row in connection.execute(_text(statement.sql), values)]

    return lambda statements: [ask(statement) for statement in statements]


@cache
def _text(sql: str) -> sa.TextClause:
    """A statement of the store for any driver: its placeholders by name.

    Their values are texts, whatever a driver concludes from the cast that follows.
    """
    places = itertools.count()
    return sa.text(re.sub("%s", lambda _: f"(:p{next(places)})::text", sql.replace(NOW, DATABASE_TIME)))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Errors that mean that the connection is the wrong one, as ours."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
        if code == _FAILED_TRANSACTION:
            raise refused("its transaction has failed", "roll it back and begin another one") from error
        if code == _READ_ONLY:
            raise refused("it may only read", READ_ONLY_FIX) from error
        if code == _NO_RIGHTS:
            raise StoreUnavailableError(
                f"the user of this connection may not write to the tables of Stent: {error.orig}",
                fix="grant it SELECT and INSERT on them: docs/postgresql.md has the statements",
                sqlstate=code,
                is_transient=False,
            ) from error
        raise

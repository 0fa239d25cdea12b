"""A connection that is the caller's: what is written through it is committed, or not, by whoever began.

Rules of this file and of `postgres_borrowed` and `sqlite_borrowed`:
- nothing here commits, rolls back or closes; what SQLAlchemy or the driver begins by itself, the caller ends;
- a connection that cannot keep the promise (closed, autocommit, read-only, another database) is refused before anything
  is written through it;
- what is written is written by the statements of the store itself;
- an error of the database is raised as the driver raised it, for the transaction and how to try it again are the
  caller's; only where the connection was the wrong one, the error is ours and says what to do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

from stent.errors import OptionError

T = TypeVar("T")

Borrowed: TypeAlias = sa.Connection | sqlite3.Connection

BEGIN_FIX = "begin a transaction and pass its connection: async with engine.begin() as connection: ..."
AUTOCOMMIT_FIX = "pass a connection that is in a transaction: engine.begin(), or a Session, without AUTOCOMMIT"
READ_ONLY_FIX = "pass a connection that may write"


async def with_borrowed(given: object, use: Callable[[Borrowed], T]) -> T:
    """Call `use` with the connection behind a connection or session of SQLAlchemy, synchronous or not.

    A synchronous one blocks the event loop for as long as the database takes: it may only be used by its own thread.
    """
    if isinstance(given, orm.scoped_session | async_scoped_session):
        given = given()
    try:
        if isinstance(given, AsyncConnection):
            return await given.run_sync(lambda connection: use(_open(connection)))
        if isinstance(given, AsyncSession):
            return await given.run_sync(lambda session: use(_open(session.connection())))
        if isinstance(given, orm.Session):
            return use(_open(given.connection()))
        if isinstance(given, sa.Connection):
            return use(_open(given))
        if isinstance(given, sqlite3.Connection):
            return use(given)
    except sa.exc.DBAPIError:
        raise
    except sa.exc.SQLAlchemyError as error:  # closed, or a transaction that was rolled back
        raise refused(f"the connection cannot be used: {error}", BEGIN_FIX) from error
    raise refused(f"{type(given).__name__} is no connection or session of SQLAlchemy", BEGIN_FIX)


def refused(message: str, fix: str) -> OptionError:
    """The caller has passed the wrong connection."""
    return OptionError(f"connection=: {message}", fix=fix, option="connection")


def _open(connection: sa.Connection) -> sa.Connection:
    if connection.closed:
        raise refused("the connection is closed", BEGIN_FIX)
    return connection

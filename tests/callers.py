"""Applications with a transaction of their own, one for each way to have one: by driver, connection or session."""

from __future__ import annotations

import contextlib
import inspect
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

CREATE_ORDERS = "CREATE TABLE IF NOT EXISTS orders (id VARCHAR(40))"


class Caller:
    """A connection in a transaction: `given` is what is passed to Stent."""

    def __init__(self, given: Any, is_raw: bool = False) -> None:
        self.given = given
        self._is_raw = is_raw

    async def order(self, name: str) -> None:
        """Write a row of the application's own."""
        await _awaited(self.given.execute(self._sql(f"INSERT INTO orders (id) VALUES ('{name}')")))

    async def execute(self, sql: str) -> None:
        await _awaited(self.given.execute(self._sql(sql)))

    async def commit(self) -> None:
        await _awaited(self.given.commit())

    async def rollback(self) -> None:
        await _awaited(self.given.rollback())

    def _sql(self, sql: str) -> Any:
        return sql if self._is_raw else sa.text(sql)


async def _awaited(value: Any) -> None:
    if inspect.isawaitable(value):
        await value


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[Caller]:
    with contextlib.closing(sqlite3.connect(sa.make_url(url).database or "")) as connection:
        connection.row_factory = lambda cursor, row: {"first": row[0]}  # as applications like it
        yield Caller(connection, is_raw=True)


@asynccontextmanager
async def connection(url: str, **options: Any) -> AsyncIterator[Caller]:
    engine = sa.create_engine(url, poolclass=sa.NullPool, **options)
    with engine.connect() as open_one:
        yield Caller(open_one)


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Caller]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with Session(engine) as open_one:
        yield Caller(open_one)


@asynccontextmanager
async def registry(url: str) -> AsyncIterator[Caller]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    scoped = scoped_session(sessionmaker(engine))
    yield Caller(scoped)
    scoped.remove()


@asynccontextmanager
async def async_connection(url: str, **options: Any) -> AsyncIterator[Caller]:
    engine = create_async_engine(url, poolclass=sa.NullPool, **options)
    async with engine.connect() as open_one:
        yield Caller(open_one)


@asynccontextmanager
async def async_session(url: str) -> AsyncIterator[Caller]:
    engine = create_async_engine(url, poolclass=sa.NullPool)
    async with AsyncSession(engine) as open_one:
        yield Caller(open_one)


Way = tuple[str, Callable[[str], AbstractAsyncContextManager[Caller]]]
"""A driver, as SQLAlchemy names it, and what opens a transaction by it."""

WAYS: dict[str, Way] = {
    "sqlite3": ("sqlite", raw_connection),
    "sqlite connection": ("sqlite", connection),
    "sqlite session": ("sqlite", session),
    "sqlite scoped session": ("sqlite", registry),
    "aiosqlite connection": ("sqlite+aiosqlite", async_connection),
    "aiosqlite session": ("sqlite+aiosqlite", async_session),
    "psycopg connection": ("postgresql+psycopg", connection),
    "psycopg session": ("postgresql+psycopg", session),
    "psycopg async connection": ("postgresql+psycopg", async_connection),
    "psycopg async session": ("postgresql+psycopg", async_session),
    "asyncpg connection": ("postgresql+asyncpg", async_connection),
    "asyncpg session": ("postgresql+asyncpg", async_session),
}

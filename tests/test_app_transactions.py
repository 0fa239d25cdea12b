"""`dispatch(connection=...)`: the run begins if, and only if, the caller's own transaction is committed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from stent import Stent
from stent.backends import PostgresBackend, SQLiteBackend, StoreBackend
from stent.clock import ManualClock
from stent.errors import OptionError, RunConflictError, StoreUnavailableError
from stent.history.memory import MemoryStore
from stent.history.operations import StartRun
from stent.testing.conformance.rigging import new_run
from tests import callers
from tests.callers import CREATE_ORDERS, WAYS, Caller
from tests.postgres.server import emptied_database, fresh_database

PATIENCE_S = 10
LARGE = "x" * 100_000


@Stent.durable
async def ship(order: str) -> str:
    return f"shipped {order}"


@Stent.durable
async def ship_soon(order: str) -> str:
    await Stent.sleep(0.01)
    return await ship(order)


@dataclass(frozen=True)
class Place:
    """A database of Stent, and how applications name it."""

    backend: StoreBackend
    urls: dict[str, str]

    def caller(self, way: str) -> AbstractAsyncContextManager[Caller]:
        driver, opened = WAYS[way]
        return opened(self.urls[driver])


def sqlite_place(folder: Path) -> Place:
    path = folder / "stent.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(CREATE_ORDERS)
    urls = {driver: f"{driver}:///{path}" for driver in ("sqlite", "sqlite+aiosqlite")}
    return Place(SQLiteBackend(path), urls)


def postgres_place() -> Place:
    url = emptied_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CREATE_ORDERS)
        connection.execute("DELETE FROM orders")
    drivers = ("postgresql+psycopg", "postgresql+asyncpg")
    return Place(PostgresBackend(url), {driver: url.replace("postgresql", driver, 1) for driver in drivers})


def place_for(way: str, folder: Path) -> Place:
    return sqlite_place(folder) if "sqlite" in WAYS[way][0] else postgres_place()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sqlite connection", "psycopg connection", "psycopg async connection"])
def one_way(request: pytest.FixtureRequest) -> str:
    """For what does not depend on the driver."""
    return str(request.param)


@contextlib.asynccontextmanager
async def opened(way: str, folder: Path, *, serve: bool = True) -> AsyncIterator[tuple[Stent, Place]]:
    place = place_for(way, folder)
    async with Stent.bootstrap(place.backend, serve=serve) as executor:
        yield executor, place


async def ids_of(executor: Stent) -> list[str]:
    return [info.execution_id for info in await executor.list_executions()]


# -- the promise -------------------------------------------------------------------------------------------------------


async def test_a_run_begins_with_the_commit_and_not_before(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as (executor, place):
        async with place.caller(way) as caller:
            await caller.order("o1")
            run_id = await executor.dispatch(ship_soon, "o1", connection=caller.given)
            await asyncio.sleep(0.1)
            assert [] == await ids_of(executor), "nobody else sees it, the worker here included"
            await caller.commit()
        assert "shipped o1" == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
        assert [run_id] == await ids_of(executor)


async def test_rolled_back_there_was_no_run(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path) as (executor, place):
        async with place.caller(way) as caller:
            await caller.order("o1")
            await executor.dispatch(ship_soon, "o1", id="o1", connection=caller.given)
            await caller.rollback()
            assert [] == await ids_of(executor)
            await executor.dispatch(ship, "o2", id="o1", connection=caller.given)  # the id is free again
            await caller.commit()
        assert "shipped o2" == (await executor.wait_for("o1", expiry=PATIENCE_S)).unwrap()


async def test_the_row_and_the_run_are_there_together(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path, serve=False) as (executor, place):
        async with place.caller(way) as caller:
            await executor.dispatch(ship, LARGE, id="large", connection=caller.given)
            await executor.dispatch(ship, "ö\"'\\ %s :p0 {}", id="odd", tags=["a%", ":b"], connection=caller.given)
            await caller.commit()
        plain = await executor.dispatch(ship, LARGE, id="plain")
        assert {"large", "odd", plain} == set(await ids_of(executor))
        assert 3 == await executor.queue_depth()
        by_caller, by_us = [await executor.history_of(run_id) for run_id in ("large", "plain")]
        assert by_us[0].arguments == by_caller[0].arguments  # type: ignore[union-attr]  # a RunStarted


async def test_its_rows_are_those_of_any_other_run(one_way: str, tmp_path: Path) -> None:
    async with opened(one_way, tmp_path, serve=False) as (executor, place):
        options: dict[str, Any] = {"delay": 60, "tags": ["t"], "priority": 3, "queue": "q", "expiry": "1h"}
        async with place.caller(one_way) as caller:
            await executor.dispatch(ship, "x", id="theirs", connection=caller.given, **options)
            await executor.schedule(5, ship, "x", id="later", connection=caller.given)
            await caller.commit()
        await executor.dispatch(ship, "x", id="ours", **options)
        infos = {info.execution_id: info for info in await executor.list_executions()}
        names = ("function", "state", "role", "queue", "priority", "tags", "started_at", "worker_id")
        theirs, ours = [[getattr(infos[run_id], name) for name in names] for run_id in ("theirs", "ours")]
        assert ours == theirs
        assert 0 == await executor.queue_depth(), "all of them wait for their time"


async def test_a_worker_elsewhere_is_woken_by_the_commit(tmp_path: Path) -> None:
    """Within much less than the interval of polling, by a notification that travels with the commit."""
    async with opened("psycopg connection", tmp_path) as (executor, place):
        for number in range(5):
            async with place.caller("psycopg async connection") as caller:
                run_id = await executor.dispatch(ship, str(number), connection=caller.given)
                await caller.commit()
            await executor.wait_for(run_id, expiry=0.6)


@pytest.mark.parametrize(("is_affected", "pages"), [(True, 0), (False, 1000)])
async def test_where_sqlite_can_lose_commits_the_caller_leaves_the_log_alone(
    is_affected: bool, pages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stent.history.sql.sqlite_borrowed.loses_commits", lambda _version: is_affected)
    async with opened("sqlite3", tmp_path, serve=False) as (executor, _):
        with contextlib.closing(sqlite3.connect(tmp_path / "stent.db")) as connection:
            await executor.dispatch(ship, "x", connection=connection)
            connection.commit()
            assert (pages,) == connection.execute("PRAGMA wal_autocheckpoint").fetchone()


# -- ids ---------------------------------------------------------------------------------------------------------------


async def test_an_id_asked_for_twice_is_one_run(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path, serve=False) as (executor, place):
        await executor.dispatch(ship, "x", id="before")
        async with place.caller(way) as caller:
            await executor.dispatch(ship, "x", id="before", connection=caller.given)
            await executor.dispatch(ship, LARGE, id="now", connection=caller.given)
            await executor.dispatch(ship, LARGE, id="now", connection=caller.given)
            with pytest.raises(RunConflictError, match="before"):
                await executor.dispatch(ship, "another", id="before", connection=caller.given)
            with pytest.raises(RunConflictError, match="now"):
                await executor.dispatch(ship_soon, LARGE, id="now", connection=caller.given)
            await caller.commit()  # a conflict does no harm to what was written before it
        assert {"before", "now"} == set(await ids_of(executor))


async def test_who_comes_second_waits_for_the_first_to_commit(tmp_path: Path) -> None:
    async with opened("psycopg connection", tmp_path, serve=False) as (executor, place):
        for is_committed in (True, False):
            async with place.caller("asyncpg session") as first, place.caller("asyncpg session") as second:
                run_id = f"raced-{is_committed}"
                await executor.dispatch(ship, "x", id=run_id, connection=first.given)
                later = asyncio.create_task(executor.dispatch(ship, "x", id=run_id, connection=second.given))
                await asyncio.sleep(0.1)
                assert not later.done()
                await (first.commit() if is_committed else first.rollback())
                await later
                await second.commit()
        assert {"raced-True", "raced-False"} == set(await ids_of(executor))


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_stricter_transaction_meets_a_race_as_it_meets_any(level: str, tmp_path: Path) -> None:
    """By an error of the driver, after which the application tries again."""
    async with opened("psycopg connection", tmp_path, serve=False) as (executor, place):
        url = place.urls["postgresql+psycopg"]
        async with callers.async_connection(url, isolation_level=level) as caller:
            await executor.dispatch(ship, "x", id="first", connection=caller.given)
            await executor.dispatch(ship, "x", id="raced")
            with pytest.raises(DBAPIError) as caught:
                await executor.dispatch(ship, "x", id="raced", connection=caller.given)
            assert "40001" == caught.value.orig.sqlstate  # type: ignore[union-attr]  # psycopg's
            await caller.rollback()
            for run_id in ("first", "raced"):
                await executor.dispatch(ship, "x", id=run_id, connection=caller.given)
            await caller.commit()
        assert {"first", "raced"} == set(await ids_of(executor))


# -- the wrong connection ----------------------------------------------------------------------------------------------


async def refusal(executor: Stent, given: object) -> OptionError:
    with pytest.raises(OptionError) as caught:
        await executor.dispatch(ship, "x", connection=given)
    assert "connection" == caught.value.option
    assert caught.value.fix
    assert [] == await ids_of(executor)
    return caught.value


async def test_a_closed_connection_is_refused(way: str, tmp_path: Path) -> None:
    async with opened(way, tmp_path, serve=False) as (executor, place):
        async with place.caller(way) as caller:
            await caller.rollback()
        if "session" not in way:  # a session that was closed is like a new one
            await refusal(executor, caller.given)


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg"])
async def test_autocommit_is_refused(driver: str, tmp_path: Path) -> None:
    place = sqlite_place(tmp_path) if "sqlite" in driver else postgres_place()
    open_one = callers.async_connection if "aio" in driver or "asyncpg" in driver else callers.connection
    opening = Stent.bootstrap(place.backend, serve=False)
    async with opening as executor, open_one(place.urls[driver], isolation_level="AUTOCOMMIT") as caller:
        assert "autocommit" in str(await refusal(executor, caller.given))


async def test_a_driver_in_autocommit_is_refused_unless_a_transaction_was_begun(tmp_path: Path) -> None:
    place = sqlite_place(tmp_path)
    async with Stent.bootstrap(place.backend, serve=False) as executor:
        with contextlib.closing(sqlite3.connect(tmp_path / "stent.db", isolation_level=None)) as connection:
            await refusal(executor, connection)
            connection.execute("BEGIN IMMEDIATE")
            await executor.dispatch(ship, "x", id="x", connection=connection)
            connection.execute("COMMIT")
        assert ["x"] == await ids_of(executor)


async def test_a_connection_that_may_only_read_is_refused(tmp_path: Path) -> None:
    async with opened("sqlite3", tmp_path, serve=False) as (executor, place):
        async with callers.raw_connection(place.urls["sqlite"]) as caller:
            await caller.execute("PRAGMA query_only = 1")
            assert "only read" in str(await refusal(executor, caller.given))
        readable = f"file:{tmp_path / 'stent.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(readable, uri=True)) as connection:
            assert "only read" in str(await refusal(executor, connection))
    async with opened("psycopg connection", tmp_path, serve=False) as (executor, place):
        for way in ("psycopg connection", "asyncpg session"):
            async with place.caller(way) as caller:
                await caller.execute("SET TRANSACTION READ ONLY")
                assert "only read" in str(await refusal(executor, caller.given))
                await caller.execute("SELECT 1")  # the caller's transaction can go on


async def test_another_database_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with opened("sqlite3", tmp_path, serve=False) as (executor, _):
        async with sqlite_place(other).caller("aiosqlite session") as caller:
            assert str(other) in str(await refusal(executor, caller.given))
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            assert "in memory" in str(await refusal(executor, connection))
        async with postgres_place().caller("asyncpg session") as caller:
            assert "postgresql" in str(await refusal(executor, caller.given))
    with fresh_database() as url:
        backend = PostgresBackend(url)
        await backend.init_db()
        async with Stent.bootstrap(backend, serve=False) as executor:
            async with postgres_place().caller("psycopg async session") as caller:
                assert "same database" in str(await refusal(executor, caller.given))
            async with sqlite_place(other).caller("sqlite3") as caller:
                assert "SQLite" in str(await refusal(executor, caller.given))


async def test_another_schema_of_the_same_database_is_refused(tmp_path: Path) -> None:
    opening = opened("psycopg connection", tmp_path, serve=False)
    async with opening as (executor, place), place.caller("psycopg session") as caller:
        await caller.execute("SET LOCAL search_path = pg_catalog")
        assert "search_path" in str(await refusal(executor, caller.given))


async def test_a_transaction_that_has_failed_is_refused(tmp_path: Path) -> None:
    async with opened("psycopg connection", tmp_path, serve=False) as (executor, place):
        for way in ("psycopg connection", "asyncpg connection"):
            async with place.caller(way) as caller:
                with pytest.raises(DBAPIError):
                    await caller.execute("SELECT 1 / 0")
                assert "roll it back" in (await refusal(executor, caller.given)).fix


async def test_a_store_in_memory_has_no_part_in_a_transaction() -> None:
    store = MemoryStore(ManualClock())
    with pytest.raises(OptionError, match="in memory") as caught:
        await store.start_within(object(), StartRun(new_run("a")))
    assert "SQLiteBackend" in caught.value.fix


async def test_what_is_no_connection_is_refused(tmp_path: Path) -> None:
    async with opened("sqlite3", tmp_path, serve=False) as (executor, place):
        engine = sa.create_engine(place.urls["sqlite"])
        for given in (engine, "sqlite://", create_async_engine(place.urls["sqlite+aiosqlite"])):
            assert "engine.begin()" in (await refusal(executor, given)).fix
        unstarted = create_async_engine(place.urls["sqlite+aiosqlite"]).connect()
        await refusal(executor, unstarted)


async def test_a_function_keeps_its_own_parameter_of_that_name(tmp_path: Path) -> None:
    @Stent.durable
    async def dial(connection: str) -> str:
        return connection

    async with opened("sqlite3", tmp_path) as (executor, _):
        run_id = await executor.dispatch(dial, connection="by wire")
        assert "by wire" == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


async def test_an_executor_opens_while_the_caller_is_writing(tmp_path: Path) -> None:
    """SQLite has one writer at a time: whoever opened it by writing would wait for the caller, who waits for him."""
    place = sqlite_place(tmp_path)
    await place.backend.init_db()
    executor = Stent(place.backend)
    async with place.caller("sqlite3") as caller:
        await caller.order("o1")
        await asyncio.wait_for(executor.dispatch(ship, "x", id="x", connection=caller.given), 5)
        await caller.commit()
    assert ["x"] == await ids_of(executor)
    await executor.shutdown()


# -- rights ------------------------------------------------------------------------------------------------------------


def granted(rights: str) -> str:
    """The statements of the page on PostgreSQL for one kind of user."""
    page = (Path(__file__).parents[1] / "docs" / "postgresql.md").read_text()
    return page.partition(f"<!-- rights: {rights} -->\n```sql\n")[2].partition("```")[0]


def by_psycopg(url: str) -> str:
    return url.replace("postgresql", "postgresql+psycopg", 1)


def acting_as(role: str, url: str) -> str:
    """The same database, with the rights of a role alone."""
    return f"{url}?options=-c%20role%3D{role}"


@contextlib.contextmanager
def role(url: str, name: str) -> Iterator[str]:
    """A role without rights, called like no other one of the server."""
    full_name = f"stent_test_{os.getpid()}_{name}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {full_name}")
        try:
            yield full_name
        finally:
            connection.execute(f"DROP OWNED BY {full_name}")
            connection.execute(f"DROP ROLE {full_name}")


async def test_a_user_without_rights_is_told_which() -> None:
    url = emptied_database()
    with role(url, "clerk") as clerk:
        opening = Stent.bootstrap(PostgresBackend(url), serve=False)
        async with opening as executor, callers.async_connection(acting_as(clerk, by_psycopg(url))) as caller:
            with pytest.raises(StoreUnavailableError, match="grant"):
                await executor.dispatch(ship, "x", connection=caller.given)


async def test_the_rights_that_the_page_gives_are_enough() -> None:
    with fresh_database() as url, role(url, "worker") as worker, role(url, "application") as application:
        await PostgresBackend(url).init_db()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(granted("worker").replace("TO worker", f"TO {worker}"))
            connection.execute(granted("application").replace("TO application", f"TO {application}"))
        async with Stent.bootstrap(PostgresBackend(acting_as(worker, url)), serve=True) as executor:
            async with callers.async_connection(acting_as(application, by_psycopg(url))) as caller:
                ids = [await executor.dispatch(ship_soon, LARGE, id=f"{n}", connection=caller.given) for n in (1, 2, 2)]
                ids.append(await executor.dispatch(ship, "x", delay=0.05, connection=caller.given))
                await caller.commit()
            for run_id in ids:
                assert (await executor.wait_for(run_id, expiry=PATIENCE_S)).ok
            assert await executor.send_signal(await executor.dispatch(wait_for_word), "word")


@Stent.durable
async def wait_for_word() -> None:
    await Stent.wait_for_signal("word")

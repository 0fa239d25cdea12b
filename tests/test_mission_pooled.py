"""The main promise behind a real PgBouncer in transaction mode: two processes, parallel runs, nothing runs twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from stent import Stent
from stent.backends import PostgresBackend
from tests.postgres import shop
from tests.postgres.pooler import pooled, through
from tests.postgres.server import emptied_database

pytestmark = pytest.mark.slow

FLOWS = (shop.one_by_one, shop.all_at_once, shop.as_a_map)
ITEMS = [f"i{number}" for number in range(30)]
PATIENCE_S = 60


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pooled() as port:
        yield port


@pytest.fixture
def url() -> str:
    return emptied_database()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv(shop.LEDGER_VARIABLE, str(path))
    return path


@pytest.fixture(params=["polling", "listening"])
def backend(request: pytest.FixtureRequest, port: int, url: str) -> PostgresBackend:
    listen_dsn = url if request.param == "listening" else None
    return Stent.backends.PostgresBackend(through(port, url), is_pooled=True, listen_dsn=listen_dsn)


@pytest.fixture
def worker(url: str, port: int, ledger: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works, through the pooler too."""
    command = [sys.executable, "-m", "tests.postgres.shop", through(port, url), "pooled"]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(command, cwd=root, env=dict(os.environ), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


async def test_parallel_runs_of_two_processes(
    backend: PostgresBackend, worker: subprocess.Popen[str], ledger: Path
) -> None:
    async with Stent.bootstrap(backend, serve=True) as executor:
        items = [[f"{number}-{item}" for item in ITEMS] for number in range(len(FLOWS))]
        run_ids = [await executor.dispatch(flow, some) for flow, some in zip(FLOWS, items, strict=True)]
        results = [(await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap() for run_id in run_ids]
        assert worker.poll() is None
    assert [[item.upper() for item in some] for some in items] == results
    assert {1} == {shop.noted(ledger)[f"ended {item}"] for some in items for item in some}


async def test_a_run_dispatched_through_the_pooler_by_the_application(
    backend: PostgresBackend, port: int, url: str, ledger: Path
) -> None:
    """The same database by the pooler's address and by its own: it is known again, and the commit is what counts."""
    async with Stent.bootstrap(backend, serve=True) as executor:
        for number, address in enumerate((through(port, url), url)):
            engine = create_async_engine(
                address.replace("postgresql", "postgresql+psycopg", 1),
                poolclass=sa.NullPool,
                connect_args={"prepare_threshold": None},
            )
            async with engine.begin() as connection:
                kept = await executor.dispatch(shop.one_by_one, [f"kept {number}"], connection=connection)
            async with engine.connect() as connection:
                lost = await executor.dispatch(shop.one_by_one, [f"lost {number}"], connection=connection)
                await connection.rollback()
            result = await executor.wait_for(kept, expiry=PATIENCE_S)
            assert [f"KEPT {number}"] == result.unwrap()
            assert lost not in [info.execution_id for info in await executor.list_executions()]

"""The main promise on PostgreSQL: parallel runs in several processes, one of which is killed; nothing runs twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stent import Stent
from tests.postgres import shop
from tests.postgres.server import emptied_database

pytestmark = pytest.mark.slow

FLOWS = (shop.one_by_one, shop.all_at_once, shop.as_a_map)
ITEMS = [f"i{number}" for number in range(40)]


@pytest.fixture
def url() -> str:
    return emptied_database()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv(shop.LEDGER_VARIABLE, str(path))
    return path


@pytest.fixture
def workers(url: str, ledger: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that work."""
    command = [sys.executable, "-m", "tests.postgres.shop", url]
    root = Path(__file__).resolve().parents[1]
    processes = [
        subprocess.Popen(command, cwd=root, env=dict(os.environ), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


async def test_the_flows_of_the_mission(url: str, ledger: Path) -> None:
    async with Stent.bootstrap(Stent.backends.PostgresBackend(url), serve=True) as executor:
        for flow in FLOWS:
            assert [item.upper() for item in ITEMS] == await flow(ITEMS)
        run_id = await executor.dispatch(shop.all_at_once, ITEMS)
        result = await executor.wait_for(run_id, expiry=30)
        assert [item.upper() for item in ITEMS] == result.unwrap()
    assert {4} == {shop.noted(ledger)[f"ended {item}"] for item in ITEMS}


async def test_two_processes_share_the_work_and_one_is_killed(
    url: str, ledger: Path, workers: list[subprocess.Popen[str]]
) -> None:
    executor = Stent(backend=Stent.backends.PostgresBackend(url))
    items = [[f"{number}-{item}" for item in ITEMS] for number in range(len(FLOWS))]
    run_ids = [await executor.dispatch(flow, some) for flow, some in zip(FLOWS, items, strict=True)]
    await asyncio.to_thread(wait_for_lines, ledger, 60)
    workers[0].send_signal(signal.SIGKILL)
    results = [(await executor.wait_for(run_id, expiry=60)).unwrap() for run_id in run_ids]
    await executor.shutdown()
    assert [[item.upper() for item in some] for some in items] == results
    ended = [shop.noted(ledger)[f"ended {item}"] for some in items for item in some]
    assert min(ended) >= 1
    in_hand = 2 * shop.SLOTS  # of the killed process: being carried out, and carried out but not recorded yet
    assert sum(ended) - len(ended) <= in_hand


def wait_for_lines(ledger: Path, count: int) -> None:
    pause = threading.Event()
    while sum(shop.noted(ledger).values()) < count:
        pause.wait(0.01)

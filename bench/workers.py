"""Several worker processes on one store: how soon another goes on, and whether two do more than one."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.workloads import one_after_another
from stent import Stent

ROOT = Path(__file__).resolve().parent.parent
BEAT_S = 0.02
KILLS = 30
RUNS, CALLS_A_RUN = 20, 50
SETTLE_S = 0.3
PATIENCE_S = 60.0


def _write_line(path: str) -> None:
    with open(path, "a") as ledger:
        ledger.write(f"{time.time()} {os.getpid()}\n")


def _lines_of(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []


@Stent.durable(role="activity")
async def beat(path: str, number: int) -> int:
    """Write down who is at work, and when."""
    _write_line(path)
    await asyncio.sleep(BEAT_S)
    return number


@Stent.durable
async def beats(path: str, count: int) -> int:
    for number in range(count):
        await beat(path, number)
    return count


class Workers:
    """Worker processes on a database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        command = [sys.executable, "-m", "stent", "--db", self._url, "worker", "bench.workers", "--concurrency", "100"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._processes[process.pid] = process

    async def ready(self, executor: Stent) -> None:
        """Wait until all of them take on work."""
        link = await executor._client.link()
        async with asyncio.timeout(PATIENCE_S):
            while not {row.pid for row in await link.read(link.store.list_workers)}.issuperset(self._processes):  # noqa: ASYNC110  # other processes set no event
                await asyncio.sleep(0.02)

    def signal(self, process_id: int, number: signal.Signals) -> None:
        self._processes[process_id].send_signal(number)

    def forget(self, process_id: int) -> None:
        """Wait for the end of one that was told to end."""
        self._processes.pop(process_id).wait(PATIENCE_S)

    def kill_all(self) -> None:
        for process_id in list(self._processes):
            self.signal(process_id, signal.SIGKILL)
            self.forget(process_id)


@asynccontextmanager
async def _workers(backend: Any, count: int) -> AsyncIterator[tuple[Stent, Workers]]:
    executor = Stent(backend=backend)
    await backend.init_db()
    workers = Workers(backend.url)
    try:
        for _ in range(count):
            workers.start()
        await workers.ready(executor)
        yield executor, workers
    finally:
        workers.kill_all()
        await executor.shutdown()


async def recovery(backend: Any, folder: Path, scale: float) -> dict[str, Any]:
    """From the SIGKILL of the worker that has the run to the next body, in another process."""
    return await _gaps(backend, folder, max(3, round(KILLS * scale)), signal.SIGKILL)


async def handover(backend: Any, folder: Path, scale: float) -> dict[str, Any]:
    """From the SIGTERM of the worker that has the run to the next body in another process, as in a rolling deploy."""
    return await _gaps(backend, folder, max(3, round(KILLS * scale)), signal.SIGTERM)


async def _gaps(backend: Any, folder: Path, rounds: int, number: signal.Signals) -> dict[str, Any]:
    ledger = folder / "beats"
    took_s = []
    async with _workers(backend, 2) as (executor, workers):
        run_id = await executor.dispatch(beats, str(ledger), 1_000_000)
        for _ in range(rounds):
            await asyncio.sleep(SETTLE_S)
            _, at_work = await _beat_after(ledger, time.time())
            began_s = time.time()
            workers.signal(at_work, number)
            next_s, _ = await _beat_after(ledger, began_s, other_than=at_work)
            took_s.append(next_s - began_s)
            workers.forget(at_work)
            workers.start()
            await workers.ready(executor)
        await executor.cancel(run_id)
    took_s.sort()
    return {
        "rounds": rounds,
        "p50_s": round(statistics.median(took_s), 3),
        "max_s": round(took_s[-1], 3),
    }


async def _beat_after(ledger: Path, after_s: float, other_than: int | None = None) -> tuple[float, int]:
    """The first beat after a time, by anybody but one process: when, and whose."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for line in _lines_of(ledger)[-200:]:
                at_s, process_id = line.split()
                if float(at_s) > after_s and int(process_id) != other_than:
                    return float(at_s), int(process_id)
            await asyncio.sleep(0.002)


async def two_processes(backend: Any, folder: Path, scale: float) -> dict[str, Any]:
    """20 orchestrators at once: calls a second by one worker process, and by two."""
    calls = max(5, round(CALLS_A_RUN * scale))
    found = {}
    for count in (1, 2):
        async with _workers(backend, count) as (executor, _):
            began_s = time.perf_counter()
            runs = [await executor.dispatch(one_after_another, calls) for _ in range(RUNS)]
            for run_id in runs:
                (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
            found[count] = RUNS * calls / (time.perf_counter() - began_s)
    return {
        "one_process_calls_per_s": round(found[1], 1),
        "two_processes_calls_per_s": round(found[2], 1),
        "ratio": round(found[2] / found[1], 3),
    }

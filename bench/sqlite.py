"""Workloads on one SQLite file with `synchronous=FULL`, one process, bodies that do nothing."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stent import Stent

BASELINE_COMMITS = 3_000
CALLS = 2_000
RUNS, CALLS_A_RUN = 20, 100
CHILDREN = 1_000
ITEMS = 10_000
EMPTY_RUNS = 500
IDLE_S = 5.0
SLOTS = 1_000


@Stent.durable(role="activity")
async def nothing(number: int) -> int:
    return number


@Stent.durable
async def one_after_another(count: int) -> int:
    total = 0
    for number in range(count):
        total += await nothing(number)
    return total


@Stent.durable
async def all_at_once(count: int) -> int:
    return sum(await asyncio.gather(*[nothing(number) for number in range(count)]))


@Stent.durable
async def as_one_batch(count: int) -> int:
    return sum(await Stent.map(nothing, range(count)))


@Stent.durable(role="orchestrator")
async def at_once() -> None:
    return None


def baseline(folder: Path, scale: float) -> dict[str, Any]:
    """How many single-row commits a second this disk takes through plain sqlite3 (WAL, FULL)."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, payload BLOB)")
    count = max(100, round(BASELINE_COMMITS * scale))
    began_s = time.perf_counter()
    for _ in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (payload) VALUES (?)", (b"x" * 100,))
        connection.execute("COMMIT")
    took_s = time.perf_counter() - began_s
    connection.close()
    return {"commits_per_s": round(count / took_s, 1)}


@dataclass
class Counted:
    """Commits and statements of the writing connection since the last `reset`.

    A statement outside a transaction is one of its own, and so a commit; a PRAGMA is none.
    """

    commits: int = 0
    statements: int = 0
    _is_in_transaction: bool = False

    def reset(self) -> None:
        self.commits = self.statements = 0

    def see(self, statement: str) -> None:
        match statement.split(maxsplit=1)[0]:
            case "BEGIN":
                self._is_in_transaction = True
            case "COMMIT":
                self.commits += 1
                self._is_in_transaction = False
            case "INSERT" | "UPDATE" | "DELETE":
                self.statements += 1
                self.commits += not self._is_in_transaction
            case _:
                self.statements += 1


@contextlib.asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[tuple[Stent, Counted]]:
    backend = Stent.backends.SQLiteBackend(folder / "bench.db")
    counted = Counted()
    async with Stent.bootstrap(backend, max_concurrency=SLOTS) as executor:
        threads = backend.open(executor._client)
        threads.store._connect().set_trace_callback(counted.see)  # type: ignore[attr-defined]  # the SQLite store
        await at_once()
        counted.reset()
        yield executor, counted


async def sequential(folder: Path, scale: float) -> dict[str, Any]:
    """One orchestrator, one activity after the other."""
    count = max(50, round(CALLS * scale))
    return await _costs(folder, count, lambda: one_after_another(count))


async def many(folder: Path, scale: float) -> dict[str, Any]:
    """Twenty orchestrators at once, a hundred activities each."""
    calls = max(10, round(CALLS_A_RUN * scale))
    return await _costs(folder, RUNS * calls, lambda: asyncio.gather(*[one_after_another(calls) for _ in range(RUNS)]))


async def gather(folder: Path, scale: float) -> dict[str, Any]:
    """One orchestrator that starts all its activities at once."""
    count = max(50, round(CHILDREN * scale))
    return await _costs(folder, count, lambda: all_at_once(count))


async def mapped(folder: Path, scale: float) -> dict[str, Any]:
    """One map."""
    count = max(100, round(ITEMS * scale))
    return await _costs(folder, count, lambda: as_one_batch(count))


async def _costs(folder: Path, calls: int, work: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """Rate, commits and statements of some work that makes so many calls."""
    async with _serving(folder) as (_, counted):
        began_s = time.perf_counter()
        await work()
        took_s = time.perf_counter() - began_s
        return {
            "calls": calls,
            "seconds": round(took_s, 4),
            "calls_per_s": round(calls / took_s, 1),
            "commits_per_call": round(counted.commits / calls, 4),
            "statements_per_call": round(counted.statements / calls, 4),
        }


async def empty(folder: Path, scale: float) -> dict[str, Any]:
    """An orchestrator that returns at once, from the call to its result."""
    async with _serving(folder) as (_, counted):
        took_ms = []
        for _ in range(max(20, round(EMPTY_RUNS * scale))):
            began_s = time.perf_counter()
            await at_once()
            took_ms.append((time.perf_counter() - began_s) * 1_000)
        took_ms.sort()
        return {
            "p50_ms": round(statistics.median(took_ms), 3),
            "p99_ms": round(took_ms[int(len(took_ms) * 0.99)], 3),
            "commits_per_run": round(counted.commits / len(took_ms), 3),
            "statements_per_run": round(counted.statements / len(took_ms), 3),
        }


async def idle(folder: Path, scale: float) -> dict[str, Any]:
    """A worker with nothing to do. Counts the statements of readers too."""
    import sqlalchemy as sa

    async with _serving(folder) as (executor, counted):
        store = executor.backend.open(executor._client).store
        reads = 0

        def see(*_: Any) -> None:
            nonlocal reads
            reads += 1

        sa.event.listen(store._engine, "before_cursor_execute", see)  # type: ignore[attr-defined]  # an SQL store
        await asyncio.sleep(1.0)
        counted.reset()
        reads = 0
        before, began_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await asyncio.sleep(max(1.0, IDLE_S * scale))
        after, took_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began_s
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {
            "core_share": round(cpu_s / took_s, 5),
            "statements_per_s": round((counted.statements + reads) / took_s, 3),
        }

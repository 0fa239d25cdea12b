"""Workloads on any store: one process, bodies that do nothing.

`Serving` opens an empty store, starts a worker on it, and counts what its writing connection does.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from stent import Stent

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
            case "ROLLBACK":
                self._is_in_transaction = False
            case _:
                self.statements += 1
                is_write = any(word in statement for word in ("INSERT", "UPDATE", "DELETE"))
                self.commits += is_write and not self._is_in_transaction


Serving: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[Stent, Counted]]]


@asynccontextmanager
async def serving(backend: Any, watch: Callable[[Any, Counted], None]) -> AsyncIterator[tuple[Stent, Counted]]:
    """A worker on a backend; `watch` is given its store, once it is open, and what to count in."""
    counted = Counted()
    async with Stent.bootstrap(backend, max_concurrency=SLOTS) as executor:
        watch(backend.open(executor._client).store, counted)
        await at_once()
        counted.reset()
        yield executor, counted


async def sequential(place: Serving, scale: float) -> dict[str, Any]:
    """One orchestrator, one activity after the other."""
    count = max(50, round(CALLS * scale))
    return await _costs(place, count, lambda: one_after_another(count))


async def many(place: Serving, scale: float) -> dict[str, Any]:
    """Twenty orchestrators at once, a hundred activities each."""
    calls = max(10, round(CALLS_A_RUN * scale))
    return await _costs(place, RUNS * calls, lambda: asyncio.gather(*[one_after_another(calls) for _ in range(RUNS)]))


async def gather(place: Serving, scale: float) -> dict[str, Any]:
    """One orchestrator that starts all its activities at once."""
    count = max(50, round(CHILDREN * scale))
    return await _costs(place, count, lambda: all_at_once(count))


async def mapped(place: Serving, scale: float) -> dict[str, Any]:
    """One map."""
    count = max(100, round(ITEMS * scale))
    return await _costs(place, count, lambda: as_one_batch(count))


async def _costs(place: Serving, calls: int, work: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """Rate, commits and statements of some work that makes so many calls."""
    async with place() as (_, counted):
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


async def empty(place: Serving, scale: float) -> dict[str, Any]:
    """An orchestrator that returns at once, from the call to its result."""
    async with place() as (_, counted):
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


async def idle(place: Serving, scale: float) -> dict[str, Any]:
    """A worker with nothing to do. Counts the statements of readers too."""
    import sqlalchemy as sa

    async with place() as (executor, counted):
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

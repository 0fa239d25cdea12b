"""The replay core, without a database but for the last figure: rates by length of history, and sizes."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.workloads import all_at_once, nothing, one_after_another
from stent import Stent
from stent.codec import encode
from stent.history import wire
from stent.history.events import CallCompleted, Event, RunStarted
from stent.history.sql.sqlite import SQLiteStore
from stent.replay.commands import event_of
from stent.replay.execution import Execution
from stent.replay.replayer import replay

LENGTHS = (100, 1_000, 10_000, 100_000)
SUSPENDED = 500
PASSES = 5


@Stent.durable(role="orchestrator")
async def waits() -> None:
    await nothing(1)


def replay_rates(folder: Path, scale: float) -> dict[str, Any]:
    """Calls a second: sequential histories of growing length, one gather, and from the database."""
    found: dict[str, Any] = {}
    for length in LENGTHS:
        count = max(20, round(length * scale))
        history = history_of(one_after_another, count)
        found[f"sequential_{length}_calls_per_s"] = _rate(one_after_another, history, count)
    count = max(20, round(10_000 * scale))
    found["gather_10000_calls_per_s"] = _rate(all_at_once, history_of(all_at_once, count), count)
    found["database_10000_calls_per_s"] = _database_rate(folder, count)
    return found


def _rate(function: Any, history: list[Event], count: int) -> float:
    def whole() -> None:
        assert replay(function.__stent_function__, history).execution.is_done, "the history was complete"

    return round(count / _median_s(whole), 1)


def _median_s(action: Callable[[], object]) -> float:
    """Of PASSES: one takes a tenth of a second, and single ones differ by half on a shared machine."""
    took_s = []
    for _ in range(PASSES):
        gc.collect()
        began_s = time.perf_counter()
        action()
        took_s.append(time.perf_counter() - began_s)
    return statistics.median(took_s)


def _database_rate(folder: Path, count: int) -> float:
    """Read, check the hash chain, decode, replay."""
    asyncio.run(_record(folder, count))
    store = SQLiteStore(folder / "replay.db")
    try:
        (run_id,) = store.find_runs("measured", 1)
        record = one_after_another.__stent_function__
        took_s = _median_s(lambda: replay(record, wire.decode_history(store.read_rows(run_id))))
        return round(count / took_s, 1)
    finally:
        store.close()


async def _record(folder: Path, count: int) -> None:
    backend = Stent.backends.SQLiteBackend(folder / "replay.db", durability="relaxed")
    async with Stent.bootstrap(backend):
        await one_after_another.options(id="measured")(count)


def history_of(function: Any, count: int, run_id: str = "measured") -> list[Event]:
    """The history of a run whose calls complete in the order of their scheduling."""
    record = function.__stent_function__
    arguments = record.encode_arguments((count,), {})
    execution = Execution(record)
    first = RunStarted(1, 0, run_id, record.name, arguments, "orchestrator")
    history: list[Event] = [first]
    waiting: list[Event] = []
    commands = execution.apply(first)
    while True:
        for command in commands:
            event = event_of(command, len(history) + 1, 0)
            history.append(event)
            if hasattr(event, "arguments"):
                waiting.append(event)
        if execution.is_done:
            return history
        scheduled: Any = waiting.pop(0)
        number = scheduled.call - 1
        answer = CallCompleted(len(history) + 1, 0, scheduled.call, encode(number, record.types))
        history.append(answer)
        commands = execution.apply(answer)


def suspended_size(folder: Path, scale: float) -> dict[str, Any]:
    """Bytes that a suspended orchestrator takes in memory."""
    record = waits.__stent_function__
    arguments = record.encode_arguments((), {})

    def suspended(number: int) -> Execution:
        execution = Execution(record)
        execution.apply(RunStarted(1, 0, f"run-{number}", record.name, arguments, "orchestrator"))
        return execution

    kept = [suspended(0)]
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept += [suspended(number) for number in range(1, SUSPENDED + 1)]
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for execution in kept:
        execution.close()
    return {"bytes_per_run": round((after - before) / SUSPENDED)}

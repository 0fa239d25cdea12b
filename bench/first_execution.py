"""The first execution of an orchestrator, under the watch and without it: CPU time, with no store and no worker.

Figures are microseconds of CPU of one thread, medians of ROUNDS; watched and unwatched executions take turns, so that a
busy moment of the machine meets both.
"""

from __future__ import annotations

import gc
import statistics
import time
from pathlib import Path
from typing import Any

from bench.workloads import nothing, one_after_another
from stent import Stent
from stent.codec import encode
from stent.history.events import CallCompleted, RunStarted
from stent.replay.commands import ScheduleCall
from stent.replay.execution import Execution
from stent.replay.watch import strict

ROUNDS = 15
EXECUTIONS = 200
CALLS = 10
HELPER_CALLS = 1_000


def plus_one(number: int) -> int:
    return number + 1


@Stent.durable(role="orchestrator")
async def thinks() -> int:
    """Much Python between two durable calls: a helper of its own and a built-in function, again and again."""
    total = 0
    for number in range(HELPER_CALLS):
        total += plus_one(len(str(number)))
    return await nothing(total)


def watched_turns(folder: Path, scale: float) -> dict[str, Any]:
    """A run of one call, a run of ten, and one that calls helpers and built-in functions a thousand times each."""
    executions = max(5, round(EXECUTIONS * scale))
    found: dict[str, Any] = {}
    for name, function, arguments, count in (
        ("one_call", one_after_another, (1,), executions),
        ("ten_calls", one_after_another, (CALLS,), executions),
        ("thousand_helpers", thinks, (), max(5, executions // 10)),
    ):
        plain_us, watched_us = _both(function, arguments, count)
        found[f"{name}_us"] = round(plain_us, 1)
        found[f"{name}_watched_us"] = round(watched_us, 1)
        found[f"{name}_ratio"] = round(watched_us / plain_us, 2)
    return found


def _both(function: Any, arguments: tuple[Any, ...], count: int) -> tuple[float, float]:
    took: dict[bool, list[float]] = {False: [], True: []}
    for is_watched in (False, True):
        _execute(function, arguments, is_watched, 3)
    for _ in range(ROUNDS):
        for is_watched, each in took.items():
            gc.collect()
            began = time.thread_time_ns()
            _execute(function, arguments, is_watched, count)
            each.append((time.thread_time_ns() - began) / 1_000 / count)
    return statistics.median(took[False]), statistics.median(took[True])


def _execute(function: Any, arguments: tuple[Any, ...], is_watched: bool, count: int) -> None:
    record = function.__stent_function__
    encoded = record.encode_arguments(arguments, {})
    with strict(is_watched):
        for _ in range(count):
            execution = Execution(record)
            commands = execution.apply(RunStarted(1, 0, "measured", record.name, encoded, "orchestrator"))
            seq = 2
            while commands and isinstance(commands[0], ScheduleCall):
                answer = CallCompleted(seq, 0, commands[0].call, encode(0, record.types))
                commands = execution.apply(answer)
                seq += 1
            execution.close()

"""The program alone and the whole engine play the same schedule in the same way: moves, history, bodies, outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from stent import RetryPolicy, Stent
from stent.codec import decode_exception, encode
from stent.durable.function import Durable
from stent.history.events import CallAttemptFailed, CallFailed, Event, RunFailed, RunStarted, SignalReceived
from stent.registry import default_registry
from stent.testing.play import BATCHED
from stent.testing.player import Player
from stent.testing.stage import Program

TYPES = default_registry.types


@Stent.durable
async def charge(order: int) -> int:
    return order


@Stent.durable(retry_policy=RetryPolicy(max_attempts=3, initial_delay=2.0, jitter=0.0))
async def fetch(number: int) -> int:
    return number


@Stent.durable
def in_a_thread(number: int) -> int:
    return number


@Stent.durable
async def all_together() -> list[str]:
    found = await asyncio.gather(charge(1), fetch(2), in_a_thread(3), charge(4), return_exceptions=True)
    return [repr(each) for each in found]


@Stent.durable
async def first_of_three() -> int:
    tasks = [asyncio.create_task(each) for each in (charge(1), fetch(2), charge(3))]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return min(task.result() for task in done) + await charge(10)


@Stent.durable
async def with_time_and_signals() -> list[Any]:
    found: list[Any] = []
    for timeout in ("2s", "1m"):
        try:
            found.append(await Stent.wait_for_signal("go", timeout=timeout))
        except TimeoutError:
            found.append(await fetch(len(found)))
        await Stent.sleep("2s")
    return found


@Stent.durable
async def in_time() -> int:
    try:
        async with asyncio.timeout(3):
            return await fetch(1) + await charge(2)
    except TimeoutError:
        return await charge(3)


@Stent.durable
async def as_they_come() -> list[int]:
    return [await each for each in asyncio.as_completed([charge(1), charge(2), charge(3)])]


PROGRAMS = [all_together, first_of_three, with_time_and_signals, in_time, as_they_come]


def program_of(function: Durable[..., Any], crashes: int = 2) -> Program:
    failures = ((None, OSError("away")),)
    return Program(function, (), (("go", 1), ("go", 2)), failures, crashes)


def seen_of(player: Player, schedule: list[int]) -> dict[str, Any]:
    """What a schedule shows."""
    played = player.play(schedule, None)
    assert played.outcome is not None, played.error
    (history,) = played.outcome.histories.values()
    return {
        "moves": list(played.play.moves),
        "history": list(_without_names(history)),
        "bodies": [(begun.function, begun.call, begun.attempt) for begun in played.outcome.doubles.begun],
        "result": repr(played.outcome.result),
        "crashes": played.play.stage.crash_count,
    }


def _without_names(history: list[Event] | Any) -> Iterator[Event]:
    """The events, without what differs by nature: ids, and the frames of the stage in a traceback."""
    for event in history:
        if isinstance(event, RunStarted):
            event = replace(event, run_id="r")
        elif isinstance(event, SignalReceived):
            event = replace(event, put=None)
        elif isinstance(event, CallFailed | CallAttemptFailed | RunFailed):
            event = replace(event, error=encode(repr(decode_exception(event.error, TYPES)), TYPES))
        yield event


@pytest.mark.slow
@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
@settings(max_examples=60, deadline=None)
@example(schedule=[45, 0, 100, 4, 3, 0, 1])  # the alarm of a retry that a crash has taken, and that nobody wants
@given(schedule=st.lists(st.integers(0, BATCHED - 1), max_size=25))
def test_both_stages_play_a_schedule_in_the_same_way(function: Durable[..., Any], schedule: list[int]) -> None:
    """One thing at a time: in which order things are written that happen together is the engine's own affair."""
    program = program_of(function)
    alone, whole = Player(program), Player(program, needs_engine=True)
    try:
        expected = seen_of(whole, schedule)
        assert expected == seen_of(alone, schedule)
        assert not alone.needs_engine
    finally:
        alone.close()
        whole.close()

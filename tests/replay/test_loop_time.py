"""Timeouts, sleeps and shields of asyncio are durable timers, and fire and cancel as they always do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stent.replay.loop import microseconds_of
from tests.replay.driver import Drive, check_replays, durable, start


@durable
async def work(item: Any) -> Any:
    return item


async def helper(item: Any) -> Any:
    """A plain coroutine around a durable call."""
    return await work(item)


def test_a_timeout_cancels_what_it_surrounds() -> None:
    @durable
    async def program() -> str:
        try:
            async with asyncio.timeout(10):
                await work(1)
        except TimeoutError:
            return "too slow"
        return "in time"

    in_time, too_slow = start(program), start(program)
    assert ["cancel timer 1", "return 'in time'"] == in_time.complete(2)
    assert ["cancel 2", "return 'too slow'"] == too_slow.fire(1)
    check_replays(in_time.function, in_time.history)
    check_replays(too_slow.function, too_slow.history)


def test_a_timeout_can_be_moved() -> None:
    @durable
    async def program() -> str:
        try:
            async with asyncio.timeout(10) as limit:
                await work(1)
                limit.reschedule(asyncio.get_running_loop().time() + 60)
                await work(2)
                limit.reschedule(None)
                await work(3)
        except TimeoutError:
            return "too slow"
        return "in time"

    drive = Drive(program)
    assert ["1 timer", "2 work(1)"] == drive.start()
    assert ["cancel timer 1", "3 timer", "4 work(2)"] == drive.complete(2)
    assert 60_000_000 == drive.state.timers[3] - drive.history[-1].at_us
    assert ["cancel timer 3", "5 work(3)"] == drive.complete(4)
    assert ["return 'in time'"] == drive.complete(5)
    check_replays(drive.function, drive.history)


def test_a_timeout_in_the_past_ends_at_the_next_await() -> None:
    @durable
    async def program() -> str:
        try:
            async with asyncio.timeout(0):
                await work(1)
        except TimeoutError:
            return "at once"
        return ""

    assert ["1 work(1)", "cancel 1", "return 'at once'"] == Drive(program).start()


def test_timeouts_nest() -> None:
    @durable
    async def program() -> list[str]:
        seen = []
        try:
            async with asyncio.timeout(20):
                try:
                    async with asyncio.timeout(10):
                        await work(1)
                except TimeoutError:
                    seen.append("inner")
                await work(2)
        except TimeoutError:
            seen.append("outer")
        return seen

    drive = start(program)
    assert ["cancel 3", "4 work(2)"] == drive.fire(2)
    assert ["cancel 4", "return ['inner', 'outer']"] == drive.fire(1)
    check_replays(drive.function, drive.history)


@pytest.mark.parametrize("make", [work, helper], ids=["call", "coroutine"])
def test_wait_for(make: Any) -> None:
    @durable
    async def program() -> str:
        try:
            return str(await asyncio.wait_for(make(1), 10))
        except TimeoutError:
            return "too slow"

    in_time, too_slow = start(program), start(program)
    (call,), (timer,) = in_time.state.calls, in_time.state.timers
    assert ["cancel timer " + str(timer), "return 'x'"] == in_time.complete(call, "x")
    assert [f"cancel {call}", "return 'too slow'"] == too_slow.fire(timer)
    check_replays(in_time.function, in_time.history)
    check_replays(too_slow.function, too_slow.history)


def test_cancelling_a_run_in_wait_for_cancels_the_call() -> None:
    @durable
    async def program() -> None:
        await asyncio.wait_for(work(1), 10)

    drive = start(program)
    assert {"cancel 1", "cancel timer 2", "cancel 2", "cancel timer 1"} > set(drive.cancel()) - {"cancelled"}
    assert drive.is_ended
    check_replays(drive.function, drive.history)


def test_a_shield_lets_the_call_go_on_past_a_timeout() -> None:
    @durable
    async def program() -> list[Any]:
        call = work(1)
        try:
            await asyncio.wait_for(asyncio.shield(call), 10)
        except TimeoutError:
            return ["late", await call]
        return []

    drive = start(program)
    assert [] == drive.fire(2)
    assert ["return ['late', 'x']"] == drive.complete(1, "x")
    check_replays(drive.function, drive.history)


def test_sleep_zero_lets_others_run_and_costs_no_event() -> None:
    @durable
    async def program() -> list[int]:
        seen: list[int] = []

        async def count(first: int) -> None:
            for number in range(3):
                seen.append(first + number)
                await asyncio.sleep(0)

        await asyncio.gather(count(0), count(10))
        return seen

    drive = Drive(program)
    assert ["return [0, 10, 1, 11, 2, 12]"] == drive.start()


def test_a_cancelled_sleep_takes_its_timer_back() -> None:
    @durable
    async def program() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await work(1)
        task.cancel()
        await asyncio.wait([task])

    drive = Drive(program)
    assert ["1 work(1)", "2 timer"] == drive.start()
    assert ["cancel timer 2", "return None"] == drive.complete(1)
    check_replays(drive.function, drive.history)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [(1, 1_000_000), (0.07, 70_000), (2.001 + 0.1 - 2.001, 100_000), (1e-9, 1), (0.0000011, 2), (1e30, None)],
)
def test_delays_are_rounded_up_but_not_for_the_noise_of_floats(delay: float, expected: int | None) -> None:
    if expected is None:
        assert microseconds_of(delay) == microseconds_of(float("inf"))
    else:
        assert expected == microseconds_of(delay)

"""Clocks: the real one tells the time, the manual one stands still until a test moves it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from stent.clock import SECOND_US, Clock, ManualClock, SystemClock, to_datetime
from stent.errors import OptionError


def test_a_manual_clock_stands_still() -> None:
    """Until it is moved, by microseconds or by a timedelta."""
    clock = ManualClock(1_000)
    assert (1_000, 1_000) == (clock.now_us(), clock.now_us())
    clock.advance(5)
    clock.advance(timedelta(milliseconds=1.5))
    assert (2_505, 2_505) == (clock.now_us(), clock.monotonic_us())


def test_alarms_ring_in_the_order_of_their_due_times_and_see_that_time() -> None:
    """Not in the order in which they were set; equal ones in that order."""
    clock, rung = ManualClock(0), list[tuple[str, int]]()
    for name, delay_us in (("c", 30), ("a", 10), ("b", 20), ("a2", 10), ("later", 50)):
        clock.call_later(delay_us, lambda name=name: rung.append((name, clock.now_us())))  # type: ignore[misc]
    clock.advance(30)
    assert [("a", 10), ("a2", 10), ("b", 20), ("c", 30)] == rung
    assert (30, 50) == (clock.now_us(), clock.next_alarm_us())


def test_an_alarm_is_never_early_and_rings_once() -> None:
    """A microsecond before it is due, nothing."""
    clock, rung = ManualClock(0), list[int]()
    clock.call_later(10, lambda: rung.append(clock.now_us()))
    clock.advance(9)
    assert [] == rung
    clock.advance(1)
    clock.advance(100)
    assert [10] == rung


def test_an_alarm_that_is_set_by_an_alarm_rings_in_the_same_move() -> None:
    """If it is due by then: thirty days of hourly alarms are one call of advance."""
    clock, rung = ManualClock(0), list[int]()
    hour_us = 3_600 * SECOND_US

    def again() -> None:
        rung.append(clock.now_us())
        clock.call_later(hour_us, again)

    clock.call_later(hour_us, again)
    clock.advance(timedelta(days=30))
    assert [hour_us * count for count in range(1, 30 * 24 + 1)] == rung


def test_a_cancelled_alarm_does_not_ring_and_is_not_the_next() -> None:
    """Also if another alarm cancels it at the same moment; cancelling twice is once."""
    clock, rung = ManualClock(0), list[str]()
    first = clock.call_later(10, lambda: rung.append("first"))
    clock.call_later(20, lambda: third.cancel())
    third = clock.call_later(20, lambda: rung.append("third"))
    first.cancel()
    first.cancel()
    assert 20 == clock.next_alarm_us()
    clock.advance(100)
    assert [] == rung
    assert clock.next_alarm_us() is None


def test_a_delay_of_zero_or_less_rings_at_the_next_move() -> None:
    """Never inside of `call_later` itself: the caller is not ready for it."""
    clock, rung = ManualClock(5), list[int]()
    for delay_us in (0, -10):
        clock.call_later(delay_us, lambda: rung.append(clock.now_us()))
    assert [] == rung
    assert 5 == clock.next_alarm_us()
    clock.advance(0)
    assert [5, 5] == rung


def test_time_does_not_go_back() -> None:
    """Not by a negative move, and not by an alarm that moves the clock further than the move in which it rings."""
    clock, rung = ManualClock(0), list[int]()
    with pytest.raises(OptionError, match="cannot be moved by -1 us"):
        clock.advance(-1)
    clock.call_later(10, lambda: clock.advance(100))
    clock.call_later(50, lambda: rung.append(clock.now_us()))
    clock.advance(20)
    assert ([50], 110) == (rung, clock.now_us())


def test_a_move_by_a_timedelta_is_exact() -> None:
    """A float of seconds would lose the microsecond."""
    clock = ManualClock(0)
    clock.advance(timedelta(days=365_000, microseconds=1))
    assert 365_000 * 86_400 * SECOND_US + 1 == clock.now_us()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=20), st.lists(st.integers(0, 20), max_size=10))
def test_how_far_each_move_goes_changes_nothing(delays_us: list[int], moves_us: list[int]) -> None:
    """Many small moves ring what one large one does, at the same times."""

    def ring(moves: list[int]) -> list[tuple[int, int]]:
        clock, rung = ManualClock(0), list[tuple[int, int]]()
        for index, delay_us in enumerate(delays_us):
            clock.call_later(delay_us, lambda index=index: rung.append((clock.now_us(), index)))  # type: ignore[misc]
        for move in moves:
            clock.advance(move)
        return rung

    total_us = sum(moves_us)
    expected = sorted((delay_us, index) for index, delay_us in enumerate(delays_us) if delay_us <= total_us)
    assert expected == ring([total_us])
    if moves_us:
        assert expected == ring(moves_us)


def test_the_system_clock_tells_the_time() -> None:
    """Wall time since the epoch; a monotonic one that does not go back."""
    clock: Clock = SystemClock()
    before_us = time.time_ns() // 1000
    assert before_us <= clock.now_us() <= time.time_ns() // 1000
    times_us = [clock.monotonic_us() for _ in range(100)]
    assert sorted(times_us) == times_us


async def test_the_system_clock_calls_back_on_the_running_loop() -> None:
    """As soon as possible for zero or less; not if cancelled; never before its time."""
    clock, rung = SystemClock(), asyncio.Event()
    clock.call_later(-5, rung.set)
    cancelled: list[int] = []
    clock.call_later(0, lambda: cancelled.append(1)).cancel()
    await asyncio.wait_for(rung.wait(), 5)
    assert [] == cancelled
    start_us, rang = clock.monotonic_us(), asyncio.Event()
    clock.call_later(2_000, rang.set)
    await asyncio.wait_for(rang.wait(), 5)
    assert clock.monotonic_us() - start_us >= 1_900  # a loop's clock may be coarser than a microsecond


@settings(deadline=None)
@given(st.integers(-(10**15), 10**16))
def test_a_moment_is_an_exact_utc_datetime(at_us: int) -> None:
    """To the microsecond, where a float would round."""
    found = to_datetime(at_us)
    assert UTC is found.tzinfo
    assert at_us == (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(("at_us", "text"), [(0, "1970-01-01T00:00:00+00:00"), (1, "1970-01-01T00:00:00.000001+00:00")])
def test_the_epoch_is_that_of_unix(at_us: int, text: str) -> None:
    """Stored times are read by other programs."""
    assert text == to_datetime(at_us).isoformat()

"""The only file that reads the clock. Everything else is handed a `Clock`, so tests own time.

Units: `*_us` are integer microseconds; wall time counts from the Unix epoch in UTC.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from stent.errors import OptionError

SECOND_US = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Alarm(Protocol):
    """A callback that will be called once, unless cancelled."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """What the engine needs of time."""

    def now_us(self) -> int:
        """Wall time in microseconds since the epoch, UTC."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since an arbitrary start; never goes back."""
        ...

    def call_later(self, delay_us: int, callback: Callable[[], object]) -> Alarm:
        """Call `callback` on the running event loop after `delay_us`; zero or less means as soon as possible."""
        ...


class SystemClock:
    """The real clock of this machine."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000

    def call_later(self, delay_us: int, callback: Callable[[], object]) -> Alarm:
        return asyncio.get_running_loop().call_later(max(0, delay_us) / SECOND_US, callback)


class _ManualAlarm:
    __slots__ = ("callback", "due_us")

    def __init__(self, due_us: int, callback: Callable[[], object]) -> None:
        self.due_us = due_us
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_us: int = 1_750_000_000 * SECOND_US) -> None:
        self._now_us = now_us
        self._alarms: list[tuple[int, int, _ManualAlarm]] = []
        self._order = itertools.count()

    def now_us(self) -> int:
        return self._now_us

    def monotonic_us(self) -> int:
        return self._now_us

    def call_later(self, delay_us: int, callback: Callable[[], object]) -> Alarm:
        alarm = _ManualAlarm(self._now_us + max(0, delay_us), callback)
        heapq.heappush(self._alarms, (alarm.due_us, next(self._order), alarm))
        return alarm

    def advance(self, delta: timedelta | int) -> None:
        """Move on by a timedelta or microseconds and ring every alarm that is due, in order of its due time.

        An alarm may move the clock itself. Raises OptionError for a negative delta: time does not go back.
        """
        delta_us = delta if isinstance(delta, int) else delta // timedelta(microseconds=1)
        if delta_us < 0:
            raise OptionError(f"A clock cannot be moved by {delta_us} us.", fix="use zero or more", option="delta")
        until_us = self._now_us + delta_us
        while self._alarms and self._alarms[0][0] <= until_us:
            self._ring_next()
        self._now_us = max(self._now_us, until_us)

    def next_alarm_us(self) -> int | None:
        """Due time of the next alarm, or None."""
        while self._alarms and self._alarms[0][2].callback is None:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def _ring_next(self) -> None:
        due_us, _, alarm = heapq.heappop(self._alarms)
        self._now_us = max(self._now_us, due_us)
        if alarm.callback is not None:
            alarm.callback()


def to_datetime(at_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime, exactly."""
    return EPOCH + timedelta(microseconds=at_us)

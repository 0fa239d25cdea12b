"""When time moves by itself: while somebody waits for a run, and the engine has nothing else to do.

Rules of this file:
- time jumps to the next alarm only when nothing was written, no body runs and the event loop has gone round
  QUIET_ROUNDS times without news; so a test that does something between two engine calls is never overtaken;
- while nobody waits for a run, time stands still;
- when no alarm is left, whoever waits would wait for ever: after `patience_s` they are told what for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stent.clock import ManualClock

QUIET_ROUNDS = 8  # a commit and its answer take two rounds of the event loop, a worker that looks and claims four
BUSY_ROUNDS = 64  # then a body does real work: look every BUSY_PAUSE_S instead of every round
BUSY_PAUSE_S = 0.001


class Pulse:
    """Watches for the moments at which the engine is idle, and moves its clock then."""

    def __init__(
        self,
        clock: ManualClock,
        *,
        has_waiters: Callable[[], bool],
        body_count: Callable[[], int],
        on_stuck: Callable[[bool], bool],
        patience_s: float,
    ) -> None:
        self.is_automatic = True
        self._clock = clock
        self._has_waiters = has_waiters
        self._body_count = body_count
        self._on_stuck = on_stuck
        self._patience_s = patience_s
        self._handle: asyncio.Handle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._settling: list[asyncio.Future[None]] = []
        self._quiet_rounds = 0
        self._busy_rounds = 0
        self._is_closed = False

    def news(self) -> None:
        """The engine did something, or somebody waits for it."""
        self._quiet_rounds = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._handle is None and not self._is_closed:
            self._handle = asyncio.get_running_loop().call_soon(self._round)

    async def settle(self) -> None:
        """Wait until the engine has nothing more to do at this time, but for bodies that wait for the real world."""
        settled = asyncio.get_running_loop().create_future()
        self._settling.append(settled)
        self.news()
        await settled

    def close(self) -> None:
        self._is_closed = True
        for handle in (self._handle, self._patience):
            if handle is not None:
                handle.cancel()

    def _round(self) -> None:
        self._handle = None
        self._quiet_rounds += 1
        if self._quiet_rounds < QUIET_ROUNDS:
            self._again()
            return
        settling, self._settling = self._settling, []
        for settled in settling:
            if not settled.done():
                settled.set_result(None)
        if self.is_automatic and self._has_waiters():
            self._go_on()

    def _go_on(self) -> None:
        if self._body_count() > 0:
            self._busy_rounds += 1
            self._again(BUSY_PAUSE_S if self._busy_rounds > BUSY_ROUNDS else None)
            return
        self._busy_rounds = 0
        due_us = self._clock.next_alarm_us()
        if due_us is not None:
            self._clock.advance(max(0, due_us - self._clock.now_us()))
            self.news()
        elif not self._on_stuck(False):
            self._patience = asyncio.get_running_loop().call_later(self._patience_s, self._on_stuck, True)

    def _again(self, pause_s: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_soon(self._round) if pause_s is None else loop.call_later(pause_s, self._round)

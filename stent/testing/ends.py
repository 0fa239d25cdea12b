"""The ends of bodies in an engine, counted: one of them may be the place of a crash.

Rules of this file:
- an end is heard of before the engine hears of it, so that nothing of the body is recorded yet;
- the end of a plain def is told by its thread, and counted on the event loop of the engine like all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ends:
    """Counts ends from 1; at that of number `fatal` it calls `on_fatal`, once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_fatal: Callable[[], None]) -> None:
        self.count = 0
        self.fatal = 0
        self._loop = loop
        self._on_fatal = on_fatal

    def hear(self) -> None:
        """A body has returned or raised; here, or in the thread that runs this."""
        if asyncio._get_running_loop() is self._loop:
            self._add()
        else:  # scheduled before the outcome is, and so counted before it
            self._loop.call_soon_threadsafe(self._add)

    def _add(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            self._on_fatal()

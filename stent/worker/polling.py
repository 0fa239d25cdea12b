"""The net under the hints: when a worker looks at the store although it has heard nothing.

Rules of this file:
- a look for another reason puts the next one off, so that a busy worker does not look twice;
- while there are other workers it is cast every PEERS_US at least: a lease that runs out makes no noise.
"""

from __future__ import annotations

from collections.abc import Callable

from stent.clock import Alarm, Clock

PEERS_US = 1_000_000  # what a worker held that was stopped, or cut off, goes on this long after its lease at most


class Poll:
    """Calls `ring` when nobody has looked for a while."""

    def __init__(self, clock: Clock, interval_us: int, ring: Callable[[], object]) -> None:
        self._clock = clock
        self._interval_us = interval_us
        self._ring = ring
        self._alarm: Alarm | None = None

    def looked(self, has_peers: bool) -> None:
        """A look has been taken: count from now."""
        self.stop()
        interval_us = min(self._interval_us, PEERS_US) if has_peers else self._interval_us
        self._alarm = self._clock.call_later(interval_us, self._ring)

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

"""What the store says a worker has, and the worker does not know of: the answer to its claim was lost.

A claim that is committed while its answer is lost leaves runs and calls with a worker that never heard of them, and its
lease keeps everybody else away. So after every commit of unknown outcome the two are compared. What is strange at two
looks, INTERVAL_US apart, is given back: at one look it may be an answer on its way. Decides only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

Place: TypeAlias = tuple[str, int, int]

INTERVAL_US = 1_000_000  # far longer than an answer takes from the committer's thread to the event loop


@dataclass(slots=True)
class Strays:
    """Suspicion, and when it is looked at again."""

    due_us: int | None = None
    _seen_count: int = 0
    _runs: frozenset[str] = frozenset()
    _calls: frozenset[Place] = frozenset()
    _is_second: bool = field(default=False)

    def notice(self, uncertain_count: int, now_us: int) -> None:
        """So many commits of this process had an unknown outcome by now."""
        if uncertain_count != self._seen_count:
            self._seen_count = uncertain_count
            self.due_us = now_us + INTERVAL_US
            self._is_second = False

    def is_due(self, now_us: int) -> bool:
        return self.due_us is not None and now_us >= self.due_us

    def found(
        self,
        owned: Iterable[str],
        claimed: Iterable[Place],
        known_runs: Collection[str],
        known_calls: Collection[Place],
        now_us: int,
    ) -> tuple[list[str], list[Place]]:
        """Compare at a look; what is to be given back, which is nothing at the first one."""
        runs = frozenset(run_id for run_id in owned if run_id not in known_runs)
        calls = frozenset(place for place in claimed if place not in known_calls)
        if not self._is_second:
            self._runs, self._calls = runs, calls
            self._is_second = True
            self.due_us = now_us + INTERVAL_US if runs or calls else None
            return [], []
        certain = sorted(runs & self._runs), sorted(calls & self._calls)
        rest = runs - self._runs or calls - self._calls
        self._runs, self._calls = runs, calls
        self.due_us = now_us + INTERVAL_US if rest else None
        return certain

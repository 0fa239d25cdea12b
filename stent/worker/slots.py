"""What waits for a free slot on this worker, and in which order it gets one. Data structure only.

Higher priority first; within a priority first come, first served, except that a batch gives one item at a time and
goes to the back of the queue, so that it cannot starve what comes after it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from stent.codec import Payload
from stent.history.events import CallOptions
from stent.registry import Function

SINGLE = -1  # "item" of a call that is no part of a batch


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one body. `args` are given already decoded where a whole batch was decoded at once."""

    run_id: str
    call: int
    item: int
    function: Function
    attempt: int
    options: CallOptions
    arguments: Payload | None = None
    args: tuple[tuple[object, ...], dict[str, object]] | None = None
    is_role_fixed: bool = False
    claim: int | None = None


class Source(Protocol):
    """Something that gives attempts, one after the other."""

    priority: int

    def next_attempt(self) -> Attempt | None:
        """The next attempt, or None if there is none (any more, or for now)."""
        ...

    def is_empty(self) -> bool:
        """Whether nothing more will come unless it is pushed again."""
        ...

    def stop(self) -> None:
        """Give nothing more: nobody wants it any longer."""
        ...


@dataclass(slots=True)
class Single:
    """A source of one attempt."""

    attempt: Attempt | None
    priority: int = 0

    def next_attempt(self) -> Attempt | None:
        attempt, self.attempt = self.attempt, None
        return attempt

    def is_empty(self) -> bool:
        return self.attempt is None

    def stop(self) -> None:
        self.attempt = None


@dataclass(slots=True)
class WorkQueue:
    """Sources in the order in which they get the next free slot."""

    _heap: list[tuple[int, int, Source]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def push(self, source: Source) -> None:
        heapq.heappush(self._heap, (-source.priority, next(self._order), source))

    def pop(self) -> Attempt | None:
        """The next attempt, or None when nothing waits."""
        while self._heap:
            _, _, source = heapq.heappop(self._heap)
            attempt = source.next_attempt()
            if not source.is_empty():
                self.push(source)
            if attempt is not None:
                return attempt
        return None

    def __len__(self) -> int:
        return len(self._heap)

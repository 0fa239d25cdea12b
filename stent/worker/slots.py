"""What waits for a free slot on this worker, and in which order it gets one. Data structure only.

Higher priority first; within a priority first come, first served, except that a batch gives one item at a time and
goes to the back of the queue, so that it cannot starve what comes after it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stent.codec import Payload
from stent.history.options import CallOptions
from stent.registry import Function

SINGLE = -1  # "item" of a call that is no part of a batch


class Attempt(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Loan:
    """Waiting work that others may carry out: a call, or some items of a batch."""

    run_id: str
    call: int
    items: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return len(self.items) or 1


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

    def lend(self, count: int) -> Loan | None:
        """Give up to `count` attempts to others; None for what must be carried out here."""
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

    def lend(self, count: int) -> Loan | None:
        attempt = self.attempt
        if attempt is None or attempt.claim is not None or attempt.call == 0:
            return None  # somebody else's already, or a run itself
        self.attempt = None
        return Loan(attempt.run_id, attempt.call)


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

    def lend(self, count: int) -> list[Loan]:
        """Give up to `count` attempts to others, from the back of the queue."""
        loans: list[Loan] = []
        for _, _, source in sorted(self._heap, key=_place, reverse=True):
            if count <= 0:
                break
            loan = source.lend(count)
            if loan is not None:
                loans.append(loan)
                count -= loan.size
        self._heap = [entry for entry in self._heap if not entry[2].is_empty()]
        heapq.heapify(self._heap)
        return loans

    def __len__(self) -> int:
        return len(self._heap)


def _place(entry: tuple[int, int, Source]) -> tuple[int, int]:
    return entry[:2]

"""The items of a batch that this worker carries out: which comes next, and when their outcomes are written.

Outcomes are packed: they are written together when WRITE_AFTER_US have passed since the first, when there are
OUTCOMES_AT_MOST, or when nothing of the batch is running any more. So the writes of a batch grow with time and claims,
not with items; what a crash can lose is what ran in that short while.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from stent.codec import Payload
from stent.history.fold import OpenBatch
from stent.registry import Function
from stent.worker.slots import Attempt, Loan

Args: TypeAlias = tuple[tuple[object, ...], dict[str, object]]

WRITE_AFTER_US = 5_000
OUTCOMES_AT_MOST = 2_000


class ItemOutcome(NamedTuple):
    """How one item of a batch ended."""

    item: int
    payload: Payload
    has_failed: bool


@dataclass(slots=True)
class BatchSource:
    """Gives the items of one batch, as its limit allows. `items` are those nobody else carries out."""

    run_id: str
    batch: OpenBatch
    function: Function
    items: Iterator[int]
    claim: int | None = None
    priority: int = 0
    retries: deque[int] = field(default_factory=deque)
    running: set[int] = field(default_factory=set)
    is_exhausted: bool = False
    is_stopped: bool = False
    args: list[Args] | None = None

    def next_attempt(self) -> Attempt | None:
        item = self._next_item()
        if item is None:
            return None
        self.running.add(item)
        batch = self.batch
        if self.args is None:
            self.args = self.function.unpack_rows(batch.items)
        attempt = batch.attempts[item][0] if item in batch.attempts else 1
        return Attempt(
            self.run_id,
            batch.call,
            item,
            self.function,
            attempt,
            batch.options,
            args=self.args[item],
            claim=self.claim,
        )

    def is_empty(self) -> bool:
        """Nothing for now: all given, or the limit reached. It is pushed again when an item finishes."""
        return self.is_stopped or self._is_full() or (self.is_exhausted and not self.retries)

    def stop(self) -> None:
        self.is_stopped = True

    def lend(self, count: int) -> Loan | None:
        if self.claim is not None or self.batch.limit is not None or self.is_stopped:
            return None  # somebody else's already, or counted here
        items = tuple(itertools.islice(self.items, count))
        self.is_exhausted = len(items) < count
        return Loan(self.run_id, self.batch.call, items) if items else None

    @property
    def has_work(self) -> bool:
        """Whether an item runs, or one is left to give now."""
        return bool(self.running or self.retries) or not (self.is_exhausted or self.is_stopped)

    @property
    def is_over(self) -> bool:
        """Every item that was given has an outcome, and none is left to give."""
        return self.is_exhausted and not self.retries and not self.running and not self.batch.attempts

    def finished(self, item: int) -> bool:
        """An item has an outcome; True if the source has to be pushed again."""
        was_full = self._is_full()
        self.running.discard(item)
        return was_full and not self.is_empty()

    def retry(self, items: Iterable[int]) -> bool:
        """Items are due for their next attempt; True if the source has to be pushed again."""
        was_empty = self.is_empty()
        known = {*self.retries, *self.running}
        self.retries.extend(item for item in items if item not in known)
        return was_empty and not self.is_empty()

    def has_begun(self, item: int) -> bool:
        """Whether the latest retry of an item runs, or waits for a slot."""
        return item in self.running or item in self.retries

    def _next_item(self) -> int | None:
        if self.is_stopped or self._is_full():
            return None
        if self.retries:
            return self.retries.popleft()
        item = next(self.items, None)
        if item is None:
            self.is_exhausted = True
        return item

    def _is_full(self) -> bool:
        return self.batch.limit is not None and len(self.running) >= self.batch.limit


@dataclass(slots=True)
class Outcomes:
    """Outcomes of one batch that wait to be written, in the order of their completion."""

    waiting: list[ItemOutcome] = field(default_factory=list)

    def add(self, outcome: ItemOutcome) -> bool:
        """Keep an outcome; True if there are now as many as may wait."""
        self.waiting.append(outcome)
        return len(self.waiting) >= OUTCOMES_AT_MOST

    def take(self) -> list[ItemOutcome]:
        taken, self.waiting = self.waiting, []
        return taken

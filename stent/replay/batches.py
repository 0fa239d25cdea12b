"""The answer to `Stent.map` inside an orchestrator: results in the order of the items, or a stream as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from stent.codec import TypeRegistry, decode
from stent.errors import SerializationError
from stent.history.events import BatchItemsCompleted, indexes_of
from stent.replay.raisable import raisable
from stent.replay.tasks import DurableFuture

_MISSING = object()


class BatchFuture(DurableFuture):
    """Becomes the list of results, in the order of the items."""

    __slots__ = ("_left", "_results", "return_exceptions", "stream")

    def __init__(self, number: int, count: int, return_exceptions: bool, *, loop: Any) -> None:
        super().__init__(number, loop=loop)
        self.return_exceptions = return_exceptions
        self.stream: BatchStream | None = None
        self._left = count
        self._results: list[Any] = [_MISSING] * count

    def add(self, event: BatchItemsCompleted, types: TypeRegistry) -> bool:
        """Take in outcomes; True when the last item has one."""
        indexes = indexes_of(event.items)
        self._left -= len(indexes)
        if not self.done():
            try:
                values = decode(event.results, types)
            except SerializationError as refusal:
                self._fail(refusal)
            else:
                self._take(indexes, values, frozenset(event.failed))
        return self._left == 0

    def finish(self) -> None:
        """All items have an outcome."""
        if self.stream is not None:
            self.stream.end(None)
        self.set_result(self._results)
        self._results = []

    def _take(self, indexes: list[int], values: list[Any], failed: frozenset[int]) -> None:
        for index, value in zip(indexes, values, strict=True):
            has_failed = index in failed
            outcome = raisable(value) if has_failed else value
            if self.stream is not None:
                self.stream.add(index, outcome, has_failed)
            elif has_failed and not self.return_exceptions:
                self._fail(outcome)
                return
            else:
                self._results[index] = outcome
        if self._left == 0:
            self.finish()

    def _fail(self, error: BaseException) -> None:
        """The whole map fails; the outcomes of the other items are recorded, and change nothing."""
        self._results = []
        if self.stream is not None:
            self.stream.end(error)
        self.set_exception(error)


class BatchStream(AsyncIterator[tuple[int, Any]]):
    """`Stent.map_as_completed`: pairs of item index and result, in the order in which they were recorded."""

    def __init__(self, batch: BatchFuture, return_exceptions: bool) -> None:
        self._return_exceptions = return_exceptions
        self._kept: deque[tuple[int, Any, bool]] = deque()
        self._news = asyncio.Event()
        self._has_ended = batch.done()
        self._error: BaseException | None = None
        batch.stream = self

    def add(self, index: int, outcome: Any, has_failed: bool) -> None:
        self._kept.append((index, outcome, has_failed))
        self._news.set()

    def end(self, error: BaseException | None) -> None:
        """Nothing more will come; `error` says why if that is too early."""
        self._has_ended = True
        self._error = error
        self._news.set()

    def __aiter__(self) -> BatchStream:
        return self

    async def __anext__(self) -> tuple[int, Any]:
        while not self._kept:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        index, outcome, has_failed = self._kept.popleft()
        if has_failed and not self._return_exceptions:
            raise outcome
        return index, outcome

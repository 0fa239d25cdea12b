"""Group commit: one thread writes everything that has gathered while the previous commit was in flight.

Rules of this file:
- operations of one caller are applied in the order in which they were submitted;
- a large batch is answered in two halves, the second when what the first has led to is taken to be written: then the
  loop works on one half while the other is written, and neither waits for the other;
- a submission is answered exactly once, on the loop that submitted it: with its outcome, or with an error;
- while the store cannot be written (disk full, locked, unreachable, migrated to a version that this Stent does not
  know) nothing is lost: the batch is tried again with growing pauses until it succeeds or the committer is closed;
- a batch that the store refuses for another reason is applied one by one, so that one bad operation fails alone.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from stent.clock import Clock
from stent.errors import SchemaVersionError, StoreUnavailableError
from stent.history.operations import Operation, Outcome
from stent.history.store import Writer
from stent.log import get_logger

log = get_logger(__name__)

Answer: TypeAlias = Callable[[Any, BaseException | None], None]

MAX_BATCH = 512  # operations a transaction: a longer one makes everybody behind it wait
IN_HALVES_FROM = 16  # from here on a batch is answered in halves: smaller ones would be written too often
PATIENCE_S = 0.0002  # for each answer that is kept, until it is given in any case: twice what a turn takes (2026-11)
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 2.0
MIN_CHORE_WAIT_S = 0.001


class Chore:
    """Something the committer's thread does by itself at an interval, even while the event loop is blocked.

    `operation` is called on that thread; None skips this time. `answer` is called on `loop`.
    """

    __slots__ = ("answer", "due_us", "interval_us", "loop", "operation")

    def __init__(
        self,
        interval_us: int,
        operation: Callable[[], Operation | None],
        loop: asyncio.AbstractEventLoop,
        answer: Answer,
    ) -> None:
        self.interval_us = interval_us
        self.operation = operation
        self.loop = loop
        self.answer = answer
        self.due_us = 0


class _Submission:
    __slots__ = ("answer", "loop", "operation")

    def __init__(self, operation: Operation, loop: asyncio.AbstractEventLoop, answer: Answer) -> None:
        self.operation = operation
        self.loop = loop
        self.answer = answer


_Answered: TypeAlias = tuple[_Submission, Outcome | None]


class Committer:
    """The one thread of a process that writes to a store."""

    def __init__(self, store: Writer, clock: Clock, *, name: str = "stent-committer") -> None:
        self._store = store
        self._clock = clock
        self._name = name
        self._queue: queue.SimpleQueue[list[_Submission] | Literal["end"]] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Submission]] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._chores: tuple[Chore, ...] = ()
        self.commit_count = 0
        self.uncertain_count = 0
        """Commits that failed in a way which leaves open whether they were applied."""

    def submit(self, operation: Operation, answer: Answer) -> None:
        """Queue an operation; `answer(outcome, error)` is called on the running loop.

        What one turn of the event loop submits reaches the thread together, so that it is written together.
        """
        loop = asyncio.get_running_loop()
        submission = _Submission(operation, loop, answer)
        gathered = self._gathered.get(loop)
        if gathered is not None:
            gathered.append(submission)
            return
        with self._lock:
            self._check_open()
            self._gathered[loop] = [submission]
        loop.call_soon(self._hand_over, loop)

    def commit(self, operation: Operation) -> asyncio.Future[Any]:
        """Queue an operation; the future gets its outcome. Cancelling the future does not undo the operation."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answer(outcome: Outcome | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(outcome)
            else:
                future.set_exception(error)

        self.submit(operation, answer)
        return future

    def add_chore(self, chore: Chore) -> None:
        """Do this from now on; the first time after one interval."""
        chore.due_us = self._clock.monotonic_us() + chore.interval_us
        self._chores = (*self._chores, chore)
        self._put([])

    def remove_chore(self, chore: Chore) -> None:
        self._chores = tuple(other for other in self._chores if other is not chore)

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        with self._lock:
            self._closed.set()
            thread, self._thread = self._thread, None
            if thread is None and self._gathered:
                thread = self._begin()
            if thread is not None:
                for gathered in self._gathered.values():
                    self._queue.put(gathered)
                self._gathered.clear()
                self._queue.put("end")
        if thread is not None:
            thread.join()

    # -- the thread ------------------------------------------------------------------------------------------------

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            gathered = self._gathered.pop(loop, None)
            if gathered is None:
                return  # closed in the meantime, and written with the rest
            for start in range(0, len(gathered), MAX_BATCH):
                self._put_locked(gathered[start : start + MAX_BATCH])

    def _put(self, found: list[_Submission]) -> None:
        with self._lock:  # nothing may come to stand behind the end: it would never be answered
            self._check_open()
            self._put_locked(found)

    def _put_locked(self, found: list[_Submission]) -> None:
        if self._thread is None:
            self._thread = self._begin()
        self._queue.put(found)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise StoreUnavailableError("this store is closed", fix="open a new backend")

    def _begin(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        is_last = False
        kept: list[_Answered] = []
        while not is_last:
            batch, is_last = self._next_batch(kept)
            batch += self._due_chores()
            kept = self._write(batch) if batch else []
        _answer_all(kept, None)

    def _next_batch(self, kept: list[_Answered]) -> tuple[list[_Submission], bool]:
        """Wait for submissions or a chore, then take all that are there; give the answers that were kept."""
        batch: list[_Submission] = []
        try:
            found = self._first_found(kept)
            while found != "end":
                batch += found
                if len(batch) >= MAX_BATCH:
                    return batch, False
                found = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _first_found(self, kept: list[_Answered]) -> list[_Submission] | Literal["end"]:
        """What comes next; when it is there, or keeps one waiting, the answers that were kept are given."""
        if not kept:
            return self._queue.get(timeout=self._wait_s())
        try:
            return self._queue.get(timeout=PATIENCE_S * len(kept))
        finally:
            _answer_all(kept, None)

    def _wait_s(self) -> float | None:
        chores = self._chores
        if not chores:
            return None
        left_us = min(chore.due_us for chore in chores) - self._clock.monotonic_us()
        return max(MIN_CHORE_WAIT_S, left_us / 1_000_000)

    def _due_chores(self) -> list[_Submission]:
        now_us = self._clock.monotonic_us()
        due = []
        for chore in self._chores:
            if chore.due_us <= now_us:
                chore.due_us = now_us + chore.interval_us
                operation = chore.operation()
                if operation is not None:
                    due.append(_Submission(operation, chore.loop, chore.answer))
        return due

    def _write(self, batch: list[_Submission]) -> list[_Answered]:
        """Write a batch and answer it, but for a second half that is to be answered later."""
        try:
            outcomes: Sequence[Outcome | None] = self._commit([submission.operation for submission in batch])
        except Exception as error:  # border: whatever the driver raises is somebody's answer
            if len(batch) == 1:
                log.error("commit_failed", error=repr(error), operation=type(batch[0].operation).__name__)
                _answer_all([(batch[0], None)], error)
                return []
            for submission in batch:
                self._write([submission])
            return []
        answers = list(zip(batch, outcomes, strict=True))
        is_in_halves = len(answers) >= IN_HALVES_FROM and self._queue.empty()
        told = (len(answers) + 1) // 2 if is_in_halves else len(answers)
        _answer_all(answers[:told], None)
        return answers[told:]

    def _commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                outcomes = self._store.commit(operations)
            except (StoreUnavailableError, SchemaVersionError) as error:
                if isinstance(error, StoreUnavailableError):
                    self.uncertain_count += 1
                if self._closed.is_set() or not error.facts.get("is_transient"):
                    raise
                log.warning("store_unavailable", error=str(error), retry_in_s=pause_s)
                self._closed.wait(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                self.commit_count += 1
                return outcomes


def _answer_all(answers: Sequence[_Answered], error: BaseException | None) -> None:
    """Hand the outcomes over, with one wake-up a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Answer, Outcome | None]]] = {}
    for submission, outcome in answers:
        by_loop.setdefault(submission.loop, []).append((submission.answer, outcome))
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_call_answers, loop, told, error)
        except RuntimeError:
            continue  # that loop is closed: nobody is left to be told


def _call_answers(
    loop: asyncio.AbstractEventLoop, answers: Sequence[tuple[Answer, Outcome | None]], error: BaseException | None
) -> None:
    for answer, outcome in answers:
        try:
            answer(outcome, error)
        except Exception as failure:  # border: one caller's fault must not keep the others from their answers
            loop.call_exception_handler({"message": "an answer to a commit failed", "exception": failure})

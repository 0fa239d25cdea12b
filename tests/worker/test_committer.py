"""Group commit: what has gathered is written together, and everybody gets an answer of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from stent.clock import ManualClock, SystemClock
from stent.errors import SchemaVersionError, StoreUnavailableError
from stent.history.operations import Operation, Outcome, Renewed, RenewWorker
from stent.worker import committer as module
from stent.worker.committer import IN_HALVES_FROM, MAX_BATCH, Chore, Committer
from tests.worker.desk import until


class Refusal(Exception):
    """What a driver raises for an operation that it cannot carry out."""


@dataclass
class FakeWriter:
    """Remembers its batches; waits at a gate; refuses what it is told to, whole batches as a database does."""

    batches: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    bad: set[str] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        self.entered.set()
        assert self.gate.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        names = [name_of(operation) for operation in operations]
        if self.bad.intersection(names):
            raise Refusal(sorted(self.bad.intersection(names)))
        self.batches.append(names)
        return [Renewed(True) for _ in operations]

    @property
    def written(self) -> list[str]:
        return [name for batch in self.batches for name in batch]


def name_of(operation: Operation) -> str:
    assert isinstance(operation, RenewWorker)
    return operation.worker_id


def operation(name: object) -> RenewWorker:
    return RenewWorker(str(name), 1)


@pytest.fixture
def writer() -> FakeWriter:
    return FakeWriter()


@pytest.fixture
async def committer(writer: FakeWriter) -> AsyncIterator[Committer]:
    committer = Committer(writer, SystemClock())
    yield committer
    writer.gate.set()
    await asyncio.to_thread(committer.close)


async def busy(writer: FakeWriter, committer: Committer) -> asyncio.Future[Any]:
    """Hold a first commit at the gate, so that what comes now gathers behind it."""
    writer.gate.clear()
    first = committer.commit(operation("first"))
    await asyncio.to_thread(writer.entered.wait, 10)
    return first


async def test_what_gathers_during_a_commit_is_written_by_the_next_one(
    writer: FakeWriter, committer: Committer
) -> None:
    first = await busy(writer, committer)
    rest = [committer.commit(operation(number)) for number in range(100)]
    writer.gate.set()
    assert {Renewed(True)} == {*await asyncio.gather(first, *rest)}
    assert [["first"], [f"{number}" for number in range(100)]] == writer.batches
    assert 2 == committer.commit_count


async def test_a_transaction_is_bounded(writer: FakeWriter, committer: Committer) -> None:
    first = await busy(writer, committer)
    rest = [committer.commit(operation(number)) for number in range(MAX_BATCH + 10)]
    writer.gate.set()
    await asyncio.gather(first, *rest)
    assert [1, MAX_BATCH, 10] == [len(batch) for batch in writer.batches]


async def test_the_order_of_submissions_is_kept_even_when_one_of_them_is_refused(
    writer: FakeWriter, committer: Committer
) -> None:
    writer.bad = {"3", "5"}
    first = await busy(writer, committer)
    rest = [committer.commit(operation(number)) for number in range(8)]
    writer.gate.set()
    outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
    assert ["first", "0", "1", "2", "4", "6", "7"] == writer.written
    assert [4, 6] == [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Refusal)]


async def test_what_a_later_turn_of_the_loop_submits_comes_behind(writer: FakeWriter, committer: Committer) -> None:
    first = await busy(writer, committer)
    rest = []
    for number in range(4):
        rest.append(committer.commit(operation(number)))
        await asyncio.sleep(0.001)
    writer.gate.set()
    await asyncio.gather(first, *rest)
    assert [["first"], ["0", "1", "2", "3"]] == writer.batches


async def test_a_store_that_is_away_for_a_while_is_tried_again_until_it_is_back(
    writer: FakeWriter, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    writer.failures = [StoreUnavailableError("locked", is_transient=True) for _ in range(4)]
    assert Renewed(True) == await committer.commit(operation("a"))
    assert ["a"] == writer.written


async def test_commits_of_unknown_outcome_are_counted(
    writer: FakeWriter, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever claims has to look then for what it was given and never heard of. A refused version wrote nothing."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    away = [StoreUnavailableError("no answer", is_transient=True) for _ in range(2)]
    writer.failures = [*away, SchemaVersionError("newer", is_transient=True)]
    await committer.commit(operation("a"))
    assert (2, 1) == (committer.uncertain_count, committer.commit_count)


async def test_a_version_that_is_not_known_is_waited_out(
    writer: FakeWriter, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody migrates while this worker runs, and then deploys it anew or goes back."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    writer.failures = [SchemaVersionError("newer", is_transient=True) for _ in range(4)]
    assert Renewed(True) == await committer.commit(operation("a"))
    assert ["a"] == writer.written


async def test_a_store_that_is_gone_for_good_is_an_error(writer: FakeWriter, committer: Committer) -> None:
    writer.failures = [StoreUnavailableError("no such folder")]
    with pytest.raises(StoreUnavailableError, match="no such folder"):
        await committer.commit(operation("a"))
    assert Renewed(True) == await committer.commit(operation("b"))


async def test_closing_writes_what_is_queued_and_then_takes_nothing_more(writer: FakeWriter) -> None:
    committer = Committer(writer, SystemClock())
    first = await busy(writer, committer)
    rest = [committer.commit(operation(number)) for number in range(5)]
    closing = asyncio.create_task(asyncio.to_thread(committer.close))
    await asyncio.sleep(0.01)
    writer.gate.set()
    await closing
    await asyncio.gather(first, *rest)
    assert ["first", "0", "1", "2", "3", "4"] == writer.written
    with pytest.raises(StoreUnavailableError, match="closed"):
        committer.commit(operation("late"))


async def test_what_is_submitted_right_before_the_end_is_written(writer: FakeWriter) -> None:
    """The event loop has not come to hand it over yet."""
    committer = Committer(writer, SystemClock())
    answers = [committer.commit(operation(number)) for number in range(3)]
    committer.close()
    assert ["0", "1", "2"] == writer.written
    await asyncio.wait_for(asyncio.gather(*answers), 10)


async def test_closing_does_not_wait_for_a_store_that_is_away(writer: FakeWriter) -> None:
    committer = Committer(writer, SystemClock())
    writer.failures = [StoreUnavailableError("locked", is_transient=True) for _ in range(10_000)]
    waiting = committer.commit(operation("a"))
    await asyncio.to_thread(writer.entered.wait, 10)
    await asyncio.wait_for(asyncio.to_thread(committer.close), 10)
    with pytest.raises(StoreUnavailableError):
        await waiting


async def test_a_submission_that_races_with_the_end_is_refused_or_answered(writer: FakeWriter) -> None:
    """Never neither: whoever waits for an answer would wait for ever."""
    committer = Committer(writer, SystemClock())
    await committer.commit(operation("first"))
    closing = threading.Thread(target=committer.close)
    closing.start()
    answers, refused = [], False
    while not refused:
        try:
            answers.append(committer.commit(operation(len(answers))))
        except StoreUnavailableError:
            refused = True
    await asyncio.to_thread(closing.join)
    await asyncio.wait_for(asyncio.gather(*answers), 10)


async def test_an_answer_that_raises_does_not_keep_the_others_from_theirs(
    writer: FakeWriter, committer: Committer
) -> None:
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def fail(outcome: object, error: object) -> None:
        raise Refusal("a bug")

    first = await busy(writer, committer)
    committer.submit(operation("bad"), fail)
    last = committer.commit(operation("good"))
    writer.gate.set()
    await asyncio.wait_for(asyncio.gather(first, last), 10)
    assert [Refusal] == [type(context["exception"]) for context in reported]


async def test_answers_come_on_the_loop_that_asked(writer: FakeWriter, committer: Committer) -> None:
    here = threading.get_ident()
    threads: list[int] = []

    def ask_elsewhere() -> int:
        async def ask() -> None:
            done = asyncio.Event()
            committer.submit(operation("b"), lambda *_: (threads.append(threading.get_ident()), done.set()))
            await done.wait()

        asyncio.run(ask())
        return threading.get_ident()

    done = asyncio.Event()
    committer.submit(operation("a"), lambda *_: (threads.append(threading.get_ident()), done.set()))
    await done.wait()
    elsewhere = await asyncio.to_thread(ask_elsewhere)
    assert [here, elsewhere] == threads


async def test_a_loop_that_has_closed_keeps_nobody_else_from_an_answer(
    writer: FakeWriter, committer: Committer
) -> None:
    first = await busy(writer, committer)

    def ask_and_leave() -> None:
        async def ask() -> None:
            committer.submit(operation("gone"), lambda *_: None)

        asyncio.run(ask())

    await asyncio.to_thread(ask_and_leave)
    last = committer.commit(operation("last"))
    writer.gate.set()
    await asyncio.wait_for(asyncio.gather(first, last), 10)
    assert ["first", "gone", "last"] == writer.written


async def test_what_the_first_half_of_a_large_batch_brings_about_is_written_while_the_second_goes_on(
    writer: FakeWriter, committer: Committer
) -> None:
    """Else the loop waits for the disk, and then the disk for the loop."""
    seen: list[str] = []

    def submit(number: int) -> None:
        def answer(_outcome: Outcome | None, _error: BaseException | None) -> None:
            seen.append(f"answer {number}")
            asyncio.get_running_loop().call_soon(turn)

        def turn() -> None:
            seen.append(f"turn {number}")
            committer.submit(operation(f"next {number}"), lambda _outcome, _error: None)

        committer.submit(operation(number), answer)

    for number in range(IN_HALVES_FROM):
        submit(number)
    await until(lambda: len(writer.written) == 2 * IN_HALVES_FROM)
    half = IN_HALVES_FROM // 2
    first, second = range(half), range(half, IN_HALVES_FROM)
    assert [
        *(f"answer {number}" for number in first),
        *(f"turn {number}" for number in first),
        *(f"answer {number}" for number in second),
        *(f"turn {number}" for number in second),
    ] == seen


async def test_the_second_half_is_answered_also_if_the_first_leads_to_nothing(
    writer: FakeWriter, committer: Committer
) -> None:
    waits = [committer.commit(operation(number)) for number in range(2 * IN_HALVES_FROM)]
    assert [Renewed(True)] * len(waits) == await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert 1 == len(writer.batches)


async def test_the_second_half_is_answered_also_at_the_end(writer: FakeWriter) -> None:
    committer = Committer(writer, SystemClock())
    waits = [committer.commit(operation(number)) for number in range(2 * IN_HALVES_FROM)]
    await asyncio.sleep(0)  # handed over
    await asyncio.to_thread(committer.close)
    assert [Renewed(True)] * len(waits) == await asyncio.wait_for(asyncio.gather(*waits), 10)


async def test_the_second_half_is_answered_also_if_the_end_was_taken_with_the_batch(writer: FakeWriter) -> None:
    committer = Committer(writer, SystemClock())
    first = await busy(writer, committer)
    waits = [committer.commit(operation(number)) for number in range(2 * IN_HALVES_FROM)]
    await asyncio.sleep(0)  # handed over
    closing = asyncio.create_task(asyncio.to_thread(committer.close))
    await until(lambda: committer._queue.qsize() == 2)  # the batch and the end
    writer.gate.set()
    await closing
    assert [Renewed(True)] * (len(waits) + 1) == await asyncio.wait_for(asyncio.gather(first, *waits), 10)


async def test_cancelling_the_wait_does_not_undo_the_operation(writer: FakeWriter, committer: Committer) -> None:
    first = await busy(writer, committer)
    committer.commit(operation("a")).cancel()
    last = committer.commit(operation("b"))
    writer.gate.set()
    await asyncio.gather(first, last)
    assert ["first", "a", "b"] == writer.written


async def test_a_chore_is_done_at_its_interval_by_the_thread_even_while_the_loop_is_blocked(
    writer: FakeWriter,
) -> None:
    clock = ManualClock()
    committer = Committer(writer, clock)
    await committer.commit(operation("first"))
    answers: list[object] = []
    chore = Chore(1000, lambda: operation("chore"), asyncio.get_running_loop(), lambda *got: answers.append(got))
    committer.add_chore(chore)
    committer.add_chore(Chore(10**12, lambda: operation("rare"), asyncio.get_running_loop(), lambda *_: None))
    blocked = threading.Event()
    clock.advance(1000)
    writer.entered.clear()
    assert writer.entered.wait(10), "this blocks the loop, and the thread writes all the same"
    blocked.set()
    await until(lambda: bool(answers))
    assert ["first", "chore"] == writer.written
    assert [(Renewed(True), None)] == answers
    committer.remove_chore(chore)
    clock.advance(1000)
    await committer.commit(operation("last"))
    assert ["first", "chore", "last"] == writer.written
    await asyncio.to_thread(committer.close)


async def test_a_chore_may_skip_a_time(writer: FakeWriter) -> None:
    clock = ManualClock()
    committer = Committer(writer, clock)
    wanted: list[RenewWorker | None] = [None, operation("chore")]
    asked = threading.Semaphore(0)

    def next_operation() -> RenewWorker | None:
        asked.release()
        return wanted.pop(0) if wanted else None

    committer.add_chore(Chore(1000, next_operation, asyncio.get_running_loop(), lambda *_: None))
    for _ in range(2):
        clock.advance(1000)
        assert await asyncio.to_thread(asked.acquire, True, 10)
    await asyncio.to_thread(committer.close)
    assert ["chore"] == writer.written

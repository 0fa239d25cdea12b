"""A store on a table in front of a test: short words for what workers and clients do to it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stent.clock import SECOND_US, ManualClock, SystemClock
from stent.codec import PLAIN_JSON, Payload
from stent.history import wire
from stent.history.events import CallScheduled, CancelRequested, Event, Role, RunCompleted, RunStarted, SignalReceived
from stent.history.operations import (
    Append,
    Appended,
    Capabilities,
    ClaimCalls,
    ClaimedCalls,
    ClaimedRuns,
    ClaimRuns,
    Fenced,
    FinishCall,
    Finished,
    Operation,
    Outcome,
    Put,
    PutMessage,
    Reaped,
    ReapWorkers,
    RegisterWorker,
    Release,
    Renewed,
    StartRun,
    Unread,
)
from stent.history.records import ClaimedCall, Message, NewRun, RunRow, SharedCall
from stent.history.store import Store
from stent.history.wire import EventRow

LEASE_US = 10_000_000
NEWS_TIMEOUT_S = 5
PAUSE_S = 0.001
FUNCTIONS = frozenset({"shop.order", "shop.pay", "shop.ship"})
ALL = Capabilities(FUNCTIONS)

_tokens = itertools.count(1)


def payload(text: str = "null") -> Payload:
    return Payload(PLAIN_JSON, text.encode())


def token() -> bytes:
    """Another one each time."""
    return next(_tokens).to_bytes(16, "big")


def new_run(
    run_id: str,
    function: str = "shop.order",
    role: Role = "orchestrator",
    *,
    arguments: Payload | None = None,
    **more: Any,
) -> NewRun:
    """A run with its first event."""
    parents = {name: more[name] for name in ("parent_run", "parent_call", "parent_item") if name in more}
    started = RunStarted(1, 1_000, run_id, function, arguments or payload("[]"), role, **parents)
    row = wire.encode(started, run_id, 0, wire.first_hash(run_id), token())
    return NewRun(run_id, function, role, row, **more)


def signal(run_id: str, key: str, name: str = "news") -> Message:
    return Message(run_id, key, SignalReceived(0, 0, name, payload(f'"{key}"'), key))


def cancel(run_id: str, key: str = "cancel") -> Message:
    return Message(run_id, key, CancelRequested(0, 0, "enough"))


def scheduled(call: int, function: str = "shop.pay") -> CallScheduled:
    return CallScheduled(0, 0, call, function, payload("[1]"), "activity")


def completed() -> RunCompleted:
    return RunCompleted(0, 0, payload('"done"'))


class Rig:
    """One process's view of a store, with the clock of the test."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock

    def do(self, operation: Operation) -> Outcome:
        (outcome,) = self.store.commit([operation])
        return outcome

    # -- clients ---------------------------------------------------------------------------------------------------

    def start(self, run_id: str, *arguments: Any, **more: Any) -> bool:
        """Whether it was created."""
        return bool(self.do(StartRun(new_run(run_id, *arguments, **more))).created)  # type: ignore[union-attr]

    def put(self, message: Message) -> str:
        outcome = self.do(PutMessage(message))
        assert isinstance(outcome, Put)
        return outcome.result

    # -- workers ---------------------------------------------------------------------------------------------------

    def register(self, worker_id: str = "w1", lease_us: int = LEASE_US, **limits: int) -> None:
        operation = RegisterWorker(worker_id, "host", 7, lease_us, None, tuple(limits.items()))
        assert Renewed(True) == self.do(operation)

    def reap(self, *dead: str) -> Reaped:
        outcome = self.do(ReapWorkers(dead))
        assert isinstance(outcome, Reaped)
        return outcome

    def claim_runs(
        self,
        worker_id: str = "w1",
        can: Capabilities = ALL,
        limit: int = 100,
        slots: int = 100,
        only: tuple[str, ...] = (),
    ) -> list[RunRow]:
        outcome = self.do(ClaimRuns(worker_id, can, limit, slots, only))
        assert isinstance(outcome, ClaimedRuns)
        return [self.run(claimed.run_id) for claimed in outcome.runs]

    def claim_ids(self, worker_id: str = "w1", **more: Any) -> list[str]:
        return [run.run_id for run in self.claim_runs(worker_id, **more)]

    def claim_calls(self, worker_id: str = "w1", can: Capabilities = ALL, slots: int = 100) -> list[ClaimedCall]:
        outcome = self.do(ClaimCalls(worker_id, can, slots))
        assert isinstance(outcome, ClaimedCalls)
        return list(outcome.calls)

    def claim_places(self, worker_id: str = "w1", **more: Any) -> list[tuple[str, int, int]]:
        calls = [claimed.call for claimed in self.claim_calls(worker_id, **more)]
        return [(call.run_id, call.call, call.first_item) for call in calls]

    def finish(
        self,
        call: SharedCall,
        worker_id: str = "w1",
        message: Message | None = None,
        remaining: tuple[tuple[int, int], ...] = (),
    ) -> bool:
        outcome = self.do(FinishCall(worker_id, call.run_id, call.call, call.first_item, message, remaining))
        assert isinstance(outcome, Finished)
        return outcome.was_held

    def hold(self, run_id: str, worker_id: str = "w1", **more: Any) -> RunRow:
        """Start a run and have a worker hold it."""
        if worker_id not in {worker.worker_id for worker in self.store.list_workers()}:
            self.register(worker_id)
        self.start(run_id, **more)
        (run,) = self.claim_runs(worker_id, only=(run_id,))
        return run

    # -- holders ---------------------------------------------------------------------------------------------------

    def rows(self, run_id: str, *events: Event, epoch: int | None = None) -> tuple[EventRow, ...]:
        """The next rows of a run's history."""
        last = self.store.last_row(run_id)
        assert last is not None
        placed = [replace(event, seq=last.seq + n, at_us=2_000) for n, event in enumerate(events, 1)]
        return wire.encode_all(placed, run_id, self.epoch(run_id) if epoch is None else epoch, last.hash, token())

    def epoch(self, run_id: str) -> int:
        return self.run(run_id).epoch

    def run(self, run_id: str) -> RunRow:
        run = self.store.get_run(run_id)
        assert run is not None
        return run

    def append(self, run_id: str, *events: Event, epoch: int | None = None, **more: Any) -> Appended | Fenced | Unread:
        """Append events under the run's epoch, or under another one."""
        epoch = self.epoch(run_id) if epoch is None else epoch
        outcome = self.do(Append(run_id, epoch, self.rows(run_id, *events, epoch=epoch), **more))
        assert isinstance(outcome, Appended | Fenced | Unread)
        return outcome

    def release(self, run_id: str, due_us: int | None = None, *, now: bool = False, **more: Any) -> None:
        assert Appended() == self.append(run_id, release=Release(due_us, now), **more)

    def end(self, run_id: str) -> None:
        outcome = self.append(run_id, completed(), status="completed", at_us=2_000, release=Release())
        assert Appended() == outcome

    def share(self, run_id: str, *calls: SharedCall) -> None:
        """Schedule calls and offer them to all workers."""
        last = self.store.last_row(run_id)
        assert last is not None
        offered = tuple(replace(call, seq=last.seq + n) for n, call in enumerate(calls, 1))
        outcome = self.append(run_id, *(scheduled(call.call, call.function) for call in calls), shared=offered)
        assert Appended() == outcome

    # -- what is seen ----------------------------------------------------------------------------------------------

    def seqs(self, run_id: str) -> list[int]:
        return [row.seq for row in self.store.read_rows(run_id)]

    def keys(self, run_id: str) -> list[str]:
        """Messages that wait for the holder of a run."""
        (loaded,) = self.store.load_runs([run_id])
        return [row.message.key for row in loaded.inbox]

    def settle(self) -> None:
        """Wait until the store listens to others, if it has to, and nothing is new to it."""
        news = getattr(self.store, "news", None)  # what listens in the background, where a store has such a thing

        def is_settled() -> bool:
            listens = news is None or not news.can_listen or news.is_listening
            return not self.store.changed() and listens

        assert _soon(is_settled), "it does not begin to listen"

    def notices(self) -> bool:
        """Whether the store notices soon that others have written."""
        return _soon(self.store.changed)

    def shared(self, run_id: str) -> list[tuple[int, int, tuple[tuple[int, int], ...], str | None]]:
        """What is offered of a run: (call, name of the part, items, who carries it out)."""
        (loaded,) = self.store.load_runs([run_id])
        return [(row.call.call, row.call.first_item, row.call.items, row.claimed_by) for row in loaded.shared]


def call(run_id: str, number: int, function: str = "shop.pay", **more: Any) -> SharedCall:
    """A single shared call."""
    return SharedCall(run_id, number, 0, function, **more)


def part(run_id: str, number: int, *items: tuple[int, int], **more: Any) -> SharedCall:
    """A part of a batch."""
    return SharedCall(run_id, number, 0, "shop.pay", items[0][0], tuple(items), **more)


def _soon(is_so: Callable[[], bool]) -> bool:
    """Whether something is so within a few seconds; asked again and again."""
    clock, pause = SystemClock(), threading.Event()
    deadline_us = clock.monotonic_us() + NEWS_TIMEOUT_S * SECOND_US
    while not is_so():
        if clock.monotonic_us() > deadline_us:
            return False
        pause.wait(PAUSE_S)
    return True

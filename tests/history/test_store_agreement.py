"""The store in memory and those on databases give the same outcomes and answers, whatever is done to them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stent.clock import ManualClock
from stent.history import wire
from stent.history.events import CallCompleted, RunFailed, SignalReceived
from stent.history.fold import Status
from stent.history.memory import MemoryStore
from stent.history.operations import (
    Append,
    Capabilities,
    ClaimCalls,
    ClaimedCalls,
    ClaimRuns,
    FinishCall,
    Operation,
    PutMessage,
    ReapWorkers,
    RegisterWorker,
    Release,
    RenewWorker,
    StartRun,
)
from stent.history.records import InboxRow, Message, NewRun, RunFilter, SharedCall
from stent.history.store import Store
from stent.testing.conformance.rigging import ALL, FUNCTIONS, cancel, new_run, payload, scheduled, signal, token
from tests.history.stores import STORES

RUNS = ("a", "b", "c", "d")
WORKERS = ("w1", "w2", "w3")
KEYS = ("k", "l")
FUNCTION_NAMES = sorted(FUNCTIONS)
START_US = ManualClock().now_us()


def _put_by(message: Message, name: str) -> Message:
    return replace(message, event=replace(message.event, put=name))


runs = st.sampled_from(RUNS)
workers = st.sampled_from(WORKERS)
functions = st.sampled_from(FUNCTION_NAMES)
queues = st.sampled_from([None, "q"])
tag_sets = st.sampled_from([(), ("t",), ("t", "u")])
limit_keys = st.sampled_from([None, None, "slow"])
times = st.none() | st.integers(-5, 30).map(lambda after: START_US + after)
statuses: st.SearchStrategy[Status] = st.sampled_from(["pending", "running", "failed", "completed", "stalled"])
signals = st.builds(signal, runs, st.sampled_from(KEYS))
signals |= st.builds(lambda message, is_once: replace(message, is_once=is_once), signals, st.booleans())
signals |= st.builds(_put_by, signals, st.sampled_from(["p", "q"]))
messages = signals | st.builds(cancel, runs) | st.builds(_put_by, st.builds(cancel, runs), st.sampled_from(["p", "q"]))
outcomes = st.builds(Message, runs, st.sampled_from(KEYS), st.just(CallCompleted(0, 0, 1, payload())))
capabilities = st.just(ALL) | st.builds(
    Capabilities,
    st.frozensets(functions, min_size=1),
    st.none() | st.frozensets(st.sampled_from(["q", "default"])),
    st.none() | st.frozensets(st.sampled_from(["t", "u"])),
)
CAPABILITIES = [
    Capabilities(frozenset(FUNCTION_NAMES[:2])),
    Capabilities(FUNCTIONS, frozenset({"q"})),
    Capabilities(FUNCTIONS, None, frozenset({"t"})),
    Capabilities(FUNCTIONS, frozenset({"q", "default"}), frozenset({"t", "u"})),
]
singles = st.builds(
    SharedCall,
    runs,
    st.integers(1, 3),
    st.just(1),
    functions,
    queue=queues,
    priority=st.integers(-1, 1),
    tags=tag_sets,
    limit_key=limit_keys,
    attempt=st.integers(1, 2),
)
parts = st.builds(
    lambda call, first, sizes: replace(call, first_item=first, items=((first, first + sizes[0]), (9, 9 + sizes[1]))),
    singles,
    st.integers(0, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 3)),
)


@st.composite
def new_runs(draw: st.DrawFn) -> NewRun:
    return new_run(
        draw(runs),
        draw(functions),
        draw(st.sampled_from(["orchestrator", "activity"])),
        arguments=payload("x" * draw(st.sampled_from([2, 2, 1_500]))),
        queue=draw(queues),
        priority=draw(st.integers(-1, 1)),
        tags=draw(tag_sets),
        limit_key=draw(limit_keys),
        due_us=draw(times),
        owner=draw(st.none() | workers),
        parent_run=draw(st.none() | runs),
    )


commands = new_runs().map(StartRun) | (messages | outcomes).map(PutMessage)


class Agreement(RuleBasedStateMachine):
    """Each operation goes to both stores."""

    store_name = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(START_US)
        self.folder = tempfile.TemporaryDirectory()
        self.model = MemoryStore(self.clock)
        self.store = STORES[self.store_name](Path(self.folder.name), self.clock)()
        self.store.initialise()
        self.claims: list[tuple[str, SharedCall]] = []
        self.appends: list[Append] = []
        self.commit(*(RegisterWorker(worker, "host", 1, 40, None, (("slow", 2),)) for worker in WORKERS))
        self.commit(*(StartRun(new_run(run_id)) for run_id in RUNS[:2]))

    def claimed_of(self, run_id: str) -> list[int]:
        return [shared.call for _, shared in self.claims if shared.run_id == run_id]

    def teardown(self) -> None:
        self.answers_agree()
        self.store.close()
        self.folder.cleanup()

    def commit(self, *operations: Operation) -> None:
        expected = self.model.commit(operations)
        assert expected == self.store.commit(operations)
        for operation, outcome in zip(operations, expected, strict=True):
            if isinstance(operation, ClaimCalls) and isinstance(outcome, ClaimedCalls):
                self.claims += [(operation.worker_id, claimed.call) for claimed in outcome.calls]

    @rule(some=st.lists(commands, min_size=1, max_size=4))
    def clients(self, some: list[StartRun | PutMessage]) -> None:
        self.commit(*some)

    @rule(worker=workers, can=capabilities, limit=st.integers(0, 4), slots=st.integers(0, 3))
    def claim_runs(self, worker: str, can: Capabilities, limit: int, slots: int) -> None:
        self.commit(ClaimRuns(worker, can, limit, slots))

    @rule(worker=workers, names=st.lists(runs, min_size=1, max_size=3))
    def claim_runs_by_name(self, worker: str, names: list[str]) -> None:
        self.commit(ClaimRuns(worker, Capabilities(FUNCTIONS), 1, 1, tuple(names)))

    @rule(worker=workers, can=capabilities, slots=st.integers(0, 5))
    def claim_calls(self, worker: str, can: Capabilities, slots: int) -> None:
        self.commit(ClaimCalls(worker, can, slots))

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if not self.claims:
            return
        worker, shared = data.draw(st.sampled_from(self.claims))
        remaining = data.draw(st.sampled_from([(), shared.items[:1], shared.items[1:]]))
        worker = data.draw(st.sampled_from([worker, worker, *WORKERS]))
        message = data.draw(st.none() | messages)
        self.commit(FinishCall(worker, shared.run_id, shared.call, shared.first_item, message, remaining))

    @rule(data=st.data(), run_id=runs)
    def append(self, data: st.DataObject, run_id: str) -> None:
        last, run = self.model.last_row(run_id), self.model.get_run(run_id)
        seq = (last.seq if last else 0) + data.draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
        epoch = (run.epoch if run else 0) + data.draw(st.sampled_from([0, 0, 0, 0, -1, 1]))
        count = data.draw(st.sampled_from([0, 1, 2, 9]))
        events: list[Any] = [scheduled(number) for number in range(1, count + 1)]
        status: Status | None = data.draw(
            st.sampled_from([None, None, None, "running", "stalled", "failed", "completed"])
        )
        if status == "failed" and events:
            events[-1] = RunFailed(0, 0, payload())
        if status != "completed" and events and data.draw(st.booleans()):
            events[0] = SignalReceived(0, 0, "news", payload(), data.draw(st.sampled_from(KEYS)))
        placed = [replace(event, seq=seq + n, at_us=START_US) for n, event in enumerate(events)]
        rows = wire.encode_all(placed, run_id, epoch, last.hash if last else b"", token())
        shared = data.draw(st.lists(singles | parts, max_size=2))
        release = data.draw(st.none() | st.builds(Release, times, st.booleans()))
        operation = Append(
            run_id,
            epoch,
            rows,
            consumed=tuple(data.draw(st.lists(st.sampled_from([*KEYS, "cancel"]), max_size=2))),
            children=tuple(data.draw(st.lists(new_runs(), max_size=1))),
            messages=tuple(data.draw(st.lists(messages | outcomes, max_size=2))),
            shared=tuple(replace(call, run_id=run_id) for call in shared),
            withdrawn=tuple(data.draw(st.lists(st.sampled_from([*self.claimed_of(run_id), 1, 2]), max_size=1))),
            status=status,
            at_us=START_US + 7,
            stall="why" if status == "stalled" else None,
            release=release,
            next_run=data.draw(st.sampled_from([None, None, *(other for other in RUNS if other != run_id)])),
        )
        self.appends.append(operation)
        self.commit(operation)

    @rule(
        run_id=runs, shared=st.lists(singles | parts, min_size=1, max_size=3), worker=workers, slots=st.integers(1, 6)
    )
    def share_and_claim(self, run_id: str, shared: list[SharedCall], worker: str, slots: int) -> None:
        """What chance alone seldom gets right: calls that are offered in order, and claimed."""
        run = self.model.get_run(run_id)
        if run is not None:
            offered = tuple(replace(call, run_id=run_id) for call in shared)
            self.commit(Append(run_id, run.epoch, shared=offered), ClaimCalls(worker, ALL, slots))

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if not self.claims:
            return
        _, shared = data.draw(st.sampled_from(self.claims))
        run = self.model.get_run(shared.run_id)
        assert run is not None, "runs are never removed"
        self.commit(Append(shared.run_id, run.epoch, withdrawn=(shared.call,)))

    @rule(data=st.data())
    def append_again(self, data: st.DataObject) -> None:
        if self.appends:
            self.commit(data.draw(st.sampled_from(self.appends[-5:])))

    @rule(worker=workers, limit=st.integers(0, 4))
    def register(self, worker: str, limit: int) -> None:
        self.commit(RegisterWorker(worker, "host", 1, 40, None, (("slow", limit),)), RenewWorker(worker, 50, limit))

    @rule(dead=st.frozensets(workers, max_size=1))
    def reap(self, dead: frozenset[str]) -> None:
        self.commit(ReapWorkers(tuple(dead)))

    @rule(delta_us=st.integers(0, 30))
    def pass_time(self, delta_us: int) -> None:
        self.clock.advance(delta_us)

    @rule(data=st.data())
    def list_runs(self, data: st.DataObject) -> None:
        wanted = RunFilter(
            statuses=tuple(data.draw(st.sets(statuses, max_size=2))),
            function=data.draw(st.none() | functions),
            parent_run=data.draw(st.none() | runs),
            roots_only=data.draw(st.booleans()),
            tags=data.draw(tag_sets),
            queue=data.draw(st.sampled_from([None, "q", "default"])),
            created_after_us=data.draw(times),
            created_before_us=data.draw(times),
            id_prefix=data.draw(st.sampled_from([None, "", "a", "%"])),
            before=data.draw(st.none() | st.tuples(st.integers(0, 30).map(lambda after: START_US + after), runs)),
            limit=data.draw(st.integers(0, 5)),
        )
        assert self.model.list_runs(wanted) == self.store.list_runs(wanted)

    @rule()
    def answers_agree(self) -> None:
        assert answers(self.model) == answers(self.store)

    @invariant()
    def runs_agree(self) -> None:
        assert runs_of(self.model) == runs_of(self.store)


def runs_of(store: Store) -> list[object]:
    """All there is of every run. Of a message's number only the order counts."""
    loaded = store.load_runs(RUNS)
    return [(run.run, run.rows, [row.message for row in run.inbox], run.shared) for run in loaded]


def _by_run(found: Sequence[InboxRow]) -> list[Message]:
    """The messages of each run in their order: between runs there is none, for a batch is not written in a line."""
    return [row.message for row in sorted(found, key=lambda row: row.message.run_id)]


def answers(store: Store) -> list[object]:
    """Every question, asked about everything."""
    return [
        [(store.last_row(run_id), store.terminal_row(run_id)) for run_id in RUNS],
        sorted(store.ended_among(RUNS), key=lambda row: row.run_id),
        [_by_run(store.read_inbox(worker)) for worker in WORKERS],
        [store.cancelled_calls(worker) for worker in WORKERS],
        [store.glance(worker, can) for worker in WORKERS for can in CAPABILITIES],
        [store.has_sleepers(can) for can in CAPABILITIES],
        store.read_outlines(RUNS),
        store.list_workers(),
        store.stalled_runs(2, {"a"}),
        [store.queue_depth(queue) for queue in (None, "q", "default")],
        store.count_unfinished(),
        store.find_runs("", 3),
    ]


class PostgresAgreement(Agreement):
    store_name = "postgres"


TestAgreement = pytest.mark.slow(Agreement.TestCase)
TestAgreement.settings = settings(
    max_examples=8,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

TestPostgresAgreement = pytest.mark.slow(PostgresAgreement.TestCase)
TestPostgresAgreement.settings = TestAgreement.settings

"""One batch of operations on its way into PostgreSQL: locks, then level by level. Opens and ends no transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stent.history.operations import (
    Append,
    ClaimCalls,
    ClaimedCalls,
    ClaimedRuns,
    ClaimRuns,
    FinishCall,
    GiveBack,
    Operation,
    Outcome,
    PutMessage,
    Reaped,
    ReapWorkers,
    RegisterWorker,
    RenewWorker,
    StartRun,
)
from stent.history.sql.postgres_batches import Level, locks_of
from stent.history.sql.postgres_claims import claim_calls, claim_runs, finish_calls, lock_limits
from stent.history.sql.postgres_messages import put_messages
from stent.history.sql.postgres_runs import append_events
from stent.history.sql.postgres_starts import start_runs
from stent.history.sql.postgres_talk import NOW, Answers, Send, Statement, Talk, converse, texts
from stent.history.sql.postgres_workers import give_back, lock_workers, reap_workers, register_worker, renew_worker
from stent.history.sql.rows import Row

Check = tuple[Statement, Callable[[list[Row]], None]]
"""A question that travels with the begin of a transaction, and who is told its answer: an error ends it all."""

_TRANSACTION = f"SELECT pg_current_xact_id()::text, {NOW}"
_LOCK_RUNS = "SELECT run_id FROM stent_runs WHERE run_id = ANY(%s::text[]) ORDER BY run_id FOR NO KEY UPDATE"


class Batch:
    """Operations, divided into levels, that are written through `send`."""

    def __init__(self, operations: Sequence[Operation], levels: Sequence[Level], send: Send) -> None:
        self.transaction = ""
        self.now_us = 0
        self._operations = operations
        self._levels = levels
        self._send_now = send
        self._lead: list[Statement] = []
        self._check: Check | None = None
        self._alive: set[str] = set()
        self._locked: set[str] = set()
        self._talks: dict[type, Callable[[list[Any]], Talk]] = {
            StartRun: start_runs,
            PutMessage: put_messages,
            Append: append_events,
            FinishCall: finish_calls,
            ClaimRuns: self._claim_runs,
            ClaimCalls: self._claim_calls,
            RegisterWorker: self._register,
            RenewWorker: lambda operations: renew_worker(operations[0]),
            ReapWorkers: self._reap,
            GiveBack: lambda operations: give_back(operations[0]),
        }

    def begin(self, lead: Sequence[Statement], check: Check | None = None) -> None:
        """Begin a transaction with the next thing that is sent: `lead`, a check, then all locks in their order."""
        locks = locks_of(self._operations)
        self._check = check
        self._lead = [*lead, *([check[0]] if check else []), Statement(_TRANSACTION)]
        if locks.workers:
            self._lead.append(lock_workers(locks.workers))
        if locks.kinds:
            self._lead.append(lock_limits(locks.kinds, locks.limit_keys, locks.claimed_runs))
        if locks.runs:
            self._lead.append(Statement(_LOCK_RUNS, (texts(sorted(locks.runs)),)))
        if locks.kinds:  # claims must know what is locked
            answers = self._send([])
            self._alive = {worker_id for (worker_id,) in answers[0]}
            self._locked = {key for (key,) in answers[1]}

    def write(self) -> list[Outcome]:
        """Everything, in order; one outcome for each operation."""
        outcomes: dict[int, Outcome] = {}
        for level in self._levels:
            talks = [self._talks[kind]([self._operations[place] for place in places]) for kind, places in level]
            for (_, places), found in zip(level, converse(talks, self._send), strict=True):
                outcomes.update(zip(places, found, strict=True))
        return [outcomes[place] for place in range(len(self._operations))]

    def _send(self, statements: list[Statement]) -> Answers:
        """Send, and in front of the first statements what begins the transaction."""
        if not self._lead:
            return self._send_now(statements)
        lead, self._lead = self._lead, []
        answers = self._send_now([*lead, *statements])
        began = next(place for place, statement in enumerate(lead) if statement.sql is _TRANSACTION)
        if self._check is not None:
            self._check[1](answers[began - 1])
        ((self.transaction, self.now_us),) = answers[began]
        return answers[began + 1 :] if not statements else answers[len(lead) :]

    # -- what depends on the locks -----------------------------------------------------------------------------------

    def _claim_runs(self, operations: list[ClaimRuns]) -> Talk:
        if operations[0].worker_id not in self._alive:
            return [ClaimedRuns(())]
        return (yield from claim_runs(operations[0], self._locked))

    def _claim_calls(self, operations: list[ClaimCalls]) -> Talk:
        if operations[0].worker_id not in self._alive:
            return [ClaimedCalls(())]
        return (yield from claim_calls(operations[0], self._locked))

    def _register(self, operations: list[RegisterWorker]) -> Talk:
        outcomes = yield from register_worker(operations[0])
        self._alive.add(operations[0].worker_id)
        self._locked |= {key for key, _ in operations[0].limits}
        return outcomes

    def _reap(self, operations: list[ReapWorkers]) -> Talk:
        outcomes = yield from reap_workers(operations[0])
        for outcome in outcomes:
            assert isinstance(outcome, Reaped), "the outcome of reaping"
            self._alive -= set(outcome.workers)
        return outcomes

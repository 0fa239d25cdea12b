"""Every operation on an SQLite database, and what carries it out.

Rules of this file and of the three whose functions it names:
- all of it runs inside BEGIN IMMEDIATE on the one writing connection, so it is serial: a check and a write cannot be
  torn apart by another process;
- lock order is of no matter in SQLite; statements still follow it (see `schema`), so that both stores read alike;
- hot statements go straight to the driver: SQLAlchemy's part is the schema, the connections and the reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stent.history.operations import (
    Append,
    Appended,
    ClaimCalls,
    ClaimRuns,
    FinishCall,
    GiveBack,
    Operation,
    Outcome,
    PutMessage,
    ReapWorkers,
    RegisterWorker,
    RenewWorker,
    StartRun,
)
from stent.history.sql import sqlite_claims, sqlite_runs, sqlite_workers
from stent.history.sql.cursor import Cursor
from stent.history.sql.sqlite_appends import are_one_statement, groups, write

_HANDLERS: dict[type, Callable[[Cursor, Any, int], Outcome]] = {
    StartRun: sqlite_runs.start_run,
    PutMessage: sqlite_runs.put_message,
    Append: sqlite_runs.append,
    ClaimRuns: sqlite_claims.claim_runs,
    ClaimCalls: sqlite_claims.claim_calls,
    FinishCall: sqlite_claims.finish_call,
    RegisterWorker: sqlite_workers.register_worker,
    RenewWorker: sqlite_workers.renew_worker,
    ReapWorkers: sqlite_workers.reap_workers,
    GiveBack: sqlite_workers.give_back,
}


class Writes:
    """Operations applied through one cursor, inside a transaction that somebody else begins and commits."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def apply(self, operation: Operation, now_us: int) -> Outcome:
        return _HANDLERS[type(operation)](self._cursor, operation, now_us)

    def apply_all(self, operations: Sequence[Operation], now_us: int) -> list[Outcome]:
        """One after the other, but appends together where one statement can write them and none is refused."""
        outcomes: list[Outcome] = []
        for group in groups(operations):
            if len(group) > 1 and are_one_statement(group) and write(self._cursor, group):
                outcomes += [Appended()] * len(group)
            else:
                outcomes += [self.apply(operation, now_us) for operation in group]
        return outcomes

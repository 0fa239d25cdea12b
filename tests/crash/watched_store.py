"""A SQLite store that writes down which outcomes are durable, and dies or fails at the commit it was told to.

Rules of this file:
- "recorded" is written into the ledger when the commit that holds an outcome has come back, and before any fault;
- faults happen around `commit`, where a process can really be killed, and nowhere in Stent itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stent.backends import StoreBackend
from stent.clock import SystemClock
from stent.durable.context import idempotency_key
from stent.errors import StoreUnavailableError
from stent.history import wire
from stent.history.events import (
    BatchItemsCompleted,
    CallCompleted,
    CallFailed,
    Event,
    RunCompleted,
    RunFailed,
    indexes_of,
)
from stent.history.operations import Append, Appended, FinishCall, Finished, Operation, Outcome
from stent.history.sql.sqlite import SQLiteStore
from stent.registry import default_registry
from stent.worker.slots import SINGLE, Attempt
from tests.crash.place import ledger

Side = Literal["before", "after", "unsure"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a commit, counted from 1: killed before it, killed after it, or done and reported as failed.

    `pause` is called between the commit and that report.
    """

    side: Side
    commit: int
    pause: Callable[[], object] = bool


class WatchedStore(SQLiteStore):
    """As the store it is, with a witness and one fault."""

    def __init__(self, path: Path, fault: Fault | None = None) -> None:
        super().__init__(path)
        self.commit_count = 0
        self.fault = fault

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        self.commit_count += 1
        fault = self.fault if self.fault is not None and self.fault.commit == self.commit_count else None
        if fault is not None and fault.side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        outcomes = super().commit(operations)
        for key in _recorded(operations, outcomes):
            ledger().write("recorded", "", key)
        if fault is not None and fault.side == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault is not None:
            fault.pause()
            raise StoreUnavailableError("the answer to this commit was lost on purpose", is_transient=True)
        return outcomes


def watched_backend(path: Path, fault: Fault | None = None) -> tuple[StoreBackend, WatchedStore]:
    """A backend on a watched store, and that store."""
    store = WatchedStore(path, fault)
    return StoreBackend(f"sqlite:///{path}", lambda: store, SystemClock()), store


def _recorded(operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The idempotency keys of all calls whose outcome a commit has made durable."""
    for operation, outcome in zip(operations, outcomes, strict=True):
        if isinstance(operation, Append) and isinstance(outcome, Appended):
            for row in operation.rows:
                yield from _keys(operation.run_id, wire.decode(row))
        elif isinstance(operation, FinishCall) and outcome == Finished(True) and operation.message is not None:
            yield from _keys(operation.run_id, operation.message.event)


def _keys(run_id: str, event: Event) -> Iterator[str]:
    match event:
        case CallCompleted(call=call) | CallFailed(call=call):
            yield _key(run_id, call)
        case BatchItemsCompleted(call=call, items=items):
            for item in indexes_of(items):
                yield _key(run_id, call, item)
        case RunCompleted() | RunFailed():
            yield _key(run_id, 0)


def _key(run_id: str, call: int, item: int = SINGLE) -> str:
    function = next(iter(default_registry))  # of no account: the key is made of the place alone
    return idempotency_key(Attempt(run_id, call, item, function, 1, function.call_options))

"""The interfaces of a store, split by who uses them.

Rules for every store (one conformance suite, `stent.testing.conformance`, proves them):
- `Writer.commit` is one transaction: all operations or none; within it each operation succeeds or is refused alone;
- what `commit` returned is durable; an exception from it means the outcome is not known, and the same operations
  may be committed again without harm;
- an `Append` is applied if and only if the run's epoch is the one it names and its first seq is the next one;
- a claim raises the epoch, so whoever held the run before can append no more;
- times are the store's own (`now_us`), so that workers with wrong clocks do no harm;
- methods block; they are called from threads of the engine, `commit` from one thread at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from stent.history.operations import Capabilities, Operation, Outcome, StartRun
from stent.history.records import Glance, InboxRow, LoadedRun, Outline, RunFilter, RunRow, SchemaState, WorkerRow
from stent.history.wire import EventRow

DUE_RUNS_A_CLAIM = 500
"""Sleepers woken in one transaction: bounded, so that nobody waits long behind it."""


class Writer(Protocol):
    """The one door for changes."""

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Apply operations in one transaction; one outcome each, in order. StoreError if the store cannot."""
        ...


class Reader(Protocol):
    """Short reads; each sees one consistent state."""

    def get_run(self, run_id: str) -> RunRow | None: ...

    def find_runs(self, id_prefix: str, limit: int) -> list[str]:
        """Ids that begin with a prefix, at most `limit`, in order."""
        ...

    def list_runs(self, wanted: RunFilter) -> list[RunRow]:
        """Runs, newest first."""
        ...

    def read_rows(self, run_id: str, after_seq: int = 0, limit: int | None = None) -> list[EventRow]:
        """The events of a run after a seq, in order; empty for a run that does not exist."""
        ...

    def read_outlines(self, run_ids: Sequence[str]) -> dict[str, list[Outline]]:
        """What happened in many runs, without user data: by run, in order; unknown ids are left out."""
        ...

    def last_row(self, run_id: str) -> EventRow | None:
        """The newest event of a run."""
        ...

    def terminal_row(self, run_id: str) -> EventRow | None:
        """The event that ended a run, or None while it goes on."""
        ...

    def ended_among(self, run_ids: Sequence[str]) -> list[EventRow]:
        """The terminal events of those runs that have ended."""
        ...

    def load_runs(self, run_ids: Sequence[str]) -> list[LoadedRun]:
        """All that a holder needs to go on with runs, in the order asked for; unknown ids are left out."""
        ...

    def read_inbox(self, worker_id: str) -> list[InboxRow]:
        """Messages for all runs that a worker holds, those of each run in order."""
        ...

    def cancelled_calls(self, worker_id: str) -> list[tuple[str, int, int]]:
        """Shared calls that a worker carries out and nobody wants any longer: (run id, call, first item)."""
        ...

    def possessions(self, worker_id: str) -> tuple[list[str], list[tuple[str, int, int]]]:
        """What a worker has: ids of runs, and (run id, call, first item) of shared calls; both in order."""
        ...

    def list_workers(self) -> list[WorkerRow]: ...

    def stalled_runs(self, limit: int, tried: Collection[str] = ()) -> list[RunRow]:
        """Stalled runs that nobody holds, oldest first, without those in `tried`."""
        ...

    def queue_depth(self, queue: str | None = None) -> int:
        """How many runs and shared calls wait for a worker."""
        ...

    def glance(self, worker_id: str, can: Capabilities) -> Glance:
        """Whether there is anything to do for a worker that can do this: one statement."""
        ...

    def has_sleepers(self, can: Capabilities) -> bool:
        """Whether a run that nobody holds, and that such a worker may take, wakes by itself at a time."""
        ...

    def count_unfinished(self) -> int:
        """How many runs have not ended."""
        ...


class Changes(Protocol):
    """A hint that others may have written. It may cry wolf and it may be late; every fact is a row."""

    def changed(self) -> bool:
        """Whether anything was committed elsewhere since the last question. Costs no statement where that can be."""
        ...


class Guest(Protocol):
    """Writing as a part of what somebody else commits or rolls back."""

    async def start_within(self, connection: object, operation: StartRun) -> EventRow | None:
        """Start a run through a connection of the caller's own, in the caller's transaction, by event loop.

        None if it was started; else the first event of the run that has this id. OptionError for a connection that
        cannot do it; other errors are the driver's own, as any statement of the caller might raise them.
        """
        ...


class Store(Writer, Reader, Changes, Guest, Protocol):
    """A whole store."""

    url: str

    def now_us(self) -> int:
        """The store's own time."""
        ...

    def initialise(self) -> None:
        """Create what is missing, migrate what is older. SchemaVersionError if this Stent cannot work with it."""
        ...

    def close(self) -> None:
        """Free everything; closing twice is closing once."""
        ...


class DatabaseStore(Store, Protocol):
    """A store on tables, which have a version."""

    def schema_state(self) -> SchemaState:
        """Where the tables stand, and what `initialise` would do. Changes nothing."""
        ...

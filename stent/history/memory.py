"""The store in memory, for tests and simulation: as strict as the ones on SQL, and gone with the process.

Rules of this file:
- one lock; a commit is applied whole or taken back whole;
- one conformance suite runs on this store and on the ones on SQL, so a test that passes here means something there.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Self

from stent.clock import Clock, SystemClock
from stent.errors import OptionError
from stent.history import memory_tables as questions
from stent.history.memory_tables import Tables
from stent.history.memory_writes import MemoryWrites
from stent.history.operations import Capabilities, Operation, Outcome, StartRun
from stent.history.records import Glance, InboxRow, LoadedRun, Outline, RunFilter, RunRow, WorkerRow
from stent.history.wire import EventRow


class MemoryStore:
    """One process's view of a store in memory. `peer()` gives the view of another process."""

    url = "memory:"

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._tables = Tables()
        self._seen_version = 0

    def peer(self) -> Self:
        """Another view of the same data, which notices what this one commits, and the other way round."""
        other = type(self)(self._clock)
        other._lock = self._lock
        other._tables = self._tables
        return other

    async def start_within(self, connection: object, operation: StartRun) -> EventRow | None:
        raise OptionError(
            "connection=: a store in memory has no part in anybody's transaction",
            fix="use a database in this test, such as SQLiteBackend(tmp_path / 'stent.db')",
            option="connection",
        )

    def now_us(self) -> int:
        return self._clock.now_us()

    def initialise(self) -> None:
        """Nothing is missing in memory."""

    def close(self) -> None:
        """Nothing to free: the data lives as long as a view of it."""

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        with self._lock:
            tables = self._tables
            writes = MemoryWrites(tables, self._clock.now_us())
            try:
                outcomes = [writes.apply(operation) for operation in operations]
            except BaseException:  # border: whatever went wrong, half a commit must not stay
                tables.take_back()
                raise
            saw_all = self._seen_version == tables.version
            tables.keep()
            if saw_all:
                self._seen_version = tables.version
            return outcomes

    def changed(self) -> bool:
        with self._lock:
            is_changed = self._seen_version != self._tables.version
            self._seen_version = self._tables.version
            return is_changed

    # -- questions -------------------------------------------------------------------------------------------------

    def get_run(self, run_id: str) -> RunRow | None:
        with self._lock:
            return self._tables.runs.get(run_id)

    def find_runs(self, id_prefix: str, limit: int) -> list[str]:
        with self._lock:
            return sorted(run.run_id for run in self._tables.runs if run.run_id.startswith(id_prefix))[:limit]

    def list_runs(self, wanted: RunFilter) -> list[RunRow]:
        with self._lock:
            return questions.list_runs(self._tables, wanted)

    def read_rows(self, run_id: str, after_seq: int = 0, limit: int | None = None) -> list[EventRow]:
        with self._lock:
            return questions.read_rows(self._tables, run_id, after_seq, limit)

    def read_outlines(self, run_ids: Sequence[str]) -> dict[str, list[Outline]]:
        with self._lock:
            return questions.read_outlines(self._tables, run_ids)

    def last_row(self, run_id: str) -> EventRow | None:
        with self._lock:
            return questions.last_row(self._tables, run_id)

    def terminal_row(self, run_id: str) -> EventRow | None:
        with self._lock:
            return questions.terminal_row(self._tables, run_id)

    def ended_among(self, run_ids: Sequence[str]) -> list[EventRow]:
        with self._lock:
            return questions.ended_among(self._tables, run_ids)

    def load_runs(self, run_ids: Sequence[str]) -> list[LoadedRun]:
        with self._lock:
            loaded = [questions.load_run(self._tables, run_id) for run_id in run_ids]
            return [run for run in loaded if run is not None]

    def read_inbox(self, worker_id: str) -> list[InboxRow]:
        with self._lock:
            return questions.read_inbox(self._tables, worker_id)

    def cancelled_calls(self, worker_id: str) -> list[tuple[str, int, int]]:
        with self._lock:
            return questions.cancelled_calls(self._tables, worker_id)

    def possessions(self, worker_id: str) -> tuple[list[str], list[tuple[str, int, int]]]:
        with self._lock:
            tables = self._tables
            return (
                sorted(run.run_id for run in tables.runs if run.owner == worker_id),
                sorted(place for place, row in tables.ready.items() if row.claimed_by == worker_id),
            )

    def list_workers(self) -> list[WorkerRow]:
        with self._lock:
            return sorted(self._tables.workers, key=lambda worker: (worker.started_at_us, worker.worker_id))

    def stalled_runs(self, limit: int, tried: Collection[str] = ()) -> list[RunRow]:
        with self._lock:
            return questions.stalled_runs(self._tables, limit, tried)

    def queue_depth(self, queue: str | None = None) -> int:
        with self._lock:
            return questions.queue_depth(self._tables, queue)

    def glance(self, worker_id: str, can: Capabilities) -> Glance:
        with self._lock:
            return questions.glance(self._tables, worker_id, can, self._clock.now_us())

    def has_sleepers(self, can: Capabilities) -> bool:
        with self._lock:
            return questions.has_sleepers(self._tables, can)

    def count_unfinished(self) -> int:
        with self._lock:
            return sum(run.finished_at_us is None for run in self._tables.runs)

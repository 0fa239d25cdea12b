"""Every question asked of the store in memory, each under the lock that commits take."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from stent.clock import Clock
from stent.history import memory_tables as questions
from stent.history.memory_tables import Tables
from stent.history.operations import Capabilities
from stent.history.records import Glance, InboxRow, LoadedRun, Outline, RunFilter, RunRow, WorkerRow
from stent.history.wire import EventRow


class MemoryReads:
    """The reading half of a store in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tables = Tables()

    def now_us(self) -> int:
        return self._clock.now_us()

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

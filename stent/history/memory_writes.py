"""Every operation on the store in memory, and who carries out what: claims, and the leases of workers.

Statement by statement this does what `stent.history.sql` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from stent.history.events import split_ranges
from stent.history.memory_runs import MemoryRuns
from stent.history.memory_tables import Kind, ReadyRow, last_row
from stent.history.operations import (
    Append,
    Capabilities,
    ClaimCalls,
    ClaimedCalls,
    ClaimedRuns,
    ClaimRuns,
    FinishCall,
    Finished,
    GiveBack,
    Operation,
    Outcome,
    PutMessage,
    Reaped,
    ReapWorkers,
    RegisterWorker,
    Renewed,
    RenewWorker,
    StartRun,
)
from stent.history.records import (
    ClaimedCall,
    ClaimedRun,
    SharedCall,
    WorkerRow,
)
from stent.history.store import DUE_RUNS_A_CLAIM


class MemoryWrites(MemoryRuns):
    """All operations: what happens to runs, and who carries out what."""

    def apply(self, operation: Operation) -> Outcome:
        return _HANDLERS[type(operation)](self, operation)

    # -- claiming --------------------------------------------------------------------------------------------------

    def _claim_runs(self, operation: ClaimRuns) -> Outcome:
        if operation.worker_id not in self.tables.workers:
            return ClaimedRuns(())
        if operation.only:
            return ClaimedRuns(self._take_runs(filter(self._may_begin, operation.only), operation.worker_id))
        self._wake_due()
        claimed: tuple[ClaimedRun, ...] = ()
        kinds: tuple[tuple[Kind, int], ...] = (
            ("orchestrator", operation.limit),
            ("activity", min(operation.slots, operation.limit)),
        )
        for kind, room in kinds:
            found = [row.call.run_id for row, _ in self._open_ready(kind, operation.can, room)]
            claimed += self._take_runs(found, operation.worker_id)
        return ClaimedRuns(claimed)

    def _wake_due(self) -> None:
        sleeping = self.tables.sleeping
        due = sorted((due_us, run_id) for run_id, due_us in sleeping.items() if due_us <= self.now_us)
        for _, run_id in due[:DUE_RUNS_A_CLAIM]:
            sleeping.remove(run_id)
            self.make_ready(run_id)

    def _may_begin(self, run_id: str) -> bool:
        run = self.tables.runs.get(run_id)
        if run is None or run.limit_key is None or run.started_at_us is not None:
            return True
        return self._limit_left(run.limit_key, 1) > 0

    def _take_runs(self, run_ids: Iterable[str], worker_id: str) -> tuple[ClaimedRun, ...]:
        taken = (self._take_run(run_id, worker_id) for run_id in run_ids)
        return tuple(run for run in taken if run is not None)

    def _take_run(self, run_id: str, worker_id: str) -> ClaimedRun | None:
        tables = self.tables
        run = tables.runs.get(run_id)
        tables.ready.remove((run_id, 0, -1))
        tables.sleeping.remove(run_id)
        if run is None or run.owner is not None:
            return None
        taken = replace(
            run,
            epoch=run.epoch + 1,
            owner=worker_id,
            started_at_us=self.now_us if run.started_at_us is None else run.started_at_us,
            status="running" if run.status == "pending" else run.status,
        )
        tables.runs.put(run_id, taken)
        return ClaimedRun(run_id, taken.epoch, taken.role == "activity")

    def _claim_calls(self, operation: ClaimCalls) -> Outcome:
        if operation.worker_id not in self.tables.workers:
            return ClaimedCalls(())
        claimed = []
        slots = operation.slots
        for row, allowed in self._open_ready("call", operation.can, slots):
            size = min(allowed, slots)
            if size == 0:
                break
            call = self._claim_part(row, size, operation.worker_id)
            slots -= call.size
            claimed.append(ClaimedCall(call, self.tables.histories[call.run_id][call.seq - 1]))
        return ClaimedCalls(tuple(claimed))

    def _claim_part(self, row: ReadyRow, size: int, worker_id: str) -> SharedCall:
        """Claim a call, or the first `size` items of a range; the rest of the range stays for others."""
        ready = self.tables.ready
        if size == row.call.size:
            ready.put(row.place, replace(row, claimed_by=worker_id))
            return row.call
        mine, others = split_ranges(row.call.items, size)
        claimed = replace(row.call, items=mine)
        ready.put(row.place, replace(row, call=claimed, claimed_by=worker_id))
        self.make_call_ready(replace(row.call, items=others, first_item=others[0][0]).named(), "call")
        return claimed

    def _open_ready(self, kind: Kind, can: Capabilities, room: int) -> list[tuple[ReadyRow, int]]:
        """Unclaimed rows that this worker can carry out, best first, each with how many bodies its limit allows."""
        if room <= 0:
            return []
        left: dict[str, int] = {}
        kept: list[tuple[ReadyRow, int]] = []
        open_rows = [row for row in self.tables.ready if row.kind == kind and row.claimed_by is None]
        for row in sorted(open_rows, key=lambda row: row.rank):
            call = row.call
            if not can.fits(call.function, call.queue, call.tags):
                continue
            allowed = call.size
            if call.limit_key is not None:
                free = left.setdefault(call.limit_key, self._limit_left(call.limit_key, room))
                allowed = min(allowed, free)
                left[call.limit_key] = free - allowed
            if allowed > 0:
                kept.append((row, allowed))
            if len(kept) == room:
                break
        return kept

    def _limit_left(self, limit_key: str, room: int) -> int:
        """How many bodies a limit leaves room for, at most `room`."""
        tables = self.tables
        limit = tables.limits.get(limit_key)
        if limit is None:
            return room
        calls = (row.call for row in tables.ready if row.claimed_by is not None)
        size = sum(call.size for call in calls if call.limit_key == limit_key)
        begun = (run for run in tables.runs if run.started_at_us is not None and run.finished_at_us is None)
        count = sum(run.limit_key == limit_key for run in begun)
        return max(0, min(room, limit - size - count))

    def _finish_call(self, operation: FinishCall) -> Outcome:
        ready = self.tables.ready
        place = (operation.run_id, operation.call, operation.first_item)
        row = ready.get(place)
        if row is None or row.claimed_by != operation.worker_id:
            return Finished(False)
        if operation.remaining:
            ready.put(place, replace(row, call=replace(row.call, items=operation.remaining)))
        else:
            ready.remove(place)
        if operation.message is not None:
            self.put(operation.message)
        return Finished(True)

    # -- workers ---------------------------------------------------------------------------------------------------

    def _register_worker(self, operation: RegisterWorker) -> Outcome:
        tables = self.tables
        valid_until_us = self.now_us + operation.lease_us
        worker = tables.workers.get(operation.worker_id)
        if worker is None:
            worker = WorkerRow(
                operation.worker_id, operation.host, operation.pid, self.now_us, 0, operation.lock_path, 0
            )
        tables.workers.put(worker.worker_id, replace(worker, valid_until_us=valid_until_us))
        for key, limit in operation.limits:
            tables.limits.put(key, limit)
        return Renewed(True)

    def _renew_worker(self, operation: RenewWorker) -> Outcome:
        workers = self.tables.workers
        worker = workers.get(operation.worker_id)
        if worker is None:
            return Renewed(False)
        valid_until_us = self.now_us + operation.lease_us
        workers.put(worker.worker_id, replace(worker, valid_until_us=valid_until_us, free_slots=operation.free_slots))
        return Renewed(True)

    def _reap_workers(self, operation: ReapWorkers) -> Outcome:
        tables = self.tables
        dead = sorted(
            worker.worker_id
            for worker in tables.workers
            if worker.valid_until_us < self.now_us or worker.worker_id in operation.dead
        )
        run_count = call_count = 0
        for worker_id in dead:
            run_count += self._disown_all(worker_id)
            call_count += self._unclaim_all(worker_id)
            tables.workers.remove(worker_id)
        return Reaped(tuple(dead), run_count, call_count)

    def _give_back(self, operation: GiveBack) -> Outcome:
        tables = self.tables
        run_count = call_count = 0
        for run_id in operation.runs:
            run = tables.runs.get(run_id)
            if run is not None and run.owner == operation.worker_id:
                tables.runs.put(run_id, replace(run, owner=None, epoch=run.epoch + 1))
                self.make_ready(run_id)
                run_count += 1
        for place in operation.calls:
            row = tables.ready.get(place)
            if row is not None and row.claimed_by == operation.worker_id:
                tables.ready.put(place, replace(row, claimed_by=None))
                call_count += 1
        return Reaped((), run_count, call_count)

    def _disown_all(self, worker_id: str) -> int:
        tables = self.tables
        held = [run for _, run in tables.runs.items() if run.owner == worker_id]
        for run in held:
            last = last_row(tables, run.run_id)
            has_recorded = last is not None and last.epoch == run.epoch
            crashes = 1 + (0 if has_recorded else run.crashes)
            tables.runs.put(run.run_id, replace(run, owner=None, epoch=run.epoch + 1, crashes=crashes))
            self.make_ready(run.run_id)
        return len(held)

    def _unclaim_all(self, worker_id: str) -> int:
        ready = self.tables.ready
        count = 0
        for place, row in ready.items():
            if row.claimed_by != worker_id:
                continue
            if row.is_cancelled:
                ready.remove(place)
            else:
                ready.put(place, replace(row, claimed_by=None))
                count += 1
        return count


_HANDLERS: dict[type, Callable[[MemoryWrites, Any], Outcome]] = {
    StartRun: MemoryWrites.start_run,
    PutMessage: MemoryWrites.put_message,
    Append: MemoryWrites.append,
    ClaimRuns: MemoryWrites._claim_runs,
    ClaimCalls: MemoryWrites._claim_calls,
    FinishCall: MemoryWrites._finish_call,
    RegisterWorker: MemoryWrites._register_worker,
    RenewWorker: MemoryWrites._renew_worker,
    ReapWorkers: MemoryWrites._reap_workers,
    GiveBack: MemoryWrites._give_back,
}

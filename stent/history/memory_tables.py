"""The tables of the store in memory, and every question asked of them.

Rules of this file:
- rows are frozen records; a change replaces a row and keeps how to undo it until the transaction is over;
- questions mean what `stent.history.sql.reads` means, in the same order; the conformance suite compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

from stent.history.events import EVENT_CODES, TERMINALS
from stent.history.operations import Capabilities
from stent.history.records import (
    Glance,
    InboxRow,
    LoadedRun,
    Outline,
    RunFilter,
    RunRow,
    SharedCall,
    SharedRow,
    WorkerRow,
)
from stent.history.wire import EventRow

Key = TypeVar("Key")
Value = TypeVar("Value")
Kind: TypeAlias = Literal["orchestrator", "activity", "call"]
Place: TypeAlias = tuple[str, int, int]
Undo: TypeAlias = list[Callable[[], object]]

_TERMINAL_CODES = frozenset(EVENT_CODES[kind] for kind in TERMINALS)


class Table(Generic[Key, Value]):
    """Rows by key. Every change leaves in `undo` what takes it back."""

    __slots__ = ("_rows", "_undo")

    def __init__(self, undo: Undo) -> None:
        self._rows: dict[Key, Value] = {}
        self._undo = undo

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[Value]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Key) -> Value | None:
        return self._rows.get(key)

    def items(self) -> list[tuple[Key, Value]]:
        """A copy, so that rows may change meanwhile."""
        return list(self._rows.items())

    def put(self, key: Key, value: Value) -> None:
        rows = self._rows
        if key in rows:
            before = rows[key]
            self._undo.append(lambda: rows.__setitem__(key, before))
        else:
            self._undo.append(lambda: rows.pop(key))
        rows[key] = value

    def insert(self, key: Key, value: Value) -> bool:
        """Put a row where none is yet; False if there is one."""
        if key in self._rows:
            return False
        self.put(key, value)
        return True

    def remove(self, key: Key) -> bool:
        """False if there was no such row."""
        rows = self._rows
        if key not in rows:
            return False
        before = rows.pop(key)
        self._undo.append(lambda: rows.__setitem__(key, before))
        return True


@dataclass(frozen=True, slots=True)
class ReadyRow:
    """What any worker may take: a run (call 0) or a shared call. Of a run that has begun the limit is None."""

    call: SharedCall
    kind: Kind
    ready_at_us: int
    claimed_by: str | None = None
    is_cancelled: bool = False

    @property
    def place(self) -> Place:
        return (self.call.run_id, self.call.call, self.call.first_item)

    @property
    def rank(self) -> tuple[int, int, Place]:
        """What is lower is taken first."""
        return (-self.call.priority, self.ready_at_us, self.place)


@dataclass(slots=True)
class Tables:
    """All that a store in memory keeps."""

    undo: Undo = field(default_factory=list)
    version: int = 0
    message_count: int = 0
    runs: Table[str, RunRow] = field(init=False)
    histories: dict[str, list[EventRow]] = field(default_factory=dict)
    ready: Table[Place, ReadyRow] = field(init=False)
    sleeping: Table[str, int] = field(init=False)
    inbox: Table[tuple[str, str], InboxRow] = field(init=False)
    workers: Table[str, WorkerRow] = field(init=False)
    limits: Table[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.runs = Table(self.undo)
        self.ready = Table(self.undo)
        self.sleeping = Table(self.undo)
        self.inbox = Table(self.undo)
        self.workers = Table(self.undo)
        self.limits = Table(self.undo)

    def extend_history(self, run_id: str, rows: Sequence[EventRow]) -> None:
        history = self.histories.setdefault(run_id, [])
        length = len(history)
        history.extend(rows)
        self.undo.append(lambda: history.__delitem__(slice(length, None)))

    def keep(self) -> None:
        """The transaction is over."""
        self.undo.clear()
        self.version += 1

    def take_back(self) -> None:
        """The transaction never was."""
        while self.undo:
            self.undo.pop()()


# -- questions -------------------------------------------------------------------------------------------------------


def list_runs(tables: Tables, wanted: RunFilter) -> list[RunRow]:
    found = [run for run in tables.runs if _is_wanted(run, wanted)]
    found.sort(key=lambda run: (run.created_at_us, run.run_id), reverse=True)
    return found[: wanted.limit]


def _is_wanted(run: RunRow, wanted: RunFilter) -> bool:
    created_at_us = run.created_at_us
    return (
        (not wanted.statuses or run.status in wanted.statuses)
        and wanted.function in (None, run.function)
        and wanted.parent_run in (None, run.parent_run)
        and not (wanted.roots_only and run.parent_run is not None)
        and wanted.queue in (None, run.queue or "default")
        and all(tag in run.tags for tag in wanted.tags)
        and (wanted.created_after_us is None or created_at_us >= wanted.created_after_us)
        and (wanted.created_before_us is None or created_at_us < wanted.created_before_us)
        and run.run_id.startswith(wanted.id_prefix or "")
        and (wanted.before is None or (created_at_us, run.run_id) < wanted.before)
    )


def read_rows(tables: Tables, run_id: str, after_seq: int, limit: int | None) -> list[EventRow]:
    rows = tables.histories.get(run_id, [])
    start = max(0, after_seq)
    return rows[start:] if limit is None else rows[start : start + limit]


def read_outlines(tables: Tables, run_ids: Sequence[str]) -> dict[str, list[Outline]]:
    found = ((run_id, tables.histories.get(run_id)) for run_id in run_ids)
    return {
        run_id: [(run_id, row.code, row.version, row.call, row.body) for row in rows] for run_id, rows in found if rows
    }


def last_row(tables: Tables, run_id: str) -> EventRow | None:
    rows = tables.histories.get(run_id)
    return rows[-1] if rows else None


def terminal_row(tables: Tables, run_id: str) -> EventRow | None:
    return next((row for row in reversed(tables.histories.get(run_id, [])) if row.code in _TERMINAL_CODES), None)


def ended_among(tables: Tables, run_ids: Sequence[str]) -> list[EventRow]:
    runs = (tables.runs.get(run_id) for run_id in dict.fromkeys(run_ids))
    ended = (terminal_row(tables, run.run_id) for run in runs if run is not None and run.finished_at_us is not None)
    return [row for row in ended if row is not None]


def load_run(tables: Tables, run_id: str) -> LoadedRun | None:
    run = tables.runs.get(run_id)
    if run is None:
        return None
    messages = sorted((row for row in tables.inbox if row.message.run_id == run_id), key=lambda row: row.n)
    shared = sorted((row for row in tables.ready if row.call.run_id == run_id and row.call.call > 0), key=_place)
    return LoadedRun(
        run,
        tuple(tables.histories[run_id]),
        tuple(messages),
        tuple(SharedRow(row.call, row.claimed_by, row.is_cancelled) for row in shared),
    )


def _place(row: ReadyRow) -> Place:
    return row.place


def read_inbox(tables: Tables, worker_id: str) -> list[InboxRow]:
    held = {run.run_id for run in tables.runs if run.owner == worker_id}
    return sorted((row for row in tables.inbox if row.message.run_id in held), key=lambda row: row.n)


def cancelled_calls(tables: Tables, worker_id: str) -> list[Place]:
    return sorted(row.place for row in tables.ready if row.claimed_by == worker_id and row.is_cancelled)


def stalled_runs(tables: Tables, limit: int, tried: Collection[str]) -> list[RunRow]:
    found = [run for run in tables.runs if _is_stalled(run) and run.run_id not in tried]
    found.sort(key=lambda run: (run.created_at_us, run.run_id))
    return found[:limit]


def _is_stalled(run: RunRow) -> bool:
    return run.status == "stalled" and run.finished_at_us is None and run.owner is None


def queue_depth(tables: Tables, queue: str | None) -> int:
    waiting = (row.call for row in tables.ready if row.claimed_by is None)
    return sum(call.size for call in waiting if queue in (None, call.queue or "default"))


def glance(tables: Tables, worker_id: str, can: Capabilities, now_us: int) -> Glance:
    waiting = (row.call for row in tables.ready if row.claimed_by is None)
    return Glance(
        has_ready=any(can.fits(call.function, call.queue, call.tags) for call in waiting),
        next_due_us=min(tables.sleeping, default=None),
        has_messages=bool(read_inbox(tables, worker_id)),
        has_cancelled=bool(cancelled_calls(tables, worker_id)),
        has_expired=any(worker.valid_until_us < now_us for worker in tables.workers),
        has_stalled=any(_is_stalled(run) for run in tables.runs),
        worker_count=len(tables.workers),
    )


def has_sleepers(tables: Tables, can: Capabilities) -> bool:
    sleepers = (tables.runs.get(run_id) for run_id, _ in tables.sleeping.items())
    return any(run is not None and can.fits(run.function, run.queue, run.tags) for run in sleepers)

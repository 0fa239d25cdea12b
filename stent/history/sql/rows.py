"""Between rows of the tables and the records of `stent.history.records`. No SQL here.

Rules of this file:
- what comes out of a table is checked first (`cells`), so that damage is called damage;
- what somebody acts on is refused then; what is only shown comes with what is whole of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stent.codec import Payload
from stent.errors import CorruptHistoryError
from stent.history import wire
from stent.history.records import (
    ClaimedCall,
    ClaimedRun,
    InboxRow,
    Message,
    NewRun,
    Outline,
    RunRow,
    SharedCall,
    SharedRow,
    WorkerRow,
)
from stent.history.sql import cells
from stent.history.sql.schema import INLINE_PAYLOAD_BYTES
from stent.history.wire import EventRow

RUN_COLUMNS = (
    "run_id, function, role, status, queue, priority, tags, limit_key, parent_run, parent_call, parent_item, "
    "epoch, owner, created_at_us, started_at_us, finished_at_us, stall, crashes"
)
EVENT_COLUMNS = "run_id, seq, epoch, at_us, code, version, call, body, codec, payload, hash, token"
EVENT_COLUMN_COUNT = 12
OUTLINE_COLUMNS = "run_id, code, version, call, body"
READY_COLUMNS = (
    "run_id, call, first_item, seq, function, kind, items, size, attempt, queue, priority, tags, limit_key, "
    "ready_at_us, claimed_by, is_cancelled"
)
INBOX_COLUMNS = "n, run_id, key, code, version, call, body, codec, payload"
WORKER_COLUMNS = "worker_id, host, pid, started_at_us, valid_until_us, lock_path, free_slots"

_RUN_KINDS = cells.kinds_of(RUN_COLUMNS, "t t t t t? n t? t? t? n? n? n t? n n? n? t? n")
_EVENT_KINDS = cells.kinds_of(EVENT_COLUMNS, "t n n n n n n? t? n? b? b b?")
_OUTLINE_KINDS = cells.kinds_of(OUTLINE_COLUMNS, "t n n n? t?")
_READY_KINDS = cells.kinds_of(READY_COLUMNS, "t n n n t n t? n n t? n t? t? n t? n")
_INBOX_KINDS = cells.kinds_of(INBOX_COLUMNS, "n t t n n n? t? n? b?")
_WORKER_KINDS = cells.kinds_of(WORKER_COLUMNS, "t t n n n t? n")

KIND_ORCHESTRATOR = 0
KIND_ACTIVITY = 1
KIND_CALL = 2
KIND_DAMAGED = 3

CLAIMED_COLUMNS = "run_id, epoch, role"
NOBODY = "damaged"
"""Who has what is set aside: no worker, so that nobody takes it, ends it or gives it back."""

LATEST_US = 253_402_300_799_000_000
"""The end of the year 9999. SQLite puts what is no number behind all numbers, so lists begin with it."""

Row = Sequence[Any]

_new = tuple.__new__  # the fields in a tuple: a named tuple's own, in Python, takes four times as long


def kind_of(role: str) -> int:
    return KIND_ORCHESTRATOR if role == "orchestrator" else KIND_ACTIVITY


def tags_text(tags: tuple[str, ...]) -> str | None:
    return json.dumps(tags) if tags else None


def run_row(row: Row) -> RunRow:
    values = list(row)
    what, run_id = "its row in stent_runs", row[0]
    cells.check(_RUN_KINDS, row, what, run_id)
    if row[2] not in cells.ROLES:
        raise cells.damaged(what, "role", row[2], run_id)
    if row[3] not in cells.STATUSES:
        raise cells.damaged(what, "status", row[3], run_id)
    values[6] = cells.texts_in(row[6], what, "tags", run_id)
    return RunRow(*values)


def shown_run(row: Row) -> RunRow:
    """For those who only look, and may not miss all other runs for it: a damaged row too.

    It has what is whole of it, and for a reason to stand still the damage. A state that is none counts as stalled.
    """
    try:
        return run_row(row)
    except CorruptHistoryError as error:
        kinds = zip(_RUN_KINDS.columns, _RUN_KINDS.allowed, row, strict=True)
        whole = {column: _shown(column, allowed, value) for column, allowed, value in kinds}
        if whole["role"] not in cells.ROLES:
            whole["role"] = "orchestrator"
        if whole["status"] not in cells.STATUSES:
            whole["status"] = "stalled"
        try:
            whole["tags"] = cells.texts_in(whole["tags"], "its row in stent_runs", "tags", row[0])
        except CorruptHistoryError:
            whole["tags"] = ()
        whole["stall"] = whole["stall"] or str(error)
        return RunRow(**whole)


def _shown(column: str, allowed: frozenset[type], value: Any) -> Any:
    if type(value) in allowed:
        return value
    if allowed & cells.NOTHING:
        return None
    if allowed != cells.NUMBER:
        return "?"
    if type(value) is float:
        return int(min(max(value, 0.0), LATEST_US))
    return LATEST_US if column == "created_at_us" else 0


def claimed_run(row: Row) -> ClaimedRun:
    """From CLAIMED_COLUMNS. Unchecked: who claims must not fail for one run, and reads it next."""
    run_id, epoch, role = row
    return ClaimedRun(run_id, epoch, role == "activity")


def new_run_values(run: NewRun, now_us: int) -> tuple[Any, ...]:
    """Values for RUN_COLUMNS."""
    is_held = run.owner is not None
    return (
        run.run_id,
        run.function,
        run.role,
        "running" if is_held else "pending",
        run.queue,
        run.priority,
        tags_text(run.tags),
        run.limit_key,
        run.parent_run,
        run.parent_call,
        run.parent_item,
        1 if is_held else 0,
        run.owner,
        now_us,
        now_us if is_held else None,
        None,
        None,
        0,
    )


def event_values(row: EventRow) -> tuple[Any, ...]:
    """Values for EVENT_COLUMNS; a large payload stays out (see `large_payload`)."""
    payload = row.payload
    if payload is None:
        return (*row[:8], None, None, row.hash, row.token)
    codec, data = payload
    return (*row[:8], codec, data if len(data) <= INLINE_PAYLOAD_BYTES else None, row.hash, row.token)


def large_payload(row: EventRow) -> bytes | None:
    """The payload that goes into a table of its own."""
    if row.payload is None or len(row.payload.data) <= INLINE_PAYLOAD_BYTES:
        return None
    return row.payload.data


def event_row(row: Row, large: bytes | None = None) -> EventRow:
    """From EVENT_COLUMNS and, where it was stored apart, the payload."""
    run_id, seq, epoch, at_us, code, version, call, body, codec, data, digest, token = (
        row if len(row) == EVENT_COLUMN_COUNT else row[:EVENT_COLUMN_COUNT]
    )
    cells.check(_EVENT_KINDS, row, "its event", run_id, seq)
    payload = None
    if codec is not None:
        if data is None:
            if type(large) not in cells.BLOB_OR_NOTHING:
                raise cells.damaged("its payload", "data", large, run_id, seq)
            data = large
        if data is None:
            raise CorruptHistoryError(
                f"run {run_id}, seq {seq}: its payload is missing",
                fix="restore the database from a backup; other runs are not affected",
                run_id=run_id,
                seq=seq,
            )
        payload = _new(Payload, (codec, _bytes(data)))
    columns = (run_id, seq, epoch, at_us, code, version, call, body, payload, _bytes(digest), _bytes(token))
    return _new(EventRow, columns)


def outlines(found: Sequence[Any]) -> Sequence[Outline]:
    """From OUTLINE_COLUMNS, many of them: as they are, once they were looked at."""
    cells.check_all(_OUTLINE_KINDS, found, "an event")
    return found


def ready_values(call: SharedCall, kind: int, now_us: int, claimed_by: str | None = None) -> tuple[Any, ...]:
    """Values for READY_COLUMNS."""
    return (
        call.run_id,
        call.call,
        call.first_item,
        call.seq,
        call.function,
        kind,
        ranges_text(call.items),
        call.size,
        call.attempt,
        call.queue,
        call.priority,
        tags_text(call.tags),
        call.limit_key,
        now_us,
        claimed_by,
        0,
    )


def check_ready(row: Row) -> None:
    """CorruptHistoryError if a cell of READY_COLUMNS has a type that it cannot have."""
    cells.check(_READY_KINDS, row, "its row in stent_ready", row[0], row[3])


def shared_row(row: Row) -> SharedRow:
    """From READY_COLUMNS."""
    run_id, call, first_item, seq, function, _, items, _, attempt, queue, priority, tags, limit_key = row[:13]
    check_ready(row)
    what = "its row in stent_ready"
    shared = SharedCall(
        run_id,
        call,
        seq,
        function,
        first_item,
        cells.ranges_in(items, what, "items", run_id),
        attempt,
        queue,
        priority,
        cells.texts_in(tags, what, "tags", run_id),
        limit_key,
    )
    return SharedRow(shared, row[14], bool(row[15]))


def claimed_call(call: SharedCall, scheduled: EventRow | None) -> ClaimedCall:
    """CorruptHistoryError unless what scheduled it is there and can be read: who carries the call out needs it."""
    if scheduled is None:
        raise cells.damaged("its row in stent_ready", "seq", call.seq, call.run_id)
    wire.decode(scheduled)
    return ClaimedCall(call, scheduled)


def ranges_text(ranges: tuple[tuple[int, int], ...]) -> str | None:
    return json.dumps(ranges, separators=(",", ":")) if ranges else None


def inbox_values(message: Message, now_us: int) -> tuple[Any, ...]:
    """Values for INBOX_COLUMNS without n, then the time."""
    row = wire.encode(message.event, message.run_id, 0, b"")
    payload = row.payload
    return (
        message.run_id,
        message.key,
        row.code,
        row.version,
        row.call,
        row.body,
        payload.codec if payload else None,
        payload.data if payload else None,
        now_us,
    )


def inbox_row(row: Row) -> InboxRow:
    """From INBOX_COLUMNS."""
    n, run_id, key, code, version, call, body, codec, data = row[:9]
    cells.check(_INBOX_KINDS, row, f"message {key!r}", run_id)
    if codec is not None and data is None:
        raise cells.damaged(f"message {key!r}", "payload", data, run_id)
    payload = Payload(codec, bytes(data)) if codec is not None else None
    event = wire.decode(EventRow(run_id, 0, 0, 0, code, version, call, body, payload, b""))
    return InboxRow(n, Message(run_id, key, event))


def worker_row(row: Row) -> WorkerRow:
    cells.check(_WORKER_KINDS, row, "a worker's row")
    return WorkerRow(*row)


def _bytes(value: Any) -> bytes | None:
    return value if value is None or type(value) is bytes else bytes(value)

"""How runs begin, are told things, and go on: starts, messages and appends, on SQLite.

Rules of this file:
- an `Append` is fenced before anything of it is written: the transaction began as a writer, so between that question
  and the write no other process comes in;
- whoever changes what a run waits for makes it ready in the same transaction;
- a run is not completed over a cancel that waits for it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from stent.history.events import EVENT_CODES, CancelRequested, RunContinuedAsNew, SignalReceived, put_of
from stent.history.operations import (
    Append,
    Appended,
    Fenced,
    Outcome,
    Put,
    PutMessage,
    Release,
    Started,
    StartRun,
    Unread,
)
from stent.history.records import TERMINAL_STATUSES, Message, NewRun, SharedCall
from stent.history.refusals import answer_to_taken
from stent.history.sql import rows
from stent.history.sql.cursor import Cursor, marks
from stent.history.sql.rows import (
    EVENT_COLUMN_COUNT,
    EVENT_COLUMNS,
    KIND_ACTIVITY,
    KIND_CALL,
    KIND_ORCHESTRATOR,
    READY_COLUMNS,
    RUN_COLUMNS,
)
from stent.history.wire import EventRow

SMALL_APPEND_ROWS = 8  # up to here one statement writes all rows; its text is prepared once a length


@cache
def _insert_events_of(row_count: int) -> str:
    """Insert so many events. With the fence in the same statement SQLite copies all rows first, which takes as long."""
    return f"INSERT INTO stent_events ({EVENT_COLUMNS}) VALUES {','.join([marks(EVENT_COLUMN_COUNT)] * row_count)}"


_INSERT_PAYLOAD = "INSERT INTO stent_payloads (run_id, seq, data) VALUES (?, ?, ?)"
_EPOCH_AND_HEAD = "SELECT epoch, (SELECT max(seq) FROM stent_events WHERE run_id = ?) FROM stent_runs WHERE run_id = ?"
_TOKEN_AT = "SELECT token FROM stent_events WHERE run_id = ? AND seq = ?"
_SET_STATUS = (
    "UPDATE stent_runs SET status = ?, stall = ?, finished_at_us = coalesce(finished_at_us, ?) "
    "WHERE run_id = ? AND epoch = ?"
)
_DISOWN = "UPDATE stent_runs SET owner = NULL WHERE run_id = ? AND epoch = ?"

_INSERT_RUN = f"INSERT INTO stent_runs ({RUN_COLUMNS}) VALUES {marks(18)} ON CONFLICT DO NOTHING"
INSERT_READY = f"INSERT INTO stent_ready ({READY_COLUMNS}) VALUES {marks(16)} ON CONFLICT DO NOTHING"
READY_FROM_RUNS = (
    f"INSERT INTO stent_ready ({READY_COLUMNS}) SELECT run_id, 0, -1, 0, function, "
    f"CASE role WHEN 'orchestrator' THEN {KIND_ORCHESTRATOR} ELSE {KIND_ACTIVITY} END, NULL, 1, 1, queue, priority, "
    "tags, CASE WHEN started_at_us IS NULL THEN limit_key END, ?, NULL, 0 FROM stent_runs WHERE owner IS NULL AND "
)
MAKE_READY = READY_FROM_RUNS + "run_id = ? ON CONFLICT DO NOTHING"
_SLEEP = (
    "INSERT INTO stent_sleeping (run_id, due_at_us) VALUES (?, ?) "
    "ON CONFLICT DO UPDATE SET due_at_us = excluded.due_at_us"
)
_IS_REGISTERED = "SELECT 1 FROM stent_workers WHERE worker_id = ?"
_HAS_MESSAGES = "SELECT 1 FROM stent_inbox WHERE run_id = ? LIMIT 1"
_RUN_FOR_MESSAGE = "SELECT status, owner FROM stent_runs WHERE run_id = ?"
_INSERT_MESSAGE = (
    "INSERT INTO stent_inbox (run_id, key, code, version, call, body, codec, payload, put_at_us) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_PUT_WAITING = "SELECT json_extract(body, '$.put') FROM stent_inbox WHERE run_id = ? AND key = ?"
_PUT_RECORDED = (
    "SELECT json_extract(body, '$.put') FROM stent_events "
    "WHERE run_id = ? AND code = ? AND json_extract(body, ?) = ? LIMIT 1"
)
_FIRST_EVENT = (
    f"SELECT {', '.join(f'e.{name}' for name in EVENT_COLUMNS.split(', '))}, p.data FROM stent_events e "
    "LEFT JOIN stent_payloads p ON p.run_id = e.run_id AND p.seq = e.seq WHERE e.run_id = ? AND e.seq = 1"
)
_NEXT_RUN = (
    "SELECT json_extract(body, '$.next_run') FROM stent_events WHERE run_id = ? AND code = ? ORDER BY seq DESC LIMIT 1"
)
_KEYS_OF = "SELECT key FROM stent_inbox WHERE run_id = ? AND code = ?"
_CONSUME = "DELETE FROM stent_inbox WHERE run_id = ? AND key = ?"
_HAND_ON = (
    "INSERT INTO stent_inbox (run_id, key, code, version, call, body, codec, payload, put_at_us) "
    "SELECT ?, key, code, version, call, body, codec, payload, put_at_us FROM stent_inbox "
    "WHERE run_id = ? AND code = ? ORDER BY n ON CONFLICT DO NOTHING"
)
_HANDED_ON = "DELETE FROM stent_inbox WHERE run_id = ? AND code = ?"
_WITHDRAW_OPEN = "DELETE FROM stent_ready WHERE run_id = ? AND call = ? AND claimed_by IS NULL"
_WITHDRAW_CLAIMED = (
    "UPDATE stent_ready SET is_cancelled = 1 WHERE run_id = ? AND call = ? AND claimed_by IS NOT NULL "
    "RETURNING call, first_item"
)

_SIGNAL_CODE = EVENT_CODES[SignalReceived]
_CANCEL_CODE = EVENT_CODES[CancelRequested]
_CONTINUED_CODE = EVENT_CODES[RunContinuedAsNew]
_OUTSIDE_CODES = frozenset({_SIGNAL_CODE, _CANCEL_CODE})


def start_run(cursor: Cursor, operation: StartRun, now_us: int) -> Outcome:
    return Started(_insert_run(cursor, operation.run, now_us))


def _insert_run(cursor: Cursor, run: NewRun, now_us: int) -> bool:
    if run.owner is not None and (run.limit_key is not None or not is_registered(cursor, run.owner)):
        run = replace(run, owner=None)
    cursor.execute(_INSERT_RUN, rows.new_run_values(run, now_us))
    if cursor.rowcount != 1:
        return False
    _insert_events(cursor, (run.started,))
    if run.owner is not None:
        return True
    if run.due_us is not None and run.due_us > now_us:
        cursor.execute(_SLEEP, (run.run_id, run.due_us))
        return True
    call = SharedCall(
        run.run_id,
        0,
        0,
        run.function,
        queue=run.queue,
        priority=run.priority,
        tags=run.tags,
        limit_key=run.limit_key,
    )
    cursor.execute(INSERT_READY, rows.ready_values(call, rows.kind_of(run.role), now_us))
    return True


def is_registered(cursor: Cursor, worker_id: str) -> bool:
    """Whether a worker has a lease. What it took without one, nobody would ever take away from it."""
    cursor.execute(_IS_REGISTERED, (worker_id,))
    return cursor.fetchone() is not None


def put_message(cursor: Cursor, operation: PutMessage, now_us: int) -> Outcome:
    return put(cursor, operation.message, now_us)


def put(cursor: Cursor, message: Message, now_us: int) -> Put:
    cursor.execute(_RUN_FOR_MESSAGE, (message.run_id,))
    run = cursor.fetchone()
    if run is None:
        return Put("unknown")
    status, owner = run
    code = EVENT_CODES[type(message.event)]
    is_late = status in TERMINAL_STATUSES and code in _OUTSIDE_CODES
    if message.is_once or is_late:
        signal = message.event if isinstance(message.event, SignalReceived) else None
        mark = ("$.key", signal.key) if signal is not None else ("$.put", put_of(message.event))
        cursor.execute(_PUT_RECORDED, (message.run_id, code, *mark))
        recorded = cursor.fetchone()
        if recorded is not None:
            return _again(message, recorded[0])
    if is_late:
        return Put("ended")
    cursor.execute(_INSERT_MESSAGE, rows.inbox_values(message, now_us))
    if cursor.rowcount != 1:
        cursor.execute(_PUT_WAITING, (message.run_id, message.key))
        return _again(message, cursor.fetchone()[0])
    if owner is None and (status != "pending" or type(message.event) is CancelRequested):
        # A run that nobody has begun is ready already, or waits for its first time: only a cancel may wake it.
        cursor.execute(MAKE_READY, (now_us, message.run_id))
    return Put("delivered")


def _again(message: Message, first_put: str | None) -> Put:
    """The answer to a message that is there already: it may have been brought by this very put."""
    put_name = put_of(message.event)
    return Put("delivered" if put_name is not None and put_name == first_put else "duplicate")


def append(cursor: Cursor, operation: Append, now_us: int) -> Outcome:
    if operation.status == "completed" and _has_unread_cancel(cursor, operation):
        return Unread() if _is_next(cursor, operation) else _applied_before(cursor, operation)
    if not _write_fenced(cursor, operation):
        return _applied_before(cursor, operation)
    if operation.consumed:
        cursor.executemany(_CONSUME, [(operation.run_id, key) for key in operation.consumed])
    children = operation.children
    taken = [place for place, child in enumerate(children) if not _insert_run(cursor, child, now_us)]
    for place in taken:
        _refuse(cursor, children[place], now_us)
    led_on: list[tuple[int, str]] = []
    for place, message in enumerate(operation.messages):
        told = _tell(cursor, message, now_us)
        if told != message.run_id:
            led_on.append((place, told))
    if operation.next_run is not None:
        cursor.execute(_HAND_ON, (operation.next_run, operation.run_id, _SIGNAL_CODE))
        cursor.execute(_HANDED_ON, (operation.run_id, _SIGNAL_CODE))
    if operation.shared:
        offered = [rows.ready_values(call.named(), KIND_CALL, now_us) for call in operation.shared]
        cursor.executemany(INSERT_READY, offered)
    cancelled: list[tuple[int, int]] = []
    for call in operation.withdrawn:
        cursor.execute(_WITHDRAW_OPEN, (operation.run_id, call))
        cursor.execute(_WITHDRAW_CLAIMED, (operation.run_id, call))
        cancelled.extend(sorted(cursor.fetchall()))
    if operation.status is not None:
        finished_at_us = operation.at_us if operation.status in TERMINAL_STATUSES else None
        cursor.execute(
            _SET_STATUS,
            (operation.status, operation.stall, finished_at_us, operation.run_id, operation.epoch),
        )
    if operation.release is not None:
        _release(cursor, operation, operation.release, now_us)
    return Appended(tuple(cancelled), tuple(taken), tuple(led_on))


def _refuse(cursor: Cursor, child: NewRun, now_us: int) -> None:
    """A run that was to be started has an id that is taken: who asked for it is told."""
    answer = answer_to_taken(child, first_row(cursor, child.run_id))
    if answer is not None:
        put(cursor, answer, now_us)


def first_row(cursor: Cursor, run_id: str) -> EventRow:
    cursor.execute(_FIRST_EVENT, (run_id,))
    found = cursor.fetchone()
    return rows.event_row(found, found[-1])


def _tell(cursor: Cursor, message: Message, now_us: int) -> str:
    """Put a message into the inbox of its run, a cancel into that of the one that goes on; the id of that run."""
    told = message
    while put(cursor, told, now_us).result == "ended" and type(told.event) is CancelRequested:
        cursor.execute(_NEXT_RUN, (told.run_id, _CONTINUED_CODE))
        found = cursor.fetchone()
        if found is None:
            return message.run_id
        told = replace(told, run_id=found[0])
    return told.run_id


def _has_unread_cancel(cursor: Cursor, operation: Append) -> bool:
    cursor.execute(_KEYS_OF, (operation.run_id, _CANCEL_CODE))
    return any(key not in operation.consumed for (key,) in cursor.fetchall())


def _is_next(cursor: Cursor, operation: Append) -> bool:
    """Whether the run is still the holder's, and the rows come right after what is there."""
    cursor.execute(_EPOCH_AND_HEAD, (operation.run_id, operation.run_id))
    found = cursor.fetchone()
    if found is None or found[0] != operation.epoch:
        return False
    return not operation.rows or operation.rows[0].seq == (found[1] or 0) + 1


def _write_fenced(cursor: Cursor, operation: Append) -> bool:
    """Write the events if the run is still the holder's; False if it is not."""
    if not _is_next(cursor, operation):
        return False
    if operation.rows:
        _insert_events(cursor, operation.rows)
    return True


def _insert_events(cursor: Cursor, event_rows: tuple[EventRow, ...]) -> None:
    count = len(event_rows)
    if count <= SMALL_APPEND_ROWS:
        values: list[Any] = []
        for row in event_rows:
            values += rows.event_values(row)
        cursor.execute(_insert_events_of(count), values)
    else:
        cursor.executemany(_insert_events_of(1), map(rows.event_values, event_rows))
    _insert_payloads(cursor, event_rows)


def _insert_payloads(cursor: Cursor, event_rows: tuple[EventRow, ...]) -> None:
    for row in event_rows:
        data = rows.large_payload(row)
        if data is not None:
            cursor.execute(_INSERT_PAYLOAD, (row.run_id, row.seq, data))


def _applied_before(cursor: Cursor, operation: Append) -> Outcome:
    """Nothing was written: because of another holder, or because this very append is there already."""
    if operation.rows:
        cursor.execute(_TOKEN_AT, (operation.run_id, operation.rows[0].seq))
        found = cursor.fetchone()
        if found is not None and found[0] is not None and bytes(found[0]) == operation.rows[0].token:
            return Appended(taken=_started_by_others(cursor, operation.children))
    return Fenced()


def _started_by_others(cursor: Cursor, children: tuple[NewRun, ...]) -> tuple[int, ...]:
    starts = enumerate(child.started for child in children)
    return tuple(place for place, row in starts if first_row(cursor, row.run_id).token != row.token)


def _release(cursor: Cursor, operation: Append, release: Release, now_us: int) -> None:
    cursor.execute(_DISOWN, (operation.run_id, operation.epoch))
    if release.due_us is not None:
        cursor.execute(_SLEEP, (operation.run_id, release.due_us))
    if not release.now:
        if operation.status == "stalled":
            return  # its messages wait for code that fits: waking it for them would go round and round
        cursor.execute(_HAS_MESSAGES, (operation.run_id,))
        if cursor.fetchone() is None:
            return
    cursor.execute(MAKE_READY, (now_us, operation.run_id))

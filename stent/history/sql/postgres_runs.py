"""How runs begin, are told things, and go on: starts, messages and appends, on PostgreSQL.

Rules of this file:
- an `Append` is fenced by the statement that writes its events, which also locks the run; whatever else follows from
  it is written afterwards, under that lock, and only for runs that passed;
- whoever changes what a run waits for locks the run first, so that a message and a release cannot miss each other;
- who begins a run for a worker locks the worker, so that the run cannot come behind the worker's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stent.history.events import EVENT_CODES, CancelRequested, SignalReceived
from stent.history.operations import Append, Appended, Fenced, Outcome, Put, PutMessage, Started, StartRun
from stent.history.records import TERMINAL_STATUSES, Message, NewRun
from stent.history.sql import rows
from stent.history.sql.postgres_talk import NOW, Sent, Statement, Talk, texts
from stent.history.sql.rows import (
    EVENT_COLUMNS,
    KIND_ACTIVITY,
    KIND_CALL,
    KIND_ORCHESTRATOR,
    READY_COLUMNS,
    RUN_COLUMNS,
)
from stent.history.wire import EventRow

_OUTSIDE_CODES = frozenset({EVENT_CODES[SignalReceived], EVENT_CODES[CancelRequested]})
_ENDED = ", ".join(f"'{status}'" for status in sorted(TERMINAL_STATUSES))

_EVENTS = Sent(
    "v",
    {
        "run_id": "text",
        "seq": "int",
        "epoch": "bigint",
        "at_us": "bigint",
        "code": "smallint",
        "version": "smallint",
        "call": "int",
        "body": "text",
        "codec": "smallint",
        "payload": "bytea",
        "hash": "bytea",
        "token": "bytea",
    },
)
_LARGE = Sent("p", {"run_id": "text", "seq": "int", "data": "bytea"})
_EVENT_VALUES = ", ".join(f"v.{name}" for name in _EVENTS.columns)

KIND_OF_ROLE = f"CASE role WHEN 'orchestrator' THEN {KIND_ORCHESTRATOR} ELSE {KIND_ACTIVITY} END"
READY_OF_RUN = (
    f"run_id, 0, -1, 0, function, {KIND_OF_ROLE}, NULL, 1, 1, queue, priority, tags, "
    f"CASE WHEN started_at_us IS NULL THEN limit_key END, {NOW}, NULL, 0"
)
RUN_FOR_READY = "run_id, function, role, queue, priority, tags, limit_key, started_at_us"
"""What READY_OF_RUN needs of a run."""

# -- starting --------------------------------------------------------------------------------------------------------

_NEW_RUNS = Sent(
    "s",
    {
        "run_id": "text",
        "function": "text",
        "role": "text",
        "queue": "text",
        "priority": "int",
        "tags": "text",
        "limit_key": "text",
        "parent_run": "text",
        "parent_call": "int",
        "parent_item": "int",
        "owner": "text",
        "due_us": "bigint",
    },
)
_START = f"""
WITH s AS MATERIALIZED (SELECT * FROM {_NEW_RUNS.sql}),
alive AS MATERIALIZED (
    SELECT worker_id FROM stent_workers WHERE worker_id IN (SELECT owner FROM s WHERE limit_key IS NULL)
    ORDER BY worker_id FOR KEY SHARE
),
begun AS (
    INSERT INTO stent_runs ({RUN_COLUMNS})
    SELECT s.run_id, s.function, s.role, CASE WHEN a.worker_id IS NULL THEN 'pending' ELSE 'running' END, s.queue,
        s.priority, s.tags, s.limit_key, s.parent_run, s.parent_call, s.parent_item,
        CASE WHEN a.worker_id IS NULL THEN 0 ELSE 1 END, a.worker_id, {NOW},
        CASE WHEN a.worker_id IS NOT NULL THEN {NOW} END, NULL, NULL, 0
    FROM s LEFT JOIN alive a ON a.worker_id = s.owner AND s.limit_key IS NULL
    ORDER BY s.run_id
    ON CONFLICT (run_id) DO NOTHING
    RETURNING {RUN_FOR_READY}, owner
),
first AS (
    INSERT INTO stent_events ({EVENT_COLUMNS})
    SELECT {_EVENT_VALUES} FROM {_EVENTS.sql} JOIN begun USING (run_id)
),
large AS (
    INSERT INTO stent_payloads (run_id, seq, data)
    SELECT run_id, p.seq, p.data FROM {_LARGE.sql} JOIN begun USING (run_id)
),
later AS (
    INSERT INTO stent_sleeping (run_id, due_at_us) SELECT run_id, s.due_us FROM begun JOIN s USING (run_id)
    WHERE begun.owner IS NULL AND s.due_us > {NOW}
    ON CONFLICT (run_id) DO UPDATE SET due_at_us = excluded.due_at_us
),
now AS (
    INSERT INTO stent_ready ({READY_COLUMNS}) SELECT {READY_OF_RUN} FROM begun
    WHERE owner IS NULL AND run_id NOT IN (SELECT run_id FROM s WHERE due_us > {NOW})
    ON CONFLICT DO NOTHING
)
SELECT run_id FROM begun
"""
_FIRST_TOKENS = "SELECT run_id, token FROM stent_events WHERE run_id = ANY(%s::text[]) AND seq = 1"


def _start(runs: Sequence[NewRun]) -> Statement:
    started = [run.started for run in runs]
    new = (
        (
            *(run.run_id, run.function, run.role, run.queue, run.priority, rows.tags_text(run.tags), run.limit_key),
            *(run.parent_run, run.parent_call, run.parent_item, run.owner, run.due_us),
        )
        for run in runs
    )
    return Statement(_START, (*_NEW_RUNS.values(new), *_event_values(started), *_large_values(started)))


def start_runs(operations: Sequence[StartRun]) -> Talk:
    """A run that is there already counts as created if this very start created it: its answer was lost."""
    runs = [operation.run for operation in operations]
    (begun,) = yield [_start(runs)]
    created = {run_id for (run_id,) in begun}
    others = {run.run_id: run.started.token for run in runs if run.run_id not in created}
    if others:
        (found,) = yield [Statement(_FIRST_TOKENS, (texts(others),))]
        created |= {run_id for run_id, token in found if token is not None and bytes(token) == others[run_id]}
    return [Started(run.run_id in created) for run in runs]


# -- messages --------------------------------------------------------------------------------------------------------

_MESSAGES = Sent(
    "m",
    {
        "run_id": "text",
        "key": "text",
        "code": "smallint",
        "version": "smallint",
        "call": "int",
        "body": "text",
        "codec": "smallint",
        "payload": "bytea",
        "is_outside": "boolean",
        "is_cancel": "boolean",
    },
    has_place=True,
)
# A run that nobody has begun is ready already, or waits for its first time: only a cancel may wake it.
_PUT = f"""
WITH m AS MATERIALIZED (SELECT * FROM {_MESSAGES.sql}),
told AS MATERIALIZED (
    SELECT {RUN_FOR_READY}, status, owner FROM stent_runs WHERE run_id IN (SELECT run_id FROM m)
    ORDER BY run_id FOR NO KEY UPDATE
),
kept AS (
    INSERT INTO stent_inbox (run_id, key, code, version, call, body, codec, payload, put_at_us)
    SELECT m.run_id, m.key, m.code, m.version, m.call, m.body, m.codec, m.payload, {NOW}
    FROM m JOIN told USING (run_id) WHERE NOT (m.is_outside AND told.status IN ({_ENDED}))
    ORDER BY m.place
    ON CONFLICT (run_id, key) DO NOTHING
    RETURNING run_id, key
),
woken AS (
    INSERT INTO stent_ready ({READY_COLUMNS}) SELECT {READY_OF_RUN} FROM told
    WHERE owner IS NULL AND EXISTS (
        SELECT 1 FROM kept JOIN m USING (run_id, key)
        WHERE kept.run_id = told.run_id AND (told.status <> 'pending' OR m.is_cancel)
    )
    ON CONFLICT DO NOTHING
)
SELECT CASE WHEN told.run_id IS NULL THEN 'unknown' WHEN m.is_outside AND told.status IN ({_ENDED}) THEN 'ended'
    WHEN kept.key IS NULL THEN 'duplicate' ELSE 'delivered' END
FROM m LEFT JOIN told USING (run_id) LEFT JOIN kept ON kept.run_id = m.run_id AND kept.key = m.key
ORDER BY m.place
"""


def put(messages: Iterable[Message]) -> Statement:
    table = (
        (
            *rows.inbox_values(message, 0)[:-1],
            EVENT_CODES[type(message.event)] in _OUTSIDE_CODES,
            type(message.event) is CancelRequested,
        )
        for message in messages
    )
    return Statement(_PUT, _MESSAGES.values(table))


def put_messages(operations: Sequence[PutMessage]) -> Talk:
    (results,) = yield [put(operation.message for operation in operations)]
    return [Put(result) for (result,) in results]


# -- appending -------------------------------------------------------------------------------------------------------

_WANTED = Sent("w", {"run_id": "text", "epoch": "bigint", "first_seq": "int"})
_FENCE = f"""
WITH held AS MATERIALIZED (
    SELECT r.run_id FROM {_WANTED.sql} JOIN stent_runs r ON r.run_id = w.run_id AND r.epoch = w.epoch
    WHERE w.first_seq IS NULL
        OR w.first_seq = coalesce((SELECT max(e.seq) FROM stent_events e WHERE e.run_id = w.run_id), 0) + 1
    ORDER BY r.run_id FOR NO KEY UPDATE OF r
),
written AS (
    INSERT INTO stent_events ({EVENT_COLUMNS}) SELECT {_EVENT_VALUES} FROM {_EVENTS.sql} JOIN held USING (run_id)
)
"""
_LARGE_TOO = f""",
large AS (
    INSERT INTO stent_payloads (run_id, seq, data)
    SELECT run_id, p.seq, p.data FROM {_LARGE.sql} JOIN held USING (run_id)
)
"""
_APPEND = f"{_FENCE} SELECT run_id FROM held"
_APPEND_LARGE = f"{_FENCE}{_LARGE_TOO} SELECT run_id FROM held"

_PLACES = Sent("w", {"run_id": "text", "seq": "int"})
_TOKENS = f"SELECT run_id, token FROM stent_events JOIN {_PLACES.sql} USING (run_id, seq)"
_CONSUMED = Sent("c", {"run_id": "text", "key": "text"})
_CONSUME = f"DELETE FROM stent_inbox i USING {_CONSUMED.sql} WHERE i.run_id = c.run_id AND i.key = c.key"
_READY = Sent(
    "d",
    {
        "run_id": "text",
        "call": "int",
        "first_item": "int",
        "seq": "int",
        "function": "text",
        "kind": "smallint",
        "items": "text",
        "size": "int",
        "attempt": "int",
        "queue": "text",
        "priority": "int",
        "tags": "text",
        "limit_key": "text",
    },
)
_OFFER = f"""
INSERT INTO stent_ready ({READY_COLUMNS})
SELECT {", ".join(f"d.{name}" for name in _READY.columns)}, {NOW}, NULL, 0 FROM {_READY.sql} ON CONFLICT DO NOTHING
"""
_CALLS = Sent("w", {"run_id": "text", "call": "int"})
_WITHDRAW_OPEN = f"""
DELETE FROM stent_ready d USING {_CALLS.sql} WHERE d.run_id = w.run_id AND d.call = w.call AND d.claimed_by IS NULL
"""
_WITHDRAW_CLAIMED = f"""
UPDATE stent_ready d SET is_cancelled = 1 FROM {_CALLS.sql}
WHERE d.run_id = w.run_id AND d.call = w.call AND d.claimed_by IS NOT NULL RETURNING d.run_id, d.call, d.first_item
"""
_STATES = Sent(
    "w",
    {"run_id": "text", "status": "text", "stall": "text", "finished_at_us": "bigint", "is_released": "boolean"},
)
_SET_STATE = f"""
UPDATE stent_runs r SET
    status = coalesce(w.status, r.status),
    stall = CASE WHEN w.status IS NULL THEN r.stall ELSE w.stall END,
    finished_at_us = coalesce(r.finished_at_us, w.finished_at_us),
    owner = CASE WHEN w.is_released THEN NULL ELSE r.owner END
FROM {_STATES.sql} WHERE r.run_id = w.run_id
"""
_SLEEPERS = Sent("w", {"run_id": "text", "due_us": "bigint"})
_SLEEP = f"""
INSERT INTO stent_sleeping (run_id, due_at_us) SELECT w.run_id, w.due_us FROM {_SLEEPERS.sql}
ON CONFLICT (run_id) DO UPDATE SET due_at_us = excluded.due_at_us
"""
_WAKE = f"""
INSERT INTO stent_ready ({READY_COLUMNS}) SELECT {READY_OF_RUN} FROM stent_runs
WHERE owner IS NULL AND run_id IN (
    SELECT unnest(%s::text[])
    UNION SELECT w.run_id FROM unnest(%s::text[]) AS w (run_id)
        WHERE EXISTS (SELECT 1 FROM stent_inbox i WHERE i.run_id = w.run_id)
)
ON CONFLICT DO NOTHING
"""


def is_one_statement(operation: Append) -> bool:
    """Whether nothing but events and their payloads is to be written."""
    return not (
        operation.consumed
        or operation.children
        or operation.messages
        or operation.shared
        or operation.withdrawn
        or operation.status is not None
        or operation.release is not None
    )


def append_events(operations: Sequence[Append]) -> Talk:
    """Appends to different runs."""
    (passed,) = yield [_fenced(operations)]
    held = {run_id for (run_id,) in passed}
    going = [operation for operation in operations if operation.run_id in held]
    refused = [operation for operation in operations if operation.run_id not in held and operation.rows]
    statements = _follow_ups(going)
    withdraws = any(operation.withdrawn for operation in going)
    if refused:
        places = [(operation.run_id, operation.rows[0].seq) for operation in refused]
        statements.append(Statement(_TOKENS, _PLACES.values(places)))
    answers = (yield statements) if statements else []
    known: dict[str, bytes | None] = {row[0]: row[1] for row in answers[-1]} if refused else {}
    cancelled: dict[str, list[tuple[int, int]]] = {}
    if withdraws:
        for run_id, call, first_item in answers[_withdrawn_place(statements)]:
            cancelled.setdefault(run_id, []).append((call, first_item))
    return [_outcome(operation, held, known, cancelled) for operation in operations]


def _outcome(
    operation: Append,
    held: set[str],
    known: dict[str, bytes | None],
    cancelled: dict[str, list[tuple[int, int]]],
) -> Outcome:
    """Of one append: when nothing was written, then because of another holder, or because it is there already."""
    if operation.run_id in held:
        order = {call: place for place, call in reversed(list(enumerate(operation.withdrawn)))}
        pairs = cancelled.get(operation.run_id, [])
        return Appended(tuple(sorted(pairs, key=lambda pair: (order[pair[0]], pair))))
    token = known.get(operation.run_id)
    if token is not None and bytes(token) == operation.rows[0].token:
        return Appended()
    return Fenced()


def _fenced(operations: Sequence[Append]) -> Statement:
    wanted = [
        (operation.run_id, operation.epoch, operation.rows[0].seq if operation.rows else None)
        for operation in operations
    ]
    written = [row for operation in operations for row in operation.rows]
    values = [*_WANTED.values(wanted), *_event_values(written)]
    if any(rows.large_payload(row) is not None for row in written):
        return Statement(_APPEND_LARGE, [*values, *_large_values(written)])
    return Statement(_APPEND, values)


def _follow_ups(operations: Sequence[Append]) -> list[Statement]:
    """All that follows from appends that were written, in order."""
    statements = []
    consumed = [(operation.run_id, key) for operation in operations for key in operation.consumed]
    if consumed:
        statements.append(Statement(_CONSUME, _CONSUMED.values(consumed)))
    children = {child.run_id: child for operation in reversed(operations) for child in reversed(operation.children)}
    if children:
        statements.append(_start([children[run_id] for run_id in sorted(children)]))
    messages = [message for operation in operations for message in operation.messages]
    if messages:
        statements.append(put(messages))
    shared = [call.named() for operation in operations for call in operation.shared]
    if shared:
        statements.append(offer(rows.ready_values(call, KIND_CALL, 0)[:13] for call in shared))
    withdrawn = [(operation.run_id, call) for operation in operations for call in operation.withdrawn]
    if withdrawn:
        statements.append(Statement(_WITHDRAW_OPEN, _CALLS.values(withdrawn)))
        statements.append(Statement(_WITHDRAW_CLAIMED, _CALLS.values(withdrawn)))
    return statements + _state_changes(operations)


def _withdrawn_place(statements: Sequence[Statement]) -> int:
    return next(place for place, statement in enumerate(statements) if statement.sql is _WITHDRAW_CLAIMED)


def _state_changes(operations: Sequence[Append]) -> list[Statement]:
    states = [
        (
            operation.run_id,
            operation.status,
            _storable(operation.stall),
            operation.at_us if operation.status in TERMINAL_STATUSES else None,
            operation.release is not None,
        )
        for operation in operations
        if operation.status is not None or operation.release is not None
    ]
    if not states:
        return []
    statements = [Statement(_SET_STATE, _STATES.values(states))]
    released = [(operation, operation.release) for operation in operations if operation.release is not None]
    sleepers = [(operation.run_id, release.due_us) for operation, release in released if release.due_us is not None]
    if sleepers:
        statements.append(Statement(_SLEEP, _SLEEPERS.values(sleepers)))
    now = [operation.run_id for operation, release in released if release.now]
    # The messages of a stalled run wait for code that fits: waking it for them would go round and round.
    told = [op.run_id for op, release in released if not release.now and op.status != "stalled"]
    if now or told:
        statements.append(Statement(_WAKE, (texts(now), texts(told))))
    return statements


def offer(table: Iterable[rows.Row]) -> Statement:
    """Offer shared calls: the first 13 of READY_COLUMNS."""
    return Statement(_OFFER, _READY.values(table))


def _event_values(event_rows: Iterable[EventRow]) -> list[str]:
    return _EVENTS.values(map(rows.event_values, event_rows))


def _large_values(event_rows: Iterable[EventRow]) -> list[str]:
    large = ((row.run_id, row.seq, rows.large_payload(row)) for row in event_rows)
    return _LARGE.values(row for row in large if row[2] is not None)


def _storable(text: str | None) -> str | None:
    """A text for people to read; PostgreSQL takes no NUL, and no half of a character."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()

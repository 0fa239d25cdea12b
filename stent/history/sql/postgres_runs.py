"""How runs go on: appends, with all that follows from them, on PostgreSQL.

Rules of this file:
- an `Append` is fenced by the statement that writes its events, which also locks the run; whatever else follows from
  it is written afterwards, under that lock, and only for runs that passed;
- whoever changes what a run waits for makes it ready in the same transaction;
- a run is not completed over a cancel that waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from stent.history.operations import Append, Appended, Fenced, Outcome, Unread
from stent.history.records import TERMINAL_STATUSES
from stent.history.sql import rows
from stent.history.sql.postgres_detours import detours_of, first_events, first_of_each, started_by_others
from stent.history.sql.postgres_messages import CANCEL_CODE, SIGNAL_CODE, put
from stent.history.sql.postgres_starts import (
    EVENT_VALUES,
    EVENTS,
    LARGE,
    READY_OF_RUN,
    event_values,
    large_values,
    start,
)
from stent.history.sql.postgres_talk import NOW, Sent, Statement, Talk, plain_text, texts
from stent.history.sql.rows import EVENT_COLUMNS, KIND_CALL, READY_COLUMNS

_WANTED = Sent("w", {"run_id": "text", "epoch": "bigint", "first_seq": "int"})
_CONSUMED = Sent("c", {"run_id": "text", "key": "text"})
_NEXT = f"""
    SELECT r.run_id FROM {_WANTED.sql} JOIN stent_runs r ON r.run_id = w.run_id AND r.epoch = w.epoch
    WHERE w.first_seq IS NULL
        OR w.first_seq = coalesce((SELECT max(e.seq) FROM stent_events e WHERE e.run_id = w.run_id), 0) + 1
    ORDER BY r.run_id FOR NO KEY UPDATE OF r
"""
_HELD = f"WITH held AS MATERIALIZED ({_NEXT})"
# The run was locked by an earlier statement: whatever cancel there is, this one sees.
_HELD_WITHOUT_CANCEL = f"""
WITH next AS MATERIALIZED ({_NEXT}),
held AS MATERIALIZED (
    SELECT run_id FROM next WHERE run_id <> ALL(%s::text[]) OR NOT EXISTS (
        SELECT 1 FROM stent_inbox i WHERE i.run_id = next.run_id AND i.code = {CANCEL_CODE} AND NOT EXISTS (
            SELECT 1 FROM {_CONSUMED.sql} WHERE c.run_id = i.run_id AND c.key = i.key
        )
    )
)
"""
_WRITTEN = f""",
written AS (
    INSERT INTO stent_events ({EVENT_COLUMNS}) SELECT {EVENT_VALUES} FROM {EVENTS.sql} JOIN held USING (run_id)
)
"""
_LARGE_TOO = f""",
large AS (
    INSERT INTO stent_payloads (run_id, seq, data)
    SELECT run_id, p.seq, p.data FROM {LARGE.sql} JOIN held USING (run_id)
)
"""
_WHO = "SELECT run_id, false FROM held"
_WHO_AND_WHO_NOT = "SELECT run_id, run_id NOT IN (SELECT run_id FROM held) FROM next"
_APPEND = {  # by: whether a run would be completed, whether a payload is large
    (completes, is_large): (_HELD_WITHOUT_CANCEL if completes else _HELD)
    + (_WRITTEN + _LARGE_TOO if is_large else _WRITTEN)
    + (_WHO_AND_WHO_NOT if completes else _WHO)
    for completes in (False, True)
    for is_large in (False, True)
}

SMALL_APPEND_ROWS = 8  # up to here, the events of one run travel as plain values: a third less time than arrays
_EVENT_MARKS = ", ".join(f"%s::{kind}" for kind in EVENTS.kinds)


@cache
def _append_one(row_count: int) -> str:
    """The same fence for one run, where nothing has to be ordered or joined."""
    values = ", ".join([f"({_EVENT_MARKS})"] * row_count)
    return f"""
WITH held AS MATERIALIZED (
    SELECT run_id FROM stent_runs WHERE run_id = %s AND epoch = %s::bigint
        AND %s::int = coalesce((SELECT max(e.seq) FROM stent_events e WHERE e.run_id = %s), 0) + 1
    FOR NO KEY UPDATE
)
INSERT INTO stent_events ({EVENT_COLUMNS})
SELECT v.* FROM held, (VALUES {values}) AS v ({", ".join(EVENTS.columns)}) RETURNING run_id, false
"""


_PLACES = Sent("w", {"run_id": "text", "seq": "int"})
_TOKENS = f"SELECT run_id, token FROM stent_events JOIN {_PLACES.sql} USING (run_id, seq)"
_CONSUME = f"DELETE FROM stent_inbox i USING {_CONSUMED.sql} WHERE i.run_id = c.run_id AND i.key = c.key"
_CHAINS = Sent("w", {"run_id": "text", "next_run": "text"}, has_place=True)
_HAND_ON = f"""
INSERT INTO stent_inbox (run_id, key, code, version, call, body, codec, payload, put_at_us)
SELECT w.next_run, i.key, i.code, i.version, i.call, i.body, i.codec, i.payload, i.put_at_us
FROM {_CHAINS.sql} JOIN stent_inbox i ON i.run_id = w.run_id AND i.code = {SIGNAL_CODE}
ORDER BY w.place, i.n ON CONFLICT (run_id, key) DO NOTHING
"""
_HANDED_ON = f"DELETE FROM stent_inbox WHERE run_id = ANY(%s::text[]) AND code = {SIGNAL_CODE}"
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
        or operation.next_run is not None
    )


def append_events(operations: Sequence[Append]) -> Talk:
    """Appends to different runs."""
    (passed,) = yield [_fenced(operations)]
    held = {run_id for run_id, is_unread in passed if not is_unread}
    unread = {run_id for run_id, _ in passed} - held
    going = [operation for operation in operations if operation.run_id in held]
    refused = [op for op in operations if op.run_id not in held | unread and op.rows]
    follow_ups = _follow_ups(going)
    statements = list(follow_ups.values())
    if refused:
        places = [(operation.run_id, operation.rows[0].seq) for operation in refused]
        statements.append(Statement(_TOKENS, _PLACES.values(places)))
        statements.append(first_events(child.run_id for operation in refused for child in operation.children))
    answers = (yield statements) if statements else []
    by_kind = dict(zip(follow_ups, answers, strict=False))
    detours = yield from detours_of(going, by_kind.get("start", ()), by_kind.get("put", ()))
    cancelled: dict[str, list[tuple[int, int]]] = {}
    for run_id, call, first_item in by_kind.get("withdraw", ()):
        cancelled.setdefault(run_id, []).append((call, first_item))
    outcomes: dict[str, Outcome] = {run_id: Unread() for run_id in unread}
    for operation in going:
        run_id = operation.run_id
        order = {call: place for place, call in reversed(list(enumerate(operation.withdrawn)))}
        pairs = sorted(cancelled.get(run_id, []), key=lambda pair: (order[pair[0]], pair))
        outcomes[run_id] = Appended(tuple(pairs), detours.taken_of(run_id), detours.led_on_of(run_id))
    if refused:
        outcomes.update(_applied_before(refused, *answers[-2:]))
    return [outcomes.get(operation.run_id, Fenced()) for operation in operations]


def _applied_before(refused: Sequence[Append], found: list[rows.Row], firsts: list[rows.Row]) -> dict[str, Outcome]:
    """Nothing was written of these: because of another holder, or because they are there already."""
    tokens: dict[str, bytes | None] = {row[0]: row[1] for row in found}
    outcomes: dict[str, Outcome] = {}
    for operation in refused:
        token = tokens.get(operation.run_id)
        if token is not None and bytes(token) == operation.rows[0].token:
            outcomes[operation.run_id] = Appended(taken=started_by_others(operation.children, firsts))
    return outcomes


def _fenced(operations: Sequence[Append]) -> Statement:
    wanted = [
        (operation.run_id, operation.epoch, operation.rows[0].seq if operation.rows else None)
        for operation in operations
    ]
    written = [row for operation in operations for row in operation.rows]
    is_large = any(rows.large_payload(row) is not None for row in written)
    completing = [operation.run_id for operation in operations if operation.status == "completed"]
    if len(operations) == 1 and 0 < len(written) <= SMALL_APPEND_ROWS and not is_large and not completing:
        run_id, epoch, first_seq = wanted[0]
        plain = [plain_text(value) for row in written for value in rows.event_values(row)]
        return Statement(_append_one(len(written)), [run_id, str(epoch), str(first_seq), run_id, *plain])
    values = _WANTED.values(wanted)
    if completing:
        values += [texts(completing), *_CONSUMED.values(_consumed(operations))]
    values += event_values(written)
    if is_large:
        values += large_values(written)
    return Statement(_APPEND[bool(completing), is_large], values)


def _consumed(operations: Sequence[Append]) -> list[tuple[str, str]]:
    return [(operation.run_id, key) for operation in operations for key in operation.consumed]


def _follow_ups(operations: Sequence[Append]) -> dict[str, Statement]:
    """All that follows from appends that were written, by kind and in order."""
    statements = {}
    consumed = _consumed(operations)
    if consumed:
        statements["consume"] = Statement(_CONSUME, _CONSUMED.values(consumed))
    children = first_of_each(operations)
    if children:
        statements["start"] = start([children[run_id] for run_id in sorted(children)])
    messages = [message for operation in operations for message in operation.messages]
    if messages:
        statements["put"] = put(messages)
    chains = [(operation.run_id, operation.next_run) for operation in operations if operation.next_run is not None]
    if chains:
        statements["hand on"] = Statement(_HAND_ON, _CHAINS.values(chains))
        statements["handed on"] = Statement(_HANDED_ON, (texts(run_id for run_id, _ in chains),))
    shared = [call.named() for operation in operations for call in operation.shared]
    if shared:
        statements["offer"] = offer(rows.ready_values(call, KIND_CALL, 0)[:13] for call in shared)
    withdrawn = [(operation.run_id, call) for operation in operations for call in operation.withdrawn]
    if withdrawn:
        statements["withdraw open"] = Statement(_WITHDRAW_OPEN, _CALLS.values(withdrawn))
        statements["withdraw"] = Statement(_WITHDRAW_CLAIMED, _CALLS.values(withdrawn))
    return statements | _state_changes(operations)


def _state_changes(operations: Sequence[Append]) -> dict[str, Statement]:
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
        return {}
    statements = {"state": Statement(_SET_STATE, _STATES.values(states))}
    released = [(operation, operation.release) for operation in operations if operation.release is not None]
    sleepers = [(operation.run_id, release.due_us) for operation, release in released if release.due_us is not None]
    if sleepers:
        statements["sleep"] = Statement(_SLEEP, _SLEEPERS.values(sleepers))
    now = [operation.run_id for operation, release in released if release.now]
    # The messages of a stalled run wait for code that fits: waking it for them would go round and round.
    told = [op.run_id for op, release in released if not release.now and op.status != "stalled"]
    if now or told:
        statements["wake"] = Statement(_WAKE, (texts(now), texts(told)))
    return statements


def offer(table: Iterable[rows.Row]) -> Statement:
    """Offer shared calls: the first 13 of READY_COLUMNS."""
    return Statement(_OFFER, _READY.values(table))


def _storable(text: str | None) -> str | None:
    """A text for people to read; PostgreSQL takes no NUL, and no half of a character."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()

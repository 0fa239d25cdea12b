"""Who carries out what: claims of runs and of shared calls, and how claims of calls end, on PostgreSQL.

Rules of this file:
- a limit is counted under the lock of its row, in a statement that begins after the lock is held; a limit that this
  transaction has not locked (`locked`) lets nobody through;
- rows are picked with SKIP LOCKED from the small table `ready`, in a CTE that is computed once; a run is taken only by
  who also got the lock of its row, and nobody waits for that lock;
- what is claimed first is what has the highest priority, then what has waited longest;
- a damaged row fails no claim: a run is taken all the same, for who reads it finds out what is damaged; a call is set
  aside and its run stalled, for nobody can say any longer what was to be carried out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from stent.errors import CorruptHistoryError
from stent.history.operations import (
    Capabilities,
    ClaimCalls,
    ClaimedCalls,
    ClaimedRuns,
    ClaimRuns,
    FinishCall,
    Finished,
)
from stent.history.records import SharedCall
from stent.history.sql import rows
from stent.history.sql.parts import OpenPart, allotted, split
from stent.history.sql.postgres_messages import put
from stent.history.sql.postgres_runs import offer
from stent.history.sql.postgres_starts import READY_OF_RUN
from stent.history.sql.postgres_tags import ONE_OF_ITS_TAGS
from stent.history.sql.postgres_talk import NOW, Sent, Statement, Talk, texts
from stent.history.sql.rows import (
    CLAIMED_COLUMNS,
    EVENT_COLUMNS,
    KIND_ACTIVITY,
    KIND_CALL,
    KIND_DAMAGED,
    KIND_ORCHESTRATOR,
    NOBODY,
    READY_COLUMNS,
    Row,
)
from stent.history.store import DUE_RUNS_A_CLAIM

# -- limits ----------------------------------------------------------------------------------------------------------

_OPEN_KEYS = """
keys (kind, key) AS (
    SELECT k.kind, (SELECT min(d.limit_key) FROM stent_ready d WHERE d.claimed_by IS NULL AND d.kind = k.kind)
    FROM unnest(%(kinds)s::smallint[]) AS k (kind)
    UNION ALL
    SELECT keys.kind, (SELECT min(d.limit_key) FROM stent_ready d
        WHERE d.claimed_by IS NULL AND d.kind = keys.kind AND d.limit_key > keys.key)
    FROM keys WHERE keys.key IS NOT NULL
)"""
_LOCK_LIMITS = f"""
WITH RECURSIVE {_OPEN_KEYS}
SELECT l.key FROM stent_limits l WHERE l.key IN (
    SELECT key FROM keys WHERE key IS NOT NULL
    UNION ALL SELECT unnest(%(others)s::text[])
    UNION ALL SELECT limit_key FROM stent_runs WHERE run_id = ANY(%(run_ids)s::text[]) AND limit_key IS NOT NULL
) ORDER BY l.key FOR UPDATE
"""
_IN_USE = """(
    (SELECT coalesce(sum(u.size), 0) FROM stent_ready u
        WHERE u.limit_key = l.key AND u.claimed_by IS NOT NULL AND u.kind = 2)
    + (SELECT count(*) FROM stent_runs b
        WHERE b.limit_key = l.key AND b.started_at_us IS NOT NULL AND b.finished_at_us IS NULL)
)"""


def lock_limits(kinds: Collection[int], others: Collection[str], run_ids: Collection[str]) -> Statement:
    """Lock the limits of what is open, of `others`, and of runs; gives the keys that are locked."""
    kinds_sent = "{" + ",".join(map(str, sorted(kinds))) + "}"
    return Statement(_LOCK_LIMITS, {"kinds": kinds_sent, "others": texts(others), "run_ids": texts(run_ids)})


# -- picking ---------------------------------------------------------------------------------------------------------

_FITS = f"""d.function = ANY(%(functions)s::text[])
    AND (%(queues)s::text[] IS NULL OR coalesce(d.queue, 'default') = ANY(%(queues)s::text[]))
    AND (%(tags)s::text[] IS NULL OR {ONE_OF_ITS_TAGS})"""
# The limit's key is in the order only so that the index gives the order: within either pick it is one and the same.
_BEST_FIRST = "ORDER BY d.limit_key, d.priority DESC, d.ready_at_us, d.run_id, d.call, d.first_item"
_ORDER = "ORDER BY priority DESC, ready_at_us, run_id, call, first_item"
_PICK = f"""
WITH RECURSIVE {_OPEN_KEYS},
free AS MATERIALIZED (
    SELECT k.key, CASE WHEN l.key IS NULL THEN %(room)s WHEN l.key = ANY(%(locked)s::text[])
        THEN least(%(room)s, l.max - {_IN_USE}) ELSE 0 END AS places
    FROM (SELECT key FROM keys WHERE key IS NOT NULL) k LEFT JOIN stent_limits l ON l.key = k.key
),
plain AS MATERIALIZED (
    SELECT {READY_COLUMNS} FROM stent_ready d
    WHERE d.claimed_by IS NULL AND d.kind = %(kind)s AND d.limit_key IS NULL AND {_FITS}
    {_BEST_FIRST} LIMIT %(room)s FOR UPDATE SKIP LOCKED
),
limited AS MATERIALIZED (
    SELECT d.*, free.places FROM (SELECT * FROM free WHERE places > 0) free CROSS JOIN LATERAL (
        SELECT {READY_COLUMNS} FROM stent_ready d
        WHERE d.claimed_by IS NULL AND d.kind = %(kind)s AND d.limit_key = free.key AND {_FITS}
        {_BEST_FIRST} LIMIT free.places FOR UPDATE SKIP LOCKED
    ) d
),
picked AS MATERIALIZED (
    SELECT {READY_COLUMNS}, places FROM (
        SELECT {READY_COLUMNS}, NULL AS places FROM plain UNION ALL SELECT {READY_COLUMNS}, places FROM limited
    ) d {_ORDER} LIMIT %(room)s
)"""


def _can(can: Capabilities, kind: int, room: int, locked: Collection[str]) -> dict[str, Any]:
    """The values of a pick."""
    return {
        "functions": texts(sorted(can.functions)),
        "queues": texts(sorted(can.queues)) if can.queues is not None else None,
        "tags": texts(json.dumps(tag) for tag in sorted(can.tags)) if can.tags is not None else None,
        "kinds": f"{{{kind}}}",
        "kind": kind,
        "room": room,
        "locked": texts(sorted(locked)),
    }


# -- runs ------------------------------------------------------------------------------------------------------------

_TAKEN = ", ".join(f"taken.{name}" for name in CLAIMED_COLUMNS.split(", "))
_TAKE = f"""
taken AS (
    UPDATE stent_runs r SET epoch = r.epoch + 1, owner = %(worker)s, started_at_us = coalesce(r.started_at_us, {NOW}),
        status = CASE r.status WHEN 'pending' THEN 'running' ELSE r.status END
    FROM held h WHERE r.run_id = h.run_id AND h.owner IS NULL
    RETURNING {_TAKEN.replace("taken.", "r.")}
),
unready AS (DELETE FROM stent_ready d USING held h WHERE d.run_id = h.run_id AND d.call = 0),
awake AS (DELETE FROM stent_sleeping s USING held h WHERE s.run_id = h.run_id)
"""
_CLAIM_RUNS = f"""
{_PICK},
held AS MATERIALIZED (
    SELECT run_id, owner FROM stent_runs WHERE run_id IN (SELECT run_id FROM picked)
    ORDER BY run_id FOR NO KEY UPDATE SKIP LOCKED
),
{_TAKE}
SELECT {_TAKEN} FROM taken JOIN picked USING (run_id) ORDER BY picked.priority DESC, picked.ready_at_us, run_id
"""
_CLAIM_BY_NAME = f"""
WITH held AS MATERIALIZED (
    SELECT run_id, owner FROM stent_runs r WHERE r.run_id = %(run_id)s
        AND (r.started_at_us IS NOT NULL OR NOT EXISTS (
            SELECT 1 FROM stent_limits l WHERE l.key = r.limit_key
                AND (l.key <> ALL(%(locked)s::text[]) OR l.max <= {_IN_USE})
        ))
    FOR NO KEY UPDATE
),
{_TAKE}
SELECT {_TAKEN} FROM taken
"""
_WAKE_DUE = f"""
WITH due AS MATERIALIZED (
    SELECT run_id FROM stent_sleeping WHERE due_at_us <= {NOW} ORDER BY due_at_us, run_id LIMIT {DUE_RUNS_A_CLAIM}
    FOR UPDATE SKIP LOCKED
),
awake AS (DELETE FROM stent_sleeping s USING due WHERE s.run_id = due.run_id)
INSERT INTO stent_ready ({READY_COLUMNS}) SELECT {READY_OF_RUN} FROM stent_runs
WHERE owner IS NULL AND run_id IN (SELECT run_id FROM due) ON CONFLICT DO NOTHING
"""


def claim_runs(operation: ClaimRuns, locked: Collection[str]) -> Talk:
    if operation.only:
        values = {"worker": operation.worker_id, "locked": texts(sorted(locked))}
        answers = yield [Statement(_CLAIM_BY_NAME, {**values, "run_id": run_id}) for run_id in operation.only]
        return [ClaimedRuns(tuple(rows.claimed_run(row) for answer in answers for row in answer))]
    statements = [Statement(_WAKE_DUE)]
    if operation.can.functions:
        rooms = ((KIND_ORCHESTRATOR, operation.limit), (KIND_ACTIVITY, min(operation.slots, operation.limit)))
        statements += [
            Statement(_CLAIM_RUNS, {**_can(operation.can, kind, room, locked), "worker": operation.worker_id})
            for kind, room in rooms
            if room > 0
        ]
    answers = yield statements
    return [ClaimedRuns(tuple(rows.claimed_run(row) for answer in answers[1:] for row in answer))]


# -- calls -----------------------------------------------------------------------------------------------------------

_PICK_CALLS = f"{_PICK} SELECT {READY_COLUMNS}, places FROM picked {_ORDER}"
_CLAIMED = Sent(
    "c",
    {"run_id": "text", "call": "int", "first_item": "int", "items": "text", "size": "int", "seq": "int"},
    has_place=True,
)
_CLAIM_CALLS = f"""
UPDATE stent_ready d SET claimed_by = %s, items = c.items, size = c.size FROM {_CLAIMED.sql}
WHERE d.run_id = c.run_id AND d.call = c.call AND d.first_item = c.first_item
"""
_SCHEDULED = f"""
SELECT {", ".join(f"e.{name}" for name in EVENT_COLUMNS.split(", "))}, p.data
FROM {_CLAIMED.sql} JOIN stent_events e ON e.run_id = c.run_id AND e.seq = c.seq
LEFT JOIN stent_payloads p ON p.run_id = e.run_id AND p.seq = e.seq ORDER BY c.place
"""


_Damaged: TypeAlias = tuple[str, int, int, str]
_DAMAGED = Sent("b", {"run_id": "text", "call": "int", "first_item": "int", "reason": "text"})
_SET_ASIDE = f"""
WITH b AS MATERIALIZED (SELECT * FROM {_DAMAGED.sql}),
held AS MATERIALIZED (
    SELECT run_id FROM stent_runs WHERE run_id IN (SELECT run_id FROM b) ORDER BY run_id FOR NO KEY UPDATE SKIP LOCKED
),
aside AS (
    UPDATE stent_ready d SET kind = CASE WHEN c.is_held THEN {KIND_DAMAGED} ELSE d.kind END,
        claimed_by = CASE WHEN c.is_held THEN '{NOBODY}' END
    FROM (SELECT b.*, h.run_id IS NOT NULL AS is_held FROM b LEFT JOIN held h USING (run_id)) c
    WHERE d.run_id = c.run_id AND d.call = c.call AND d.first_item = c.first_item
),
unready AS (DELETE FROM stent_ready d USING held h WHERE d.run_id = h.run_id AND d.call = 0),
awake AS (DELETE FROM stent_sleeping s USING held h WHERE s.run_id = h.run_id)
UPDATE stent_runs r SET epoch = r.epoch + 1, owner = NULL, status = 'stalled',
    stall = (SELECT min(b.reason) FROM b WHERE b.run_id = r.run_id)
FROM held h WHERE r.run_id = h.run_id AND r.finished_at_us IS NULL
"""
"""Nobody waits for the lock of a run: where another has it, the call stays open, and the next claim sees to it."""


def claim_calls(operation: ClaimCalls, locked: Collection[str]) -> Talk:
    if operation.slots <= 0 or not operation.can.functions:
        return [ClaimedCalls(())]
    (picked,) = yield [Statement(_PICK_CALLS, _can(operation.can, KIND_CALL, operation.slots, locked))]
    open_parts, damaged = _parts(picked)
    mine: list[SharedCall] = []
    others: list[SharedCall] = []
    for shared, size in allotted(open_parts, operation.slots):
        part, rest = split(shared, size)
        mine.append(part)
        if rest is not None:
            others.append(rest)
    claimed = _CLAIMED.values(
        (call.run_id, call.call, call.first_item, rows.ranges_text(call.items), call.size, call.seq) for call in mine
    )
    statements = [Statement(_CLAIM_CALLS, (operation.worker_id, *claimed)), Statement(_SCHEDULED, claimed)]
    if others:
        statements.append(offer(rows.ready_values(call, KIND_CALL, 0)[:13] for call in others))
    answers = yield statements if mine else []
    scheduled = {(row[0], row[1]): row for row in answers[1]} if mine else {}
    calls = []
    for call in mine:
        try:
            event = scheduled.get((call.run_id, call.seq))
            calls.append(rows.claimed_call(call, rows.event_row(event, event[-1]) if event is not None else None))
        except CorruptHistoryError as damage:
            damaged.append((call.run_id, call.call, call.first_item, str(damage)))
    if damaged:
        yield [Statement(_SET_ASIDE, _DAMAGED.values(damaged))]
    return [ClaimedCalls(tuple(calls))]


def _parts(picked: Sequence[Row]) -> tuple[list[OpenPart], list[_Damaged]]:
    """What was picked, and of what is damaged its place and the damage."""
    parts: list[OpenPart] = []
    damaged: list[_Damaged] = []
    for row in picked:
        try:
            parts.append(OpenPart(rows.shared_row(row).call, row[-1]))
        except CorruptHistoryError as damage:
            damaged.append((*row[:3], str(damage)))
    return parts, damaged


_FINISHED = Sent(
    "f",
    {"run_id": "text", "call": "int", "first_item": "int", "claimed_by": "text", "items": "text", "size": "int"},
)
_FINISH = f"""
WITH f AS MATERIALIZED (SELECT * FROM {_FINISHED.sql}),
held AS MATERIALIZED (
    SELECT d.run_id, d.call, d.first_item, f.items, f.size
    FROM f JOIN stent_ready d USING (run_id, call, first_item, claimed_by)
    ORDER BY d.run_id, d.call, d.first_item FOR UPDATE OF d
),
ended AS (
    DELETE FROM stent_ready d USING held h
    WHERE d.run_id = h.run_id AND d.call = h.call AND d.first_item = h.first_item AND h.items IS NULL
),
shortened AS (
    UPDATE stent_ready d SET items = h.items, size = h.size FROM held h
    WHERE d.run_id = h.run_id AND d.call = h.call AND d.first_item = h.first_item AND h.items IS NOT NULL
)
SELECT run_id, call, first_item FROM held
"""


def finish_calls(operations: Sequence[FinishCall]) -> Talk:
    table = (
        (
            *_place(operation),
            operation.worker_id,
            rows.ranges_text(operation.remaining),
            sum(stop - start for start, stop in operation.remaining),
        )
        for operation in operations
    )
    (found,) = yield [Statement(_FINISH, _FINISHED.values(table))]
    held = {tuple(row) for row in found}
    messages = [op.message for op in operations if op.message is not None and _place(op) in held]
    if messages:
        yield [put(messages)]
    return [Finished(_place(operation) in held) for operation in operations]


def _place(operation: FinishCall) -> tuple[str, int, int]:
    return operation.run_id, operation.call, operation.first_item

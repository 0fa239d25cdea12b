"""The leases of worker processes: registered, renewed, and given up by their peers, on PostgreSQL.

Rules of this file:
- a worker that is given up is locked first and disowned in a later statement: whatever somebody began for it before
  the lock was granted is seen then;
- a worker whose row is locked by somebody is left for the next time.
"""

from __future__ import annotations

from collections.abc import Collection

from stent.history.operations import GiveBack, Reaped, ReapWorkers, RegisterWorker, Renewed, RenewWorker
from stent.history.sql.postgres_starts import READY_OF_RUN, RUN_FOR_READY
from stent.history.sql.postgres_talk import NOW, Sent, Statement, Talk, texts
from stent.history.sql.rows import READY_COLUMNS

_ALIVE = "SELECT worker_id FROM stent_workers WHERE worker_id = ANY(%s::text[]) ORDER BY worker_id FOR KEY SHARE"
_REGISTER = f"""
INSERT INTO stent_workers (worker_id, host, pid, started_at_us, valid_until_us, lock_path, free_slots)
VALUES (%s, %s, %s, {NOW}, {NOW} + %s, %s, 0)
ON CONFLICT (worker_id) DO UPDATE SET valid_until_us = excluded.valid_until_us
"""
_LIMITS = Sent("w", {"key": "text", "max": "int"})
_SET_LIMITS = f"""
INSERT INTO stent_limits AS l (key, max) SELECT w.key, w.max FROM {_LIMITS.sql} ORDER BY w.key
ON CONFLICT (key) DO UPDATE SET max = excluded.max WHERE l.max <> excluded.max
"""
_RENEW = f"""
UPDATE stent_workers SET valid_until_us = {NOW} + %s, free_slots = %s WHERE worker_id = %s RETURNING worker_id
"""
_EXPIRED = f"""
SELECT worker_id FROM stent_workers WHERE valid_until_us < {NOW} OR worker_id = ANY(%s::text[])
ORDER BY worker_id FOR UPDATE SKIP LOCKED
"""
# Whoever recorded something under this epoch did not die of the run: the count begins anew.
_DISOWN = f"""
WITH held AS MATERIALIZED (
    SELECT run_id FROM stent_runs WHERE owner = ANY(%s::text[]) ORDER BY run_id FOR NO KEY UPDATE
),
freed AS (
    UPDATE stent_runs r SET owner = NULL, epoch = r.epoch + 1, crashes = 1 + CASE WHEN r.epoch = (
        SELECT e.epoch FROM stent_events e WHERE e.run_id = r.run_id ORDER BY e.seq DESC LIMIT 1
    ) THEN 0 ELSE r.crashes END
    FROM held h WHERE r.run_id = h.run_id
    RETURNING {", ".join(f"r.{name}" for name in RUN_FOR_READY.split(", "))}
),
woken AS (INSERT INTO stent_ready ({READY_COLUMNS}) SELECT {READY_OF_RUN} FROM freed ON CONFLICT DO NOTHING)
SELECT count(*) FROM freed
"""
_UNCLAIM = """
WITH held AS MATERIALIZED (
    SELECT run_id, call, first_item, is_cancelled FROM stent_ready WHERE claimed_by = ANY(%s::text[])
    ORDER BY run_id, call, first_item FOR UPDATE
),
dropped AS (
    DELETE FROM stent_ready d USING held h WHERE h.is_cancelled = 1
        AND d.run_id = h.run_id AND d.call = h.call AND d.first_item = h.first_item
),
opened AS (
    UPDATE stent_ready d SET claimed_by = NULL FROM held h WHERE h.is_cancelled = 0
        AND d.run_id = h.run_id AND d.call = h.call AND d.first_item = h.first_item
)
SELECT count(*) FROM held WHERE is_cancelled = 0
"""
_DROP = "DELETE FROM stent_workers WHERE worker_id = ANY(%s::text[])"
_GIVE_BACK_RUNS = f"""
WITH held AS MATERIALIZED (
    SELECT run_id FROM stent_runs WHERE run_id = ANY(%s::text[]) AND owner = %s ORDER BY run_id FOR NO KEY UPDATE
),
freed AS (
    UPDATE stent_runs r SET owner = NULL, epoch = r.epoch + 1 FROM held h WHERE r.run_id = h.run_id
    RETURNING {", ".join(f"r.{name}" for name in RUN_FOR_READY.split(", "))}
),
woken AS (INSERT INTO stent_ready ({READY_COLUMNS}) SELECT {READY_OF_RUN} FROM freed ON CONFLICT DO NOTHING)
SELECT count(*) FROM freed
"""
_CALLS = Sent("c", {"run_id": "text", "call": "int", "first_item": "int"})
_GIVE_BACK_CALLS = f"""
UPDATE stent_ready d SET claimed_by = NULL FROM {_CALLS.sql}
WHERE d.run_id = c.run_id AND d.call = c.call AND d.first_item = c.first_item AND d.claimed_by = %s
RETURNING d.run_id
"""


def lock_workers(worker_ids: Collection[str]) -> Statement:
    """Keep workers from being given up until this transaction ends; gives those that have a lease."""
    return Statement(_ALIVE, (texts(sorted(worker_ids)),))


def register_worker(operation: RegisterWorker) -> Talk:
    values = (operation.worker_id, operation.host, operation.pid, operation.lease_us, operation.lock_path)
    statements = [Statement(_REGISTER, values)]
    if operation.limits:
        statements.append(Statement(_SET_LIMITS, _LIMITS.values(dict(operation.limits).items())))
    yield statements
    return [Renewed(True)]


def renew_worker(operation: RenewWorker) -> Talk:
    (renewed,) = yield [Statement(_RENEW, (operation.lease_us, operation.free_slots, operation.worker_id))]
    return [Renewed(bool(renewed))]


def reap_workers(operation: ReapWorkers) -> Talk:
    (expired,) = yield [Statement(_EXPIRED, (texts(operation.dead),))]
    dead = [worker_id for (worker_id,) in expired]
    if not dead:
        return [Reaped((), 0, 0)]
    sent = (texts(dead),)
    freed, opened, _ = yield [Statement(_DISOWN, sent), Statement(_UNCLAIM, sent), Statement(_DROP, sent)]
    return [Reaped(tuple(dead), int(freed[0][0]), int(opened[0][0]))]


def give_back(operation: GiveBack) -> Talk:
    freed, opened = yield [
        Statement(_GIVE_BACK_RUNS, (texts(operation.runs), operation.worker_id)),
        Statement(_GIVE_BACK_CALLS, (*_CALLS.values(operation.calls), operation.worker_id)),
    ]
    return [Reaped((), int(freed[0][0]), len(opened))]

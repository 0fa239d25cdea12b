"""The leases of worker processes: registered, renewed, and given up by their peers, on SQLite."""

from __future__ import annotations

import json

from stent.history.operations import GiveBack, Outcome, Reaped, ReapWorkers, RegisterWorker, Renewed, RenewWorker
from stent.history.sql.cursor import Cursor
from stent.history.sql.sqlite_runs import MAKE_READY

_INSERT_WORKER = (
    "INSERT INTO stent_workers (worker_id, host, pid, started_at_us, valid_until_us, lock_path, free_slots) "
    "VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET valid_until_us = excluded.valid_until_us"
)
_SET_LIMIT = (
    "INSERT INTO stent_limits (key, max) VALUES (?, ?) ON CONFLICT DO UPDATE SET max = excluded.max "
    "WHERE max <> excluded.max"
)
_RENEW = "UPDATE stent_workers SET valid_until_us = ?, free_slots = ? WHERE worker_id = ?"
_EXPIRED = (
    "SELECT worker_id FROM stent_workers WHERE valid_until_us < ? OR worker_id IN (SELECT value FROM json_each(?)) "
    "ORDER BY worker_id"
)
_DISOWN_ALL = (
    # Whoever recorded something under this epoch did not die of the run: the count begins anew.
    "UPDATE stent_runs SET owner = NULL, epoch = epoch + 1, crashes = 1 + CASE WHEN epoch = (SELECT e.epoch "
    "FROM stent_events e WHERE e.run_id = stent_runs.run_id ORDER BY e.seq DESC LIMIT 1) THEN 0 ELSE crashes END "
    "WHERE owner = ? RETURNING run_id"
)
_DISOWN_ONE = "UPDATE stent_runs SET owner = NULL, epoch = epoch + 1 WHERE run_id = ? AND owner = ?"
_UNCLAIM_ONE = (
    "UPDATE stent_ready SET claimed_by = NULL WHERE run_id = ? AND call = ? AND first_item = ? AND claimed_by = ?"
)
_DROP_CANCELLED = "DELETE FROM stent_ready WHERE claimed_by = ? AND is_cancelled = 1"
_UNCLAIM_ALL = "UPDATE stent_ready SET claimed_by = NULL WHERE claimed_by = ?"
_DROP_WORKER = "DELETE FROM stent_workers WHERE worker_id = ?"


def register_worker(cursor: Cursor, operation: RegisterWorker, now_us: int) -> Outcome:
    valid_until_us = now_us + operation.lease_us
    cursor.execute(
        _INSERT_WORKER,
        (operation.worker_id, operation.host, operation.pid, now_us, valid_until_us, operation.lock_path),
    )
    if operation.limits:
        cursor.executemany(_SET_LIMIT, operation.limits)
    return Renewed(True)


def renew_worker(cursor: Cursor, operation: RenewWorker, now_us: int) -> Outcome:
    cursor.execute(_RENEW, (now_us + operation.lease_us, operation.free_slots, operation.worker_id))
    return Renewed(cursor.rowcount == 1)


def give_back(cursor: Cursor, operation: GiveBack, now_us: int) -> Outcome:
    run_count = call_count = 0
    for run_id in operation.runs:
        cursor.execute(_DISOWN_ONE, (run_id, operation.worker_id))
        if cursor.rowcount == 1:
            run_count += 1
            cursor.execute(MAKE_READY, (now_us, run_id))
    for place in operation.calls:
        cursor.execute(_UNCLAIM_ONE, (*place, operation.worker_id))
        call_count += max(0, cursor.rowcount)
    return Reaped((), run_count, call_count)


def reap_workers(cursor: Cursor, operation: ReapWorkers, now_us: int) -> Outcome:
    cursor.execute(_EXPIRED, (now_us, json.dumps(operation.dead)))
    dead = [row[0] for row in cursor.fetchall()]
    run_count = call_count = 0
    for worker_id in dead:
        cursor.execute(_DISOWN_ALL, (worker_id,))
        held = cursor.fetchall()
        cursor.executemany(MAKE_READY, [(now_us, run_id) for (run_id,) in held])
        run_count += len(held)
        cursor.execute(_DROP_CANCELLED, (worker_id,))
        cursor.execute(_UNCLAIM_ALL, (worker_id,))
        call_count += max(0, cursor.rowcount)
        cursor.execute(_DROP_WORKER, (worker_id,))
    return Reaped(tuple(dead), run_count, call_count)

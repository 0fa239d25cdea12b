"""Who carries out what: claims of runs and of shared calls, and how claims of calls end, on SQLite.

Rules of this file:
- a limit is counted in the transaction that claims, over what is claimed and over the runs that have begun;
- what is claimed first is what has the highest priority, then what has waited longest;
- a damaged row fails no claim: a run is taken all the same, for who reads it finds out what is damaged; a call is set
  aside and its run stalled, for nobody can say any longer what was to be carried out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from stent.errors import CorruptHistoryError
from stent.history.events import split_ranges
from stent.history.operations import (
    Capabilities,
    ClaimCalls,
    ClaimedCalls,
    ClaimedRuns,
    ClaimRuns,
    FinishCall,
    Finished,
    Outcome,
)
from stent.history.records import ClaimedCall, ClaimedRun, SharedCall
from stent.history.sql import rows
from stent.history.sql.cursor import Cursor
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
from stent.history.sql.sqlite_runs import INSERT_READY, MAKE_READY, READY_FROM_RUNS, is_registered, put
from stent.history.store import DUE_RUNS_A_CLAIM
from stent.history.wire import EventRow

_WAKE_DUE = (
    READY_FROM_RUNS
    + "run_id IN (SELECT run_id FROM stent_sleeping WHERE due_at_us <= ? ORDER BY due_at_us, run_id LIMIT ?) "
    "ON CONFLICT DO NOTHING"
)
_FORGET_DUE = (
    "DELETE FROM stent_sleeping WHERE run_id IN "
    "(SELECT run_id FROM stent_sleeping WHERE due_at_us <= ? ORDER BY due_at_us, run_id LIMIT ?)"
)
_ANY_DUE = "SELECT 1 FROM stent_sleeping WHERE due_at_us <= ? LIMIT 1"

_KNOWN = "function IN (SELECT value FROM json_each(?))"
_ONE_OF_ITS_TAGS = (  # what is no list of texts may be any tag: who takes it tells of the damage
    "EXISTS (SELECT 1 FROM json_each(CASE WHEN CASE WHEN json_valid(tags) THEN json_type(tags) END = 'array' THEN tags "
    "WHEN tags IS NOT NULL THEN '[0]' END) t WHERE t.type <> 'text' OR t.value IN (SELECT value FROM json_each(?)))"
)
_OPEN_KEYS = (
    "WITH RECURSIVE keys(key) AS ("
    "SELECT min(limit_key) FROM stent_ready WHERE claimed_by IS NULL AND kind = ? AND limit_key IS NOT NULL "
    "UNION ALL SELECT (SELECT min(limit_key) FROM stent_ready WHERE claimed_by IS NULL AND kind = ? "
    "AND limit_key > key) FROM keys WHERE key IS NOT NULL) SELECT key FROM keys WHERE key IS NOT NULL"
)
_LIMIT_LEFT = (
    "SELECT max - (SELECT coalesce(sum(size), 0) FROM stent_ready WHERE limit_key = ? AND claimed_by IS NOT NULL "
    "AND kind = 2) - (SELECT count(*) FROM stent_runs WHERE limit_key = ? AND started_at_us IS NOT NULL "
    "AND finished_at_us IS NULL) FROM stent_limits WHERE key = ?"
)
_UNBEGUN_LIMIT = "SELECT limit_key FROM stent_runs WHERE run_id = ? AND started_at_us IS NULL AND limit_key IS NOT NULL"
_TAKE_RUN = (
    "UPDATE stent_runs SET epoch = epoch + 1, owner = ?, started_at_us = coalesce(started_at_us, ?), "
    "status = CASE status WHEN 'pending' THEN 'running' ELSE status END "
    f"WHERE run_id = ? AND owner IS NULL RETURNING {CLAIMED_COLUMNS}"
)
_DROP_READY_RUN = "DELETE FROM stent_ready WHERE run_id = ? AND call = 0"
_DROP_SLEEPING = "DELETE FROM stent_sleeping WHERE run_id = ?"
_SET_ASIDE = (
    f"UPDATE stent_ready SET kind = {KIND_DAMAGED}, claimed_by = '{NOBODY}' "
    "WHERE run_id = ? AND call = ? AND first_item = ?"
)
_STALL = (
    "UPDATE stent_runs SET epoch = epoch + 1, owner = NULL, status = 'stalled', stall = ? "
    "WHERE run_id = ? AND finished_at_us IS NULL"
)
_CLAIM_CALL = "UPDATE stent_ready SET claimed_by = ? WHERE run_id = ? AND call = ? AND first_item = ?"
_CLAIM_PART = (
    "UPDATE stent_ready SET claimed_by = ?, items = ?, size = ? WHERE run_id = ? AND call = ? AND first_item = ?"
)
_SELECT_EVENT = f"SELECT {EVENT_COLUMNS} FROM stent_events WHERE run_id = ? AND seq = ?"
_SELECT_PAYLOAD = "SELECT data FROM stent_payloads WHERE run_id = ? AND seq = ?"
_FINISH = "DELETE FROM stent_ready WHERE run_id = ? AND call = ? AND first_item = ? AND claimed_by = ?"
_FINISH_PART = (
    "UPDATE stent_ready SET items = ?, size = ? WHERE run_id = ? AND call = ? AND first_item = ? AND claimed_by = ?"
)


def claim_runs(cursor: Cursor, operation: ClaimRuns, now_us: int) -> Outcome:
    if not is_registered(cursor, operation.worker_id):
        return ClaimedRuns(())
    if operation.only:
        taken = [
            _take_run(cursor, run_id, operation.worker_id, now_us)
            for run_id in operation.only
            if _may_begin(cursor, run_id)
        ]
        return ClaimedRuns(tuple(run for run in taken if run is not None))
    cursor.execute(_ANY_DUE, (now_us,))
    if cursor.fetchone() is not None:
        cursor.execute(_WAKE_DUE, (now_us, now_us, DUE_RUNS_A_CLAIM))
        cursor.execute(_FORGET_DUE, (now_us, DUE_RUNS_A_CLAIM))
    claimed: list[ClaimedRun | None] = []
    for kind, room in ((KIND_ORCHESTRATOR, operation.limit), (KIND_ACTIVITY, min(operation.slots, operation.limit))):
        found = _open_ready(cursor, kind, operation.can, room)
        for row, _ in found.damaged:
            if _may_begin(cursor, row[0]):  # its limit may be what is damaged
                claimed.append(_take_run(cursor, row[0], operation.worker_id, now_us))
            else:
                cursor.execute(_DROP_READY_RUN, (row[0],))
                cursor.execute(MAKE_READY, (now_us, row[0]))
        claimed += [_take_run(cursor, row[0], operation.worker_id, now_us) for row, _ in found.whole]
    return ClaimedRuns(tuple(run for run in claimed if run is not None))


def _may_begin(cursor: Cursor, run_id: str) -> bool:
    """Whether the limit of a run leaves room for it; one that has begun has its room."""
    cursor.execute(_UNBEGUN_LIMIT, (run_id,))
    found = cursor.fetchone()
    return found is None or _free_of(cursor, found[0], 1) > 0


def _free_of(cursor: Cursor, limit_key: str, room: int) -> int:
    """How many bodies a limit leaves room for, at most `room`."""
    cursor.execute(_LIMIT_LEFT, (limit_key, limit_key, limit_key))
    left = cursor.fetchone()
    return room if left is None else min(room, left[0])


def _take_run(cursor: Cursor, run_id: str, worker_id: str, now_us: int) -> ClaimedRun | None:
    cursor.execute(_TAKE_RUN, (worker_id, now_us, run_id))
    taken = cursor.fetchone()
    cursor.execute(_DROP_READY_RUN, (run_id,))
    cursor.execute(_DROP_SLEEPING, (run_id,))
    return rows.claimed_run(taken) if taken is not None else None


def claim_calls(cursor: Cursor, operation: ClaimCalls, now_us: int) -> Outcome:
    claimed: list[ClaimedCall] = []
    if not is_registered(cursor, operation.worker_id):
        return ClaimedCalls(())
    slots = operation.slots
    found = _open_ready(cursor, KIND_CALL, operation.can, slots)
    for row, damage in found.damaged:
        _set_aside(cursor, row, damage)
    for row, allowed in found.whole:
        size = min(allowed, slots)
        if size == 0:
            break
        try:
            whole = rows.shared_row(row).call
            scheduled = rows.claimed_call(whole, _event(cursor, whole.run_id, whole.seq)).scheduled
        except CorruptHistoryError as damage:
            _set_aside(cursor, row, damage)
            continue
        shared = _claim_part(cursor, whole, size, operation.worker_id, now_us)
        slots -= shared.size
        claimed.append(ClaimedCall(shared, scheduled))
    return ClaimedCalls(tuple(claimed))


def _set_aside(cursor: Cursor, row: Row, damage: CorruptHistoryError) -> None:
    """Keep a damaged call from all workers, and let a person know by its run."""
    cursor.execute(_SET_ASIDE, row[:3])
    cursor.execute(_STALL, (str(damage), row[0]))
    cursor.execute(_DROP_READY_RUN, (row[0],))
    cursor.execute(_DROP_SLEEPING, (row[0],))


def _claim_part(cursor: Cursor, shared: SharedCall, size: int, worker_id: str, now_us: int) -> SharedCall:
    """Claim a call, or the first `size` items of a range; the rest of the range stays for others."""
    place = (shared.run_id, shared.call, shared.first_item)
    if size == shared.size:
        cursor.execute(_CLAIM_CALL, (worker_id, *place))
        return shared
    mine, others = split_ranges(shared.items, size)
    claimed = _with_items(shared, mine, shared.first_item)
    cursor.execute(_CLAIM_PART, (worker_id, rows.ranges_text(mine), size, *place))
    rest = _with_items(shared, others, others[0][0]).named()
    cursor.execute(INSERT_READY, rows.ready_values(rest, KIND_CALL, now_us))
    return claimed


class _Open(NamedTuple):
    """Unclaimed rows that a worker can carry out: whole ones with how many bodies their limits allow, best first."""

    whole: list[tuple[Row, int]]
    damaged: list[tuple[Row, CorruptHistoryError]]


def _open_ready(cursor: Cursor, kind: int, can: Capabilities, room: int) -> _Open:
    whole: list[tuple[Row, int]] = []
    damaged: list[tuple[Row, CorruptHistoryError]] = []
    if room <= 0 or not can.functions:
        return _Open(whole, damaged)
    where, values = _capability_filter(can)
    columns = READY_COLUMNS
    select = f"SELECT {columns} FROM stent_ready WHERE claimed_by IS NULL AND kind = ?"
    order = " ORDER BY priority DESC, ready_at_us, run_id, call, first_item LIMIT ?"
    cursor.execute(f"{select} AND limit_key IS NULL AND {where}{order}", (kind, *values, room))
    whole += [(row, row[7]) for row in _whole(cursor.fetchall(), damaged)]
    cursor.execute(_OPEN_KEYS, (kind, kind))
    for (key,) in cursor.fetchall():
        free = _free_of(cursor, key, room)
        if free <= 0:
            continue
        cursor.execute(f"{select} AND limit_key = ? AND {where}{order}", (kind, key, *values, free))
        whole += _within(_whole(cursor.fetchall(), damaged), free)
    whole.sort(key=lambda pair: (-pair[0][10], pair[0][13], *pair[0][:3]))
    return _Open(whole[: max(0, room - len(damaged))], damaged)


def _whole(found: Sequence[Row], damaged: list[tuple[Row, CorruptHistoryError]]) -> list[Row]:
    """Those that can be compared and counted; the others go to `damaged`."""
    whole = []
    for row in found:
        try:
            rows.check_ready(row)
        except CorruptHistoryError as damage:
            damaged.append((row, damage))
        else:
            whole.append(row)
    return whole


def _event(cursor: Cursor, run_id: str, seq: int) -> EventRow | None:
    cursor.execute(_SELECT_EVENT, (run_id, seq))
    found = cursor.fetchone()
    if found is None:
        return None
    large = None
    if found[8] is not None and found[9] is None:
        cursor.execute(_SELECT_PAYLOAD, (run_id, seq))
        large = cursor.fetchone()
    return rows.event_row(found, large[0] if large is not None else None)


def finish_call(cursor: Cursor, operation: FinishCall, now_us: int) -> Outcome:
    place = (operation.run_id, operation.call, operation.first_item, operation.worker_id)
    if operation.remaining:
        size = sum(stop - start for start, stop in operation.remaining)
        cursor.execute(_FINISH_PART, (rows.ranges_text(operation.remaining), size, *place))
    else:
        cursor.execute(_FINISH, place)
    if cursor.rowcount != 1:
        return Finished(False)
    if operation.message is not None:
        put(cursor, operation.message, now_us)
    return Finished(True)


def _capability_filter(can: Capabilities) -> tuple[str, list[str]]:
    where = _KNOWN
    values = [_json_list(can.functions)]
    if can.queues is not None:
        where += " AND coalesce(queue, 'default') IN (SELECT value FROM json_each(?))"
        values.append(_json_list(can.queues))
    if can.tags is not None:
        where += f" AND {_ONE_OF_ITS_TAGS}"
        values.append(_json_list(can.tags))
    return where, values


@cache
def _json_list(values: frozenset[str]) -> str:
    return json.dumps(sorted(values))


def _within(found: list[Row], free: int) -> list[tuple[Row, int]]:
    """The leading rows whose bodies fit into what a limit leaves; of the last one maybe only a part."""
    kept = []
    for row in found:
        if free <= 0:
            break
        allowed = min(row[7], free)
        free -= allowed
        kept.append((row, allowed))
    return kept


def _with_items(shared: SharedCall, items: tuple[tuple[int, int], ...], first_item: int) -> SharedCall:
    return SharedCall(
        shared.run_id,
        shared.call,
        shared.seq,
        shared.function,
        first_item,
        items,
        shared.attempt,
        shared.queue,
        shared.priority,
        shared.tags,
        shared.limit_key,
    )

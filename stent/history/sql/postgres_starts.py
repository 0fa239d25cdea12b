"""How runs begin, on PostgreSQL; and how events and runs that are ready look in statements.

Rule of this file: who begins a run for a worker locks the worker, so that the run cannot come behind the worker's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stent.history.operations import Started, StartRun
from stent.history.records import NewRun
from stent.history.sql import rows
from stent.history.sql.postgres_talk import NOW, Sent, Statement, Talk, texts
from stent.history.sql.rows import EVENT_COLUMNS, KIND_ACTIVITY, KIND_ORCHESTRATOR, READY_COLUMNS, RUN_COLUMNS
from stent.history.wire import EventRow

EVENTS = Sent(
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
LARGE = Sent("p", {"run_id": "text", "seq": "int", "data": "bytea"})
EVENT_VALUES = ", ".join(f"v.{name}" for name in EVENTS.columns)

KIND_OF_ROLE = f"CASE role WHEN 'orchestrator' THEN {KIND_ORCHESTRATOR} ELSE {KIND_ACTIVITY} END"
READY_OF_RUN = (
    f"run_id, 0, -1, 0, function, {KIND_OF_ROLE}, NULL, 1, 1, queue, priority, tags, "
    f"CASE WHEN started_at_us IS NULL THEN limit_key END, {NOW}, NULL, 0"
)
RUN_FOR_READY = "run_id, function, role, queue, priority, tags, limit_key, started_at_us"
"""What READY_OF_RUN needs of a run."""

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
    SELECT {EVENT_VALUES} FROM {EVENTS.sql} JOIN begun USING (run_id)
),
large AS (
    INSERT INTO stent_payloads (run_id, seq, data)
    SELECT run_id, p.seq, p.data FROM {LARGE.sql} JOIN begun USING (run_id)
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


def start(runs: Sequence[NewRun]) -> Statement:
    started = [run.started for run in runs]
    new = (
        (
            *(run.run_id, run.function, run.role, run.queue, run.priority, rows.tags_text(run.tags), run.limit_key),
            *(run.parent_run, run.parent_call, run.parent_item, run.owner, run.due_us),
        )
        for run in runs
    )
    return Statement(_START, (*_NEW_RUNS.values(new), *event_values(started), *large_values(started)))


def start_runs(operations: Sequence[StartRun]) -> Talk:
    """A run that is there already counts as created if this very start created it: its answer was lost."""
    runs = [operation.run for operation in operations]
    (begun,) = yield [start(runs)]
    created = {run_id for (run_id,) in begun}
    others = {run.run_id: run.started.token for run in runs if run.run_id not in created}
    if others:
        (found,) = yield [Statement(_FIRST_TOKENS, (texts(others),))]
        created |= {run_id for run_id, token in found if token is not None and bytes(token) == others[run_id]}
    return [Started(run.run_id in created) for run in runs]


def event_values(event_rows: Iterable[EventRow]) -> list[str]:
    return EVENTS.values(map(rows.event_values, event_rows))


def large_values(event_rows: Iterable[EventRow]) -> list[str]:
    large = ((row.run_id, row.seq, rows.large_payload(row)) for row in event_rows)
    return LARGE.values(row for row in large if row[2] is not None)

"""Every question asked of a database, as SQLAlchemy Core for both of them.

Rules of this file:
- each method opens one short read transaction and closes it, so that what it reads fits together; none of them writes;
- lists come in pages by key, never by offset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from stent.history.events import EVENT_CODES, TERMINALS
from stent.history.operations import Capabilities
from stent.history.records import Glance, InboxRow, LoadedRun, RunFilter, RunRow, WorkerRow
from stent.history.sql import cells, rows
from stent.history.sql.schema import events, inbox, payloads, ready, runs, sleeping, workers
from stent.history.wire import EventRow

IDS_A_QUESTION = 500  # well under the number of parameters that either database takes
ROWS_AT_ONCE = 500  # of a history: few enough to be gone before the garbage collector looks at them

_TERMINAL_CODES = sorted(EVENT_CODES[kind] for kind in TERMINALS)
_RUN = [runs.c[name.strip()] for name in rows.RUN_COLUMNS.split(",")]
_EVENT = [events.c[name.strip()] for name in rows.EVENT_COLUMNS.split(",")]
_READY = [ready.c[name.strip()] for name in rows.READY_COLUMNS.split(",")]
_INBOX = [inbox.c[name.strip()] for name in rows.INBOX_COLUMNS.split(",")]
_WORKER = [workers.c[name.strip()] for name in rows.WORKER_COLUMNS.split(",")]
_EVENT_AND_PAYLOAD = sa.select(*_EVENT, payloads.c.data).outerjoin_from(
    events, payloads, sa.and_(payloads.c.run_id == events.c.run_id, payloads.c.seq == events.c.seq)
)


_STALLED = sa.and_(runs.c.status == "stalled", runs.c.finished_at_us.is_(None), runs.c.owner.is_(None))


class Reads:
    """The reading half of an SQL store."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._single = engine
        """For questions of one statement, where a transaction around it would cost round trips."""

    def now_us(self) -> int:
        raise NotImplementedError("a store has a clock")

    def get_run(self, run_id: str) -> RunRow | None:
        found = self._all(sa.select(*_RUN).where(runs.c.run_id == run_id))
        return rows.run_row(found[0]) if found else None

    def find_runs(self, id_prefix: str, limit: int) -> list[str]:
        query = sa.select(runs.c.run_id).where(_has_prefix(runs.c.run_id, id_prefix)).order_by(runs.c.run_id)
        return [row[0] for row in self._all(query.limit(limit))]

    def list_runs(self, wanted: RunFilter) -> list[RunRow]:
        query = sa.select(*_RUN).order_by(runs.c.created_at_us.desc(), runs.c.run_id.desc()).limit(wanted.limit)
        query = query.where(*_conditions(wanted), *(self._has_tag(runs.c.tags, tag) for tag in wanted.tags))
        return [rows.run_row(row) for row in self._all(query)]

    def read_rows(self, run_id: str, after_seq: int = 0, limit: int | None = None) -> list[EventRow]:
        with self._engine.connect() as connection:
            return _history(connection, run_id, after_seq, limit)

    def last_row(self, run_id: str) -> EventRow | None:
        query = _EVENT_AND_PAYLOAD.where(events.c.run_id == run_id).order_by(events.c.seq.desc()).limit(1)
        found = self._all(query)
        return rows.event_row(found[0], found[0][-1]) if found else None

    def terminal_row(self, run_id: str) -> EventRow | None:
        query = (
            _EVENT_AND_PAYLOAD.where(events.c.run_id == run_id, events.c.code.in_(_TERMINAL_CODES))
            .order_by(events.c.seq.desc())
            .limit(1)
        )
        found = self._all(query)
        return rows.event_row(found[0], found[0][-1]) if found else None

    def ended_among(self, run_ids: Sequence[str]) -> list[EventRow]:
        ended: list[EventRow | None] = []
        for some in _batches(run_ids, IDS_A_QUESTION):
            query = sa.select(runs.c.run_id).where(runs.c.run_id.in_(some), runs.c.finished_at_us.is_not(None))
            ended += [self.terminal_row(row[0]) for row in self._all(query)]
        return [row for row in ended if row is not None]

    def load_runs(self, run_ids: Sequence[str]) -> list[LoadedRun]:
        loaded = []
        with self._engine.connect() as connection:
            for run_id in run_ids:
                found = connection.execute(sa.select(*_RUN).where(runs.c.run_id == run_id)).first()
                if found is not None:
                    loaded.append(_load(connection, rows.run_row(found)))
        return loaded

    def read_inbox(self, worker_id: str) -> list[InboxRow]:
        query = (
            sa.select(*_INBOX)
            .join_from(inbox, runs, inbox.c.run_id == runs.c.run_id)
            .where(runs.c.owner == worker_id)
            .order_by(inbox.c.n)
        )
        return [rows.inbox_row(row) for row in self._all(query)]

    def cancelled_calls(self, worker_id: str) -> list[tuple[str, int, int]]:
        query = sa.select(ready.c.run_id, ready.c.call, ready.c.first_item).where(
            ready.c.claimed_by == worker_id, ready.c.is_cancelled == 1
        )
        return [(row[0], row[1], row[2]) for row in self._all(query.order_by(*_READY[:3]))]

    def possessions(self, worker_id: str) -> tuple[list[str], list[tuple[str, int, int]]]:
        owned = sa.select(runs.c.run_id).where(runs.c.owner == worker_id).order_by(runs.c.run_id)
        claimed = sa.select(*_READY[:3]).where(ready.c.claimed_by == worker_id).order_by(*_READY[:3])
        with self._engine.connect() as connection, connection.begin():
            return (
                [row[0] for row in connection.execute(owned)],
                [(row[0], row[1], row[2]) for row in connection.execute(claimed)],
            )

    def list_workers(self) -> list[WorkerRow]:
        query = sa.select(*_WORKER).order_by(workers.c.started_at_us, workers.c.worker_id)
        return [rows.worker_row(row) for row in self._all(query)]

    def stalled_runs(self, limit: int, tried: Collection[str] = ()) -> list[RunRow]:
        query = sa.select(*_RUN).where(_STALLED).order_by(runs.c.created_at_us, runs.c.run_id)
        found = (rows.run_row(row) for row in self._all(query.limit(limit + len(tried))))
        return [run for run in found if run.run_id not in tried][:limit]

    def queue_depth(self, queue: str | None = None) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(ready.c.size), 0)).where(ready.c.claimed_by.is_(None))
        if queue is not None:
            query = query.where(sa.func.coalesce(ready.c.queue, "default") == queue)
        return int(self._all(query)[0][0])

    def glance(self, worker_id: str, can: Capabilities) -> Glance:
        found = self._all(
            sa.select(
                sa.exists().where(ready.c.claimed_by.is_(None), *self._fitting(ready, can)),
                sa.select(sa.func.min(sleeping.c.due_at_us)).scalar_subquery(),
                sa.exists().where(inbox.c.run_id == runs.c.run_id, runs.c.owner == worker_id),
                sa.exists().where(ready.c.claimed_by == worker_id, ready.c.is_cancelled == 1),
                sa.exists().where(workers.c.valid_until_us < self._now()),
                sa.exists().where(_STALLED),
                sa.select(sa.func.count()).select_from(workers).scalar_subquery(),
            )
        )[0]
        if type(found[1]) not in cells.NUMBER_OR_NOTHING:
            raise cells.damaged("what sleeps", "due_at_us", found[1])
        return Glance(
            bool(found[0]), found[1], bool(found[2]), bool(found[3]), bool(found[4]), bool(found[5]), int(found[6])
        )

    def has_sleepers(self, can: Capabilities) -> bool:
        fitting = sa.exists().where(sleeping.c.run_id == runs.c.run_id, *self._fitting(runs, can))
        return bool(self._all(sa.select(fitting))[0][0])

    def count_unfinished(self) -> int:
        return int(self._all(sa.select(sa.func.count()).where(runs.c.finished_at_us.is_(None)))[0][0])

    def _all(self, query: sa.Select[Any]) -> Sequence[rows.Row]:
        with self._single.connect() as connection:
            return connection.execute(query).all()

    def _now(self) -> sa.ColumnElement[int]:
        """The time, for a condition."""
        return sa.literal(self.now_us(), sa.BigInteger)

    def _fitting(self, table: sa.Table, can: Capabilities) -> list[sa.ColumnElement[bool]]:
        """Conditions for what such a worker may take, of the runs or of what is ready."""
        conditions: list[sa.ColumnElement[bool]] = [table.c.function.in_(sorted(can.functions))]
        if can.queues is not None:
            conditions.append(sa.func.coalesce(table.c.queue, "default").in_(sorted(can.queues)))
        if can.tags is not None:
            conditions.append(sa.or_(sa.false(), *(self._has_tag(table.c.tags, tag) for tag in sorted(can.tags))))
        return conditions

    def _has_tag(self, column: sa.ColumnElement[Any], tag: str) -> sa.ColumnElement[bool]:
        """Exactly this tag: LIKE on the text would take no notice of case, and would find a tag within another."""
        tags = sa.func.json_each(column).table_valued("value")
        return sa.exists().select_from(tags).where(tags.c.value == tag)


def _batches(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _load(connection: sa.Connection, run: RunRow) -> LoadedRun:
    messages = connection.execute(sa.select(*_INBOX).where(inbox.c.run_id == run.run_id).order_by(inbox.c.n))
    query = sa.select(*_READY).where(ready.c.run_id == run.run_id, ready.c.call > 0)
    shared = connection.execute(query.order_by(*_READY[:3]))
    return LoadedRun(
        run,
        tuple(_history(connection, run.run_id, 0, None)),
        tuple(rows.inbox_row(row) for row in messages),
        tuple(rows.shared_row(row) for row in shared),
    )


def _history(connection: sa.Connection, run_id: str, after_seq: int, limit: int | None) -> list[EventRow]:
    query = sa.select(*_EVENT).where(events.c.run_id == run_id, events.c.seq > after_seq).order_by(events.c.seq)
    if limit is not None:
        query = query.limit(limit)
    found: list[EventRow] = []
    large: dict[int, bytes] | None = None
    for some in connection.execute(query).partitions(ROWS_AT_ONCE):
        for row in some:
            if row[8] is not None and row[9] is None:
                large = _large_payloads(connection, run_id, after_seq) if large is None else large
                found.append(rows.event_row(row, large.get(row[1])))
            else:
                found.append(rows.event_row(row))
    return found


def _large_payloads(connection: sa.Connection, run_id: str, after_seq: int) -> dict[int, bytes]:
    """The payloads of a run that are stored apart, by the place of their event."""
    query = sa.select(payloads.c.seq, payloads.c.data)
    stored = connection.execute(query.where(payloads.c.run_id == run_id, payloads.c.seq > after_seq))
    return {row[0]: row[1] for row in stored}


def _conditions(wanted: RunFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.statuses:
        conditions.append(runs.c.status.in_(wanted.statuses))
    if wanted.function is not None:
        conditions.append(runs.c.function == wanted.function)
    if wanted.parent_run is not None:
        conditions.append(runs.c.parent_run == wanted.parent_run)
    if wanted.roots_only:
        conditions.append(runs.c.parent_run.is_(None))
    if wanted.queue is not None:
        conditions.append(sa.func.coalesce(runs.c.queue, "default") == wanted.queue)
    if wanted.created_after_us is not None:
        conditions.append(runs.c.created_at_us >= wanted.created_after_us)
    if wanted.created_before_us is not None:
        conditions.append(runs.c.created_at_us < wanted.created_before_us)
    if wanted.id_prefix is not None:
        conditions.append(_has_prefix(runs.c.run_id, wanted.id_prefix))
    if wanted.before is not None:
        at_us, run_id = wanted.before
        conditions.append(
            sa.or_(
                runs.c.created_at_us < at_us,
                sa.and_(runs.c.created_at_us == at_us, runs.c.run_id < run_id),
            )
        )
    return conditions


def _has_prefix(column: sa.ColumnElement[str], prefix: str) -> sa.ColumnElement[bool]:
    """As a range, so that an index serves it and nothing in the prefix is a wildcard."""
    if not prefix:
        return sa.true()
    return sa.and_(column >= prefix, column < prefix + "\U0010ffff")

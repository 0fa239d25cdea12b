"""Every question asked of a database, as SQLAlchemy Core for both of them.

Rules of this file:
- each method opens one short read transaction and closes it, so that what it reads fits together; none of them writes;
- what is asked all the time is built once, with places for its values: building took longer than asking (measured
  2026-11 on SQLite: a glance 1.1 ms, then 0.3);
- lists come in pages by key, never by offset;
- a damaged row hides no other: who asks for one run to go on with it is refused, who looks at runs is shown it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa

from stent.history.events import EVENT_CODES, TERMINALS
from stent.history.operations import Capabilities
from stent.history.records import Glance, InboxRow, LoadedRun, RunFilter, RunRow, WorkerRow
from stent.history.sql import cells, rows
from stent.history.sql.outlines import IDS_A_QUESTION, RUN_IDS, OutlineReads, batches
from stent.history.sql.schema import events, inbox, payloads, ready, runs, sleeping, workers
from stent.history.wire import EventRow

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

_RUN_ID: sa.BindParameter[str] = sa.bindparam("run_id")
_WORKER_ID: sa.BindParameter[str] = sa.bindparam("worker_id")
_AFTER_SEQ: sa.BindParameter[int] = sa.bindparam("after_seq")
_LIMIT: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
_NOW_US: sa.BindParameter[int] = sa.bindparam("now_us", type_=sa.BigInteger)
_FUNCTIONS: sa.BindParameter[Sequence[str]] = sa.bindparam("functions", expanding=True)
_QUEUES: sa.BindParameter[Sequence[str]] = sa.bindparam("queues", expanding=True)
_TAGS: sa.BindParameter[Sequence[str]] = sa.bindparam("tags", expanding=True)

_A_RUN = sa.select(*_RUN).where(runs.c.run_id == _RUN_ID)
_ENDED = sa.select(runs.c.run_id).where(runs.c.run_id.in_(RUN_IDS), runs.c.finished_at_us.is_not(None))
_HISTORY = sa.select(*_EVENT).where(events.c.run_id == _RUN_ID, events.c.seq > _AFTER_SEQ).order_by(events.c.seq)
_HISTORY_PAGE = (
    _EVENT_AND_PAYLOAD.where(events.c.run_id == _RUN_ID, events.c.seq > _AFTER_SEQ).order_by(events.c.seq).limit(_LIMIT)
)
_PAYLOADS = sa.select(payloads.c.seq, payloads.c.data).where(payloads.c.run_id == _RUN_ID, payloads.c.seq > _AFTER_SEQ)
_NEWEST = _EVENT_AND_PAYLOAD.where(events.c.run_id == _RUN_ID).order_by(events.c.seq.desc()).limit(1)
_TERMINAL = _NEWEST.where(events.c.code.in_(_TERMINAL_CODES))
_MESSAGES = sa.select(*_INBOX).where(inbox.c.run_id == _RUN_ID).order_by(inbox.c.n)
_MESSAGES_FOR = (
    sa.select(*_INBOX)
    .join_from(inbox, runs, inbox.c.run_id == runs.c.run_id)
    .where(runs.c.owner == _WORKER_ID)
    .order_by(inbox.c.n)
)
_SHARED = sa.select(*_READY).where(ready.c.run_id == _RUN_ID, ready.c.call > 0).order_by(*_READY[:3])
_OWNED = sa.select(runs.c.run_id).where(runs.c.owner == _WORKER_ID).order_by(runs.c.run_id)
_CLAIMED = sa.select(*_READY[:3]).where(ready.c.claimed_by == _WORKER_ID).order_by(*_READY[:3])
_CANCELLED = _CLAIMED.where(ready.c.is_cancelled == 1)
_WORKERS = sa.select(*_WORKER).order_by(workers.c.started_at_us, workers.c.worker_id)
_STALLED_RUNS = sa.select(*_RUN).where(_STALLED).order_by(runs.c.created_at_us, runs.c.run_id).limit(_LIMIT)


class Reads(OutlineReads):
    """The reading half of an SQL store."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self._engine = engine
        self._glances: dict[tuple[bool, bool], sa.Select[Any]] = {}
        """By whether queues, and whether tags, narrow them."""

    def now_us(self) -> int:
        raise NotImplementedError("a store has a clock")

    def get_run(self, run_id: str) -> RunRow | None:
        found = self._all(_A_RUN, run_id=run_id)
        return rows.shown_run(found[0]) if found else None

    def find_runs(self, id_prefix: str, limit: int) -> list[str]:
        query = sa.select(runs.c.run_id).where(_has_prefix(runs.c.run_id, id_prefix)).order_by(runs.c.run_id)
        return [row[0] for row in self._all(query.limit(limit))]

    def list_runs(self, wanted: RunFilter) -> list[RunRow]:
        query = sa.select(*_RUN).order_by(runs.c.created_at_us.desc(), runs.c.run_id.desc()).limit(wanted.limit)
        query = query.where(
            *_conditions(wanted), *(self._has_tag(runs.c.tags, [self._tag_value(tag)]) for tag in wanted.tags)
        )
        return [rows.shown_run(row) for row in self._all(query)]

    def read_rows(self, run_id: str, after_seq: int = 0, limit: int | None = None) -> list[EventRow]:
        if limit is not None:
            page = self._all(_HISTORY_PAGE, run_id=run_id, after_seq=after_seq, limit=limit)
            return [rows.event_row(row, row[-1]) for row in page]
        with self._engine.connect() as connection:
            return _history(connection, run_id, after_seq)

    def last_row(self, run_id: str) -> EventRow | None:
        found = self._all(_NEWEST, run_id=run_id)
        return rows.event_row(found[0], found[0][-1]) if found else None

    def terminal_row(self, run_id: str) -> EventRow | None:
        found = self._all(_TERMINAL, run_id=run_id)
        return rows.event_row(found[0], found[0][-1]) if found else None

    def ended_among(self, run_ids: Sequence[str]) -> list[EventRow]:
        ended: list[EventRow | None] = []
        for some in batches(run_ids, IDS_A_QUESTION):
            ended += [self.terminal_row(row[0]) for row in self._all(_ENDED, run_ids=some)]
        return [row for row in ended if row is not None]

    def load_runs(self, run_ids: Sequence[str]) -> list[LoadedRun]:
        loaded = []
        with self._engine.connect() as connection:
            for run_id in run_ids:
                found = connection.execute(_A_RUN, {"run_id": run_id}).first()
                if found is not None:
                    loaded.append(_load(connection, rows.run_row(found)))
        return loaded

    def read_inbox(self, worker_id: str) -> list[InboxRow]:
        return [rows.inbox_row(row) for row in self._all(_MESSAGES_FOR, worker_id=worker_id)]

    def cancelled_calls(self, worker_id: str) -> list[tuple[str, int, int]]:
        return [(row[0], row[1], row[2]) for row in self._all(_CANCELLED, worker_id=worker_id)]

    def possessions(self, worker_id: str) -> tuple[list[str], list[tuple[str, int, int]]]:
        worker = {"worker_id": worker_id}
        with self._engine.connect() as connection, connection.begin():
            return (
                [row[0] for row in connection.execute(_OWNED, worker)],
                [(row[0], row[1], row[2]) for row in connection.execute(_CLAIMED, worker)],
            )

    def list_workers(self) -> list[WorkerRow]:
        return [rows.worker_row(row) for row in self._all(_WORKERS)]

    def stalled_runs(self, limit: int, tried: Collection[str] = ()) -> list[RunRow]:
        found = (rows.shown_run(row) for row in self._all(_STALLED_RUNS, limit=limit + len(tried)))
        return [run for run in found if run.run_id not in tried][:limit]

    def queue_depth(self, queue: str | None = None) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(ready.c.size), 0)).where(ready.c.claimed_by.is_(None))
        if queue is not None:
            query = query.where(sa.func.coalesce(ready.c.queue, "default") == queue)
        return int(self._all(query)[0][0])

    def glance(self, worker_id: str, can: Capabilities) -> Glance:
        kind = (can.queues is None, can.tags is None)
        query = self._glances.get(kind)
        if query is None:
            query = self._glances[kind] = self._glance_for(can)
        found = self._all(query, worker_id=worker_id, now_us=self.now_us(), **_values_of(can, self._tag_value))[0]
        if type(found[1]) not in cells.NUMBER_OR_NOTHING:
            raise cells.damaged("what sleeps", "due_at_us", found[1])
        return Glance(
            bool(found[0]), found[1], bool(found[2]), bool(found[3]), bool(found[4]), bool(found[5]), int(found[6])
        )

    def has_sleepers(self, can: Capabilities) -> bool:
        fitting = sa.exists().where(sleeping.c.run_id == runs.c.run_id, *self._fitting(runs, can))
        return bool(self._all(sa.select(fitting), **_values_of(can, self._tag_value))[0][0])

    def count_unfinished(self) -> int:
        return int(self._all(sa.select(sa.func.count()).where(runs.c.finished_at_us.is_(None)))[0][0])

    def _all(self, query: sa.Select[Any], **values: object) -> Sequence[rows.Row]:
        with self._single.connect() as connection:
            return connection.execute(query, values).all()

    def _now(self) -> sa.ColumnElement[int]:
        """The time, for a condition."""
        return _NOW_US

    def _glance_for(self, can: Capabilities) -> sa.Select[Any]:
        return sa.select(
            sa.exists().where(ready.c.claimed_by.is_(None), *self._fitting(ready, can)),
            sa.select(sa.func.min(sleeping.c.due_at_us)).scalar_subquery(),
            sa.exists().where(inbox.c.run_id == runs.c.run_id, runs.c.owner == _WORKER_ID),
            sa.exists().where(ready.c.claimed_by == _WORKER_ID, ready.c.is_cancelled == 1),
            sa.exists().where(workers.c.valid_until_us < self._now()),
            sa.exists().where(_STALLED),
            sa.select(sa.func.count()).select_from(workers).scalar_subquery(),
        )

    def _fitting(self, table: sa.Table, can: Capabilities) -> list[sa.ColumnElement[bool]]:
        """Conditions for what such a worker may take, of the runs or of what is ready; `_values_of` fills them."""
        conditions: list[sa.ColumnElement[bool]] = [table.c.function.in_(_FUNCTIONS)]
        if can.queues is not None:
            conditions.append(sa.func.coalesce(table.c.queue, "default").in_(_QUEUES))
        if can.tags is not None:
            conditions.append(self._has_tag(table.c.tags, _TAGS, is_damage_one=True))
        return conditions

    def _has_tag(
        self,
        column: sa.ColumnElement[Any],
        tags: Sequence[str] | sa.BindParameter[Sequence[str]],
        *,
        is_damage_one: bool = False,
    ) -> sa.ColumnElement[bool]:
        """Exactly one of these: LIKE on the text would take no notice of case, and would find a tag within another.

        A damaged cell fails no question. For a worker it may be any tag, as in a claim: who takes it tells of it.
        """
        is_list = sa.case((sa.func.json_valid(column) == 1, sa.func.json_type(column)), else_="") == "array"
        whole = sa.case((is_list, column), (column.is_not(None), "[0]"))
        stored = sa.func.json_each(whole).table_valued("value", "type")
        has_tag = stored.c.value.in_(tags)
        return sa.exists().select_from(stored).where(or_damaged(has_tag, stored.c.type != "text", is_damage_one))

    def _tag_value(self, tag: str) -> str:
        """What a tag is compared as."""
        return tag


def or_damaged(
    has_tag: sa.ColumnElement[bool], is_no_text: sa.ColumnElement[bool], is_damage_one: bool
) -> sa.ColumnElement[bool]:
    return sa.or_(has_tag, is_no_text) if is_damage_one else has_tag


def _values_of(can: Capabilities, tag_value: Callable[[str], str]) -> dict[str, Sequence[str]]:
    """What fills the places of `Reads._fitting`."""
    values: dict[str, Sequence[str]] = {"functions": sorted(can.functions)}
    if can.queues is not None:
        values["queues"] = sorted(can.queues)
    if can.tags is not None:
        values["tags"] = [tag_value(tag) for tag in sorted(can.tags)]
    return values


def _load(connection: sa.Connection, run: RunRow) -> LoadedRun:
    messages = connection.execute(_MESSAGES, {"run_id": run.run_id})
    shared = connection.execute(_SHARED, {"run_id": run.run_id})
    return LoadedRun(
        run,
        tuple(_history(connection, run.run_id, 0)),
        tuple(rows.inbox_row(row) for row in messages),
        tuple(rows.shared_row(row) for row in shared),
    )


def _history(connection: sa.Connection, run_id: str, after_seq: int) -> list[EventRow]:
    place: dict[str, object] = {"run_id": run_id, "after_seq": after_seq}
    found: list[EventRow] = []
    large: dict[int, bytes] | None = None
    for some in connection.execute(_HISTORY, place).partitions(ROWS_AT_ONCE):
        for row in some:
            if row[8] is not None and row[9] is None:
                large = _large_payloads(connection, place) if large is None else large
                found.append(rows.event_row(row, large.get(row[1])))
            else:
                found.append(rows.event_row(row))
    return found


def _large_payloads(connection: sa.Connection, place: dict[str, object]) -> dict[int, bytes]:
    """The payloads of a run that are stored apart, by the place of their event."""
    return {row[0]: row[1] for row in connection.execute(_PAYLOADS, place)}


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

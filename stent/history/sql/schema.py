"""The tables, for both databases, as SQLAlchemy Core.

Rules of this file:
- times are BIGINT microseconds, UTC; the database's (SQLite: the host's) clock sets every control column;
- every table leads its key with `run_id` where it has one, so that a distributed PostgreSQL stays possible;
- no index on lease columns (they change often); `ready` is small and hot: rows are inserted, claimed and deleted;
- lock order, everywhere: limits -> runs (ascending run_id) -> ready -> sleeping -> inbox -> events -> payloads.

Table by table:
- `runs`      one row a run; status and owner. What the history says as well is only a cache here.
- `events`    the histories, append-only. Payloads up to `INLINE_PAYLOAD_BYTES` are inline, larger ones in `payloads`.
- `payloads`  large user data, in the order of its event.
- `ready`     what any worker may take: runs to be advanced (call 0) and shared calls. A call that turned out to be
              damaged is set aside: it stays, as kind 3, claimed by nobody that there is.
- `sleeping`  runs that nobody holds and that wake by themselves at a time.
- `inbox`     messages that wait to become events.
- `workers`   one row a process; its lease covers all that it holds.
- `limits`    `max_concurrent` by key, over all workers.
- `meta`      what is said of the database as a whole.
- `version`   the migration that the tables are at, as Alembic keeps it, in a table of our own.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSIONS = ("0001",)  # that can be brought up to date, oldest first; each is a file in migrations/versions
SCHEMA_VERSION = SCHEMA_VERSIONS[-1]
INLINE_PAYLOAD_BYTES = 1024  # rows above a quarter of a page make a WITHOUT ROWID table slow to scan

metadata = sa.MetaData()

_Time = sa.BigInteger
_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # by code point, as SQLite and Python order it

runs = sa.Table(
    "stent_runs",
    metadata,
    sa.Column("run_id", _Text, primary_key=True),
    sa.Column("function", _Text, nullable=False),
    sa.Column("role", _Text, nullable=False),
    sa.Column("status", _Text, nullable=False),
    sa.Column("queue", _Text),
    sa.Column("priority", sa.Integer, nullable=False, default=0),
    sa.Column("tags", _Text),  # JSON array, NULL for none
    sa.Column("limit_key", _Text),
    sa.Column("parent_run", _Text),
    sa.Column("parent_call", sa.Integer),
    sa.Column("parent_item", sa.Integer),
    sa.Column("epoch", sa.BigInteger, nullable=False, default=0),
    sa.Column("owner", _Text),
    sa.Column("created_at_us", _Time, nullable=False),
    sa.Column("started_at_us", _Time),
    sa.Column("finished_at_us", _Time),
    sa.Column("stall", _Text),
    sa.Column("crashes", sa.Integer, nullable=False, default=0),
    sqlite_with_rowid=False,
)
_held = runs.c.owner.is_not(None)
sa.Index("stent_runs_owner", runs.c.owner, sqlite_where=_held, postgresql_where=_held)
sa.Index("stent_runs_created", runs.c.created_at_us, runs.c.run_id)
_unfinished = runs.c.finished_at_us.is_(None)
sa.Index("stent_runs_unfinished", runs.c.status, sqlite_where=_unfinished, postgresql_where=_unfinished)
_limited = sa.and_(runs.c.limit_key.is_not(None), runs.c.started_at_us.is_not(None), runs.c.finished_at_us.is_(None))
sa.Index("stent_runs_limited", runs.c.limit_key, sqlite_where=_limited, postgresql_where=_limited)
_child = runs.c.parent_run.is_not(None)
sa.Index("stent_runs_parent", runs.c.parent_run, sqlite_where=_child, postgresql_where=_child)

events = sa.Table(
    "stent_events",
    metadata,
    sa.Column("run_id", _Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("at_us", _Time, nullable=False),
    sa.Column("code", sa.SmallInteger, nullable=False),
    sa.Column("version", sa.SmallInteger, nullable=False),
    sa.Column("call", sa.Integer),
    sa.Column("body", _Text),
    sa.Column("codec", sa.SmallInteger),  # NULL: no payload
    sa.Column("payload", sa.LargeBinary),  # NULL with a codec: in `payloads`
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("token", sa.LargeBinary),
    sqlite_with_rowid=False,
)

payloads = sa.Table(
    "stent_payloads",
    metadata,
    sa.Column("run_id", _Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

ready = sa.Table(
    "stent_ready",
    metadata,
    sa.Column("run_id", _Text, primary_key=True),
    sa.Column("call", sa.Integer, primary_key=True, autoincrement=False),  # 0: the run itself
    sa.Column("first_item", sa.Integer, primary_key=True, autoincrement=False),  # -1: a single call
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("function", _Text, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),  # 0 orchestrator run, 1 activity run, 2 call, 3 set aside
    sa.Column("items", _Text),  # JSON ranges, NULL for a single call
    sa.Column("size", sa.Integer, nullable=False, default=1),
    sa.Column("attempt", sa.Integer, nullable=False, default=1),
    sa.Column("queue", _Text),
    sa.Column("priority", sa.Integer, nullable=False, default=0),
    sa.Column("tags", _Text),
    sa.Column("limit_key", _Text),
    sa.Column("ready_at_us", _Time, nullable=False),
    sa.Column("claimed_by", _Text),
    sa.Column("is_cancelled", sa.Integer, nullable=False, default=0),
    sqlite_with_rowid=False,
)
_open = ready.c.claimed_by.is_(None)
_claimed = ready.c.claimed_by.is_not(None)
sa.Index(
    "stent_ready_open",
    ready.c.kind,
    ready.c.limit_key,
    ready.c.priority.desc(),
    ready.c.ready_at_us,
    sqlite_where=_open,
    postgresql_where=_open,
)
sa.Index("stent_ready_claimed", ready.c.limit_key, sqlite_where=_claimed, postgresql_where=_claimed)

sleeping = sa.Table(
    "stent_sleeping",
    metadata,
    sa.Column("run_id", _Text, primary_key=True),
    sa.Column("due_at_us", _Time, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("stent_sleeping_due", sleeping.c.due_at_us)

inbox = sa.Table(
    "stent_inbox",
    metadata,
    sa.Column("n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("run_id", _Text, nullable=False),
    sa.Column("key", _Text, nullable=False),
    sa.Column("code", sa.SmallInteger, nullable=False),
    sa.Column("version", sa.SmallInteger, nullable=False),
    sa.Column("call", sa.Integer),
    sa.Column("body", _Text),
    sa.Column("codec", sa.SmallInteger),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("put_at_us", _Time, nullable=False),
    sa.UniqueConstraint("run_id", "key", name="stent_inbox_key"),
)

workers = sa.Table(
    "stent_workers",
    metadata,
    sa.Column("worker_id", _Text, primary_key=True),
    sa.Column("host", _Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at_us", _Time, nullable=False),
    sa.Column("valid_until_us", _Time, nullable=False),
    sa.Column("lock_path", _Text),
    sa.Column("free_slots", sa.Integer, nullable=False, default=0),
)

limits = sa.Table(
    "stent_limits",
    metadata,
    sa.Column("key", _Text, primary_key=True),
    sa.Column("max", sa.Integer, nullable=False),
)

meta = sa.Table(
    "stent_meta",
    metadata,
    sa.Column("key", _Text, primary_key=True),
    sa.Column("value", _Text, nullable=False),
)

version = sa.Table(
    "stent_schema_version",
    metadata,
    sa.Column("version_num", sa.String(32), primary_key=True),
)
version.primary_key.name = f"{version.name}_pkc"  # table, column and key as Alembic makes them

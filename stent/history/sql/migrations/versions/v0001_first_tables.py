"""Version 0001: the first tables. Never edited, whatever `schema.py` becomes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_Time = sa.BigInteger

_LIVELY = "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0"
_STORAGE = {
    "stent_runs": f"fillfactor = 70, {_LIVELY}",
    "stent_ready": f"fillfactor = 70, {_LIVELY}",
    "stent_sleeping": _LIVELY,
    "stent_inbox": _LIVELY,
    "stent_workers": f"fillfactor = 50, {_LIVELY}",
}


def upgrade() -> None:
    _make_runs()
    _make_histories()
    _make_waiting()
    _make_the_rest()
    if op.get_context().dialect.name == "postgresql":
        for table, settings in _STORAGE.items():
            op.execute(f"ALTER TABLE {table} SET ({settings})")


def _make_runs() -> None:
    op.create_table(
        "stent_runs",
        _key("run_id", _Text),
        *(_must(name, _Text) for name in ("function", "role", "status")),
        sa.Column("queue", _Text),
        _must("priority", sa.Integer),
        *(sa.Column(name, _Text) for name in ("tags", "limit_key", "parent_run")),
        *(sa.Column(name, sa.Integer) for name in ("parent_call", "parent_item")),
        _must("epoch", sa.BigInteger),
        sa.Column("owner", _Text),
        _must("created_at_us", _Time),
        *(sa.Column(name, _Time) for name in ("started_at_us", "finished_at_us")),
        sa.Column("stall", _Text),
        _must("crashes", sa.Integer),
        sqlite_with_rowid=False,
    )
    _index("stent_runs_owner", "stent_runs", ["owner"], where="owner IS NOT NULL")
    _index("stent_runs_created", "stent_runs", ["created_at_us", "run_id"])
    _index("stent_runs_unfinished", "stent_runs", ["status"], where="finished_at_us IS NULL")
    limited = "limit_key IS NOT NULL AND started_at_us IS NOT NULL AND finished_at_us IS NULL"
    _index("stent_runs_limited", "stent_runs", ["limit_key"], where=limited)
    _index("stent_runs_parent", "stent_runs", ["parent_run"], where="parent_run IS NOT NULL")


def _make_histories() -> None:
    op.create_table(
        "stent_events",
        _key("run_id", _Text),
        _key("seq", sa.Integer),
        _must("epoch", sa.BigInteger),
        _must("at_us", _Time),
        _must("code", sa.SmallInteger),
        _must("version", sa.SmallInteger),
        sa.Column("call", sa.Integer),
        sa.Column("body", _Text),
        sa.Column("codec", sa.SmallInteger),
        sa.Column("payload", sa.LargeBinary),
        _must("hash", sa.LargeBinary),
        sa.Column("token", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_table("stent_payloads", _key("run_id", _Text), _key("seq", sa.Integer), _must("data", sa.LargeBinary))


def _make_waiting() -> None:
    op.create_table(
        "stent_ready",
        _key("run_id", _Text),
        *(_key(name, sa.Integer) for name in ("call", "first_item")),
        _must("seq", sa.Integer),
        _must("function", _Text),
        _must("kind", sa.SmallInteger),
        sa.Column("items", _Text),
        *(_must(name, sa.Integer) for name in ("size", "attempt")),
        sa.Column("queue", _Text),
        _must("priority", sa.Integer),
        *(sa.Column(name, _Text) for name in ("tags", "limit_key")),
        _must("ready_at_us", _Time),
        sa.Column("claimed_by", _Text),
        _must("is_cancelled", sa.Integer),
        sqlite_with_rowid=False,
    )
    order: list[Any] = ["kind", "limit_key", sa.text("priority DESC"), "ready_at_us"]
    _index("stent_ready_open", "stent_ready", order, where="claimed_by IS NULL")
    _index("stent_ready_claimed", "stent_ready", ["limit_key"], where="claimed_by IS NOT NULL")
    op.create_table("stent_sleeping", _key("run_id", _Text), _must("due_at_us", _Time), sqlite_with_rowid=False)
    _index("stent_sleeping_due", "stent_sleeping", ["due_at_us"])
    op.create_table(
        "stent_inbox",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        *(_must(name, _Text) for name in ("run_id", "key")),
        *(_must(name, sa.SmallInteger) for name in ("code", "version")),
        sa.Column("call", sa.Integer),
        sa.Column("body", _Text),
        sa.Column("codec", sa.SmallInteger),
        sa.Column("payload", sa.LargeBinary),
        _must("put_at_us", _Time),
        sa.UniqueConstraint("run_id", "key", name="stent_inbox_key"),
    )


def _make_the_rest() -> None:
    op.create_table(
        "stent_workers",
        _key("worker_id", _Text),
        _must("host", _Text),
        _must("pid", sa.Integer),
        *(_must(name, _Time) for name in ("started_at_us", "valid_until_us")),
        sa.Column("lock_path", _Text),
        _must("free_slots", sa.Integer),
    )
    op.create_table("stent_limits", _key("key", _Text), _must("max", sa.Integer))
    op.create_table("stent_meta", _key("key", _Text), _must("value", _Text))


def _key(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _must(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _index(name: str, table: str, columns: list[Any], *, where: str | None = None) -> None:
    condition = sa.text(where) if where is not None else None
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)

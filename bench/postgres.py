"""A PostgreSQL server of our own on the loopback device, with fsync on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.workloads import Counted
from stent import Stent
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_talk import Statement
from tests.postgres import server

BASELINE_COMMITS = 3_000

os.environ[server.FSYNC_VARIABLE] = "1"


def baseline(folder: Path, scale: float) -> dict[str, Any]:
    """How many single-row commits a second this server takes over one connection, by a prepared statement."""
    count = max(100, round(BASELINE_COMMITS * scale))
    with server.fresh_database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload bytea)")
        began_s = time.perf_counter()
        for _ in range(count):
            connection.execute("INSERT INTO t (payload) VALUES (%s)", (b"x" * 100,), prepare=True)
        return {"commits_per_s": round(count / (time.perf_counter() - began_s), 1)}


@contextmanager
def empty_backend(folder: Path) -> Iterator[Any]:
    """A backend on a database of its own."""
    with server.fresh_database() as url:
        yield Stent.backends.PostgresBackend(url)


def watch(store: PostgresStore, counted: Counted) -> None:
    """Count what the writing connection does."""
    send = store._send

    def seen(statements: Sequence[Statement]) -> Any:
        for statement in statements:
            counted.see(statement.sql.strip())
        return send(statements)

    store._send = seen  # type: ignore[method-assign]  # the one door of that connection

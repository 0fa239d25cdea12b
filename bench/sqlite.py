"""One SQLite file with `synchronous=FULL`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.workloads import Counted
from stent import Stent
from stent.history.sql.sqlite import SQLiteStore

BASELINE_COMMITS = 3_000


def baseline(folder: Path, scale: float) -> dict[str, Any]:
    """How many single-row commits a second this disk takes through plain sqlite3 (WAL, FULL)."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, payload BLOB)")
    count = max(100, round(BASELINE_COMMITS * scale))
    began_s = time.perf_counter()
    for _ in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (payload) VALUES (?)", (b"x" * 100,))
        connection.execute("COMMIT")
    took_s = time.perf_counter() - began_s
    connection.close()
    return {"commits_per_s": round(count / took_s, 1)}


@contextmanager
def empty_backend(folder: Path) -> Iterator[Any]:
    """A backend on a file in this folder."""
    yield Stent.backends.SQLiteBackend(folder / "bench.db")


def watch(store: SQLiteStore, counted: Counted) -> None:
    """Count what the writing connection does."""
    store._connect().set_trace_callback(counted.see)

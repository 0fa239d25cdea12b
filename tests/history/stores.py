"""The stores that the conformance suite runs on. Another store is another line of STORES."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stent.clock import Clock
from stent.history.memory import MemoryStore
from stent.history.sql.sqlite import SQLiteStore
from stent.testing.conformance.opening import Opener


def open_memory(_folder: Path, clock: Clock) -> Opener:
    return MemoryStore(clock).peer


def open_sqlite(folder: Path, clock: Clock) -> Opener:
    return lambda: SQLiteStore(folder / "stent.db", durability="relaxed", clock=clock)


def open_postgres(_folder: Path, clock: Clock) -> Opener:
    from stent.history.sql.postgres import PostgresStore
    from tests.postgres.server import emptied_database

    url = emptied_database()
    return lambda: PostgresStore(url, clock=clock)


STORES: dict[str, Callable[[Path, Clock], Opener]] = {
    "memory": open_memory,
    "sqlite": open_sqlite,
    "postgres": open_postgres,
}

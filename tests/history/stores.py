"""The stores that the conformance suite runs on. Another store is another line of STORES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from stent.clock import Clock
from stent.history.memory import MemoryStore
from stent.history.sql.sqlite import SQLiteStore
from stent.history.store import Store

Opener: TypeAlias = Callable[[], Store]
"""Each call gives the view of another process on the same data."""


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


@contextmanager
def opened(opener: Opener, count: int = 1) -> Iterator[list[Store]]:
    """So many views of one store, initialised, and closed at the end."""
    stores = [opener() for _ in range(count)]
    try:
        for store in stores:
            store.initialise()
        yield stores
    finally:
        for store in stores:
            store.close()

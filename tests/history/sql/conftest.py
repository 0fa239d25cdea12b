"""Fixtures for the tests of stores on databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from stent.history.sql.postgres import PostgresStore
from tests.postgres.proxy import Proxy
from tests.postgres.server import emptied_database, fresh_database


@pytest.fixture
def database() -> str:
    """The URL of a PostgreSQL database whose tables of ours, if any, are empty. One at a time."""
    return emptied_database()


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    """A way to that database on which faults can be planted."""
    with Proxy(database) as proxy:
        yield proxy


@pytest.fixture
def untouched_database() -> Iterator[str]:
    """The URL of a PostgreSQL database without tables."""
    with fresh_database() as url:
        yield url


@pytest.fixture
def open_store() -> Iterator[Callable[..., PostgresStore]]:
    """Opens stores on a database, each as if in a process of its own; they are closed at the end."""
    stores: list[PostgresStore] = []

    def opened(url: str, **options: object) -> PostgresStore:
        store = PostgresStore(url, **options)  # type: ignore[arg-type]
        stores.append(store)
        store.initialise()
        return store

    yield opened
    for store in stores:
        store.close()

"""A real PostgreSQL for the tests of Stent itself, as `stent.testing.postgres` gives it to its users."""

from __future__ import annotations

import atexit

import psycopg

from stent.errors import NotConfiguredError as NoServer  # noqa: F401 - what the pooler beside it raises too
from stent.testing.postgres import (
    FSYNC_VARIABLE as FSYNC_VARIABLE,
    URL_VARIABLE as URL_VARIABLE,
    as_user as as_user,
    create as create,
    free_port as free_port,
    fresh_database as fresh_database,
    running as running,
    start as start,
    wait_for as wait_for,
)

_kept: list[str] = []


def emptied_database() -> str:
    """The URL of a database that this process keeps for itself; the tables in it are emptied. Much quicker."""
    if not _kept:
        database = fresh_database()
        _kept.append(database.__enter__())
        atexit.register(database.__exit__, None, None, None)
        return _kept[0]
    with psycopg.connect(_kept[0], autocommit=True) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'stent\\_%'")
        names = [name for (name,) in found if name not in ("stent_meta", "stent_schema_version")]
        connection.execute("; ".join(f"DELETE FROM {name}" for name in names))  # few rows
    return _kept[0]

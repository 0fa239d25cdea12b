"""Connections to PostgreSQL: what they are called, how long they wait for what, and which servers they refuse."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from stent.errors import StoreUnavailableError
from stent.history.operations import StartRun
from stent.history.sql import postgres_connection, postgres_schema
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_connection import (
    ANSWER_TIMEOUT_S,
    READ_SETTINGS,
    SETTINGS,
    Connection,
    application_name,
    connect,
)
from stent.testing.conformance.rigging import new_run

Open = Callable[..., PostgresStore]


def shown(connection: psycopg.Connection[Any], name: str) -> str:
    return str(connection.execute(f"SELECT current_setting('{name}', true)").fetchone()[0])  # type: ignore[index]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database, SETTINGS) as connection:
        yield connection


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_connection_says_which_process_it_is_of(connection: Connection) -> None:
    """By what `stent_workers` has of a worker too: so a session in pg_stat_activity can be traced to its worker."""
    assert f"stent:{socket.gethostname()}:{os.getpid()}" == shown(connection, "application_name")


def test_the_process_is_not_cut_off_behind_a_long_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 100)
    assert 63 == len(application_name())
    assert application_name().endswith(f"h:{os.getpid()}")


def test_whoever_names_the_application_is_heard(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGAPPNAME", "shop")
    with connect(database, {}) as connection:
        assert "shop" == shown(connection, "application_name")
    with connect(f"{database}?application_name=till", {}) as connection:
        assert "till" == shown(connection, "application_name")


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [SETTINGS, READ_SETTINGS], ids=["writing", "reading"])
def test_a_transaction_has_an_end_where_the_server_knows_one(database: str, settings: dict[str, str]) -> None:
    with connect(database, settings) as connection:
        is_known = connection.info.server_version >= 17_00_00
        assert ("30s" if is_known else "None") == shown(connection, "transaction_timeout")


def test_a_server_without_it_is_not_asked_for_it(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "TRANSACTION_TIMEOUT_SINCE", 99_00_00)
    with connect(database, SETTINGS) as connection:
        assert shown(connection, "transaction_timeout") in ("0", "None")
        assert "15s" == shown(connection, "statement_timeout")


def in_a_hurry(store: PostgresStore) -> PostgresStore:
    """A store whose statements may take next to no time."""
    store._settings = {**store._settings, "statement_timeout": "100ms", "transaction_timeout": "150ms"}
    return store


SLOW = "SELECT pg_sleep(0.4)"


def test_a_migration_may_take_longer_than_other_statements(
    untouched_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = postgres_schema.ddl()
    monkeypatch.setattr(postgres_schema, "ddl", lambda: [*whole, SLOW])
    monkeypatch.setattr(Connection, "_answer_timeout_s", 0.2)
    store = in_a_hurry(PostgresStore(untouched_database, listen_dsn=""))
    store.initialise()
    assert store._writer is not None
    assert "100ms" == shown(store._writer, "statement_timeout"), "afterwards all is as before"
    assert ANSWER_TIMEOUT_S == store._writer._answer_timeout_s
    with pytest.raises(psycopg.errors.QueryCanceled):
        store._writer.execute(SLOW)
    store.commit([StartRun(new_run("a"))])
    store.close()


def test_who_migrates_waits_no_longer_than_others_for_an_answer_that_needs_no_time(database: str) -> None:
    """Only the changes themselves are waited for: a network that delivers nothing is noticed as soon as ever."""
    waits: list[float] = []

    class Noting(Connection):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            waits.append(self._answer_timeout_s)
            return super().wait(gen, interval, timeout)

    store = PostgresStore(database, listen_dsn="")
    store.initialise()
    assert store._writer is not None
    store._writer.__class__ = Noting
    store.initialise()
    assert {ANSWER_TIMEOUT_S} == set(waits)
    store.close()


# -- versions ----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_too_old_is_refused_before_anything_is_asked_of_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(database, {}) as connection:
        found = connection.info.server_version
    monkeypatch.setattr(postgres_connection, "OLDEST_SERVER", found + 1_00_00)
    store = PostgresStore(database, listen_dsn="")
    for refused in (store.initialise, store.schema_state, lambda: store.get_run("a")):
        with pytest.raises(StoreUnavailableError, match=f"PostgreSQL {found // 10_000}, and Stent needs") as caught:
            refused()
        assert not caught.value.is_transient
        assert "upgrade the server" in caught.value.fix
    store.close()

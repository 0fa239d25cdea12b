"""The PostgreSQL store: how it opens, what it refuses, how it is set up, and what it makes of errors."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from stent.clock import ManualClock, SystemClock
from stent.errors import OptionError, SchemaVersionError, StoreUnavailableError
from stent.history.events import SignalReceived
from stent.history.operations import Append, Operation, PutMessage, StartRun
from stent.history.records import Message, RunFilter
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_schema import LOCK_KEY, STORAGE
from stent.history.sql.schema import SCHEMA_VERSION, metadata
from stent.testing.conformance.rigging import Rig, call, new_run, payload, scheduled, signal
from tests.history.sql.forking import refusals_after_a_fork
from tests.postgres.server import free_port, fresh_database

Open = Callable[..., PostgresStore]
CLOCK: Any = SystemClock()


def ask(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


# -- opening ---------------------------------------------------------------------------------------------------------


def test_the_tables_are_the_ones_of_the_schema(untouched_database: str, open_store: Open) -> None:
    open_store(untouched_database)
    found = {row[0] for row in ask(untouched_database, "SELECT relname FROM pg_class WHERE relname LIKE 'stent\\_%'")}
    expected = {table.name for table in metadata.sorted_tables}
    expected |= {str(index.name) for table in metadata.sorted_tables for index in table.indexes}
    assert expected <= found
    assert [(SCHEMA_VERSION,)] == ask(untouched_database, "SELECT version_num FROM stent_schema_version")


def test_text_is_ordered_by_code_point(untouched_database: str, open_store: Open) -> None:
    """A prefix is a range, and both databases give pages in the same order."""
    open_store(untouched_database)
    sql = """SELECT DISTINCT c.collname FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
        JOIN pg_collation c ON c.oid = a.attcollation WHERE t.relname LIKE 'stent\\_%' AND t.relkind = 'r'
        AND t.relname <> 'stent_schema_version'"""  # one row, as Alembic makes it: nothing there is put in order
    assert [("C",)] == ask(untouched_database, sql)


def test_lively_tables_are_swept_often(untouched_database: str, open_store: Open) -> None:
    open_store(untouched_database)
    sql = "SELECT relname, reloptions FROM pg_class WHERE relname LIKE 'stent\\_%' AND reloptions IS NOT NULL"
    expected = {name: {f"{key}={value}" for key, value in more.items()} for name, more in STORAGE.items()}
    assert expected == {name: set(options) for name, options in ask(untouched_database, sql)}


def test_nothing_that_a_lease_changes_is_indexed_beside_its_owner(untouched_database: str, open_store: Open) -> None:
    open_store(untouched_database)
    (indexes,) = zip(
        *ask(untouched_database, "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'stent\\_%'"), strict=True
    )
    assert not [index for index in indexes for column in ("valid_until", "epoch", "free_slots") if column in index]


def test_opening_again_changes_nothing(database: str, open_store: Open) -> None:
    rig = Rig(open_store(database), CLOCK)
    rig.start("a")
    rig.store.initialise()
    assert rig.run("a") == open_store(database).get_run("a")


@pytest.mark.slow
def test_two_who_begin_at_once(untouched_database: str) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def begin() -> None:
        store = PostgresStore(untouched_database, listen_dsn="")
        try:
            barrier.wait()
            store.initialise()
        except BaseException as error:  # border: the test reports whatever it is
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == errors


def test_who_creates_tables_waits_for_who_does_so_already(untouched_database: str) -> None:
    store = PostgresStore(untouched_database, listen_dsn="")
    with psycopg.connect(untouched_database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        with pytest.raises(StoreUnavailableError) as caught:
            store.initialise()
        assert caught.value.is_transient
    store.initialise()
    store.close()


def test_a_creation_that_broke_off_left_nothing(untouched_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from stent.history.sql import postgres_schema

    whole = postgres_schema.ddl()
    monkeypatch.setattr(postgres_schema, "ddl", lambda: [*whole[:5], "SELECT 1 / 0"])
    store = PostgresStore(untouched_database, listen_dsn="")
    with pytest.raises(StoreUnavailableError, match="division by zero"):
        store.initialise()
    monkeypatch.undo()
    store.initialise()
    store.close()


@pytest.mark.parametrize(
    ("version", "fix"), [("9999", "upgrade Stent here"), ("0", "not ones of Stent"), ("x", "not ones")]
)
def test_a_database_of_another_version(untouched_database: str, open_store: Open, version: str, fix: str) -> None:
    open_store(untouched_database)
    ask(untouched_database, f"UPDATE stent_schema_version SET version_num = '{version}'")
    with pytest.raises(SchemaVersionError, match=f"works with {SCHEMA_VERSION}") as caught:
        open_store(untouched_database)
    assert fix in caught.value.fix


def test_a_database_that_cannot_hold_every_text() -> None:
    with fresh_database("LATIN1") as url:
        store = PostgresStore(url, listen_dsn="")
        with pytest.raises(StoreUnavailableError, match="LATIN1") as caught:
            store.initialise()
        store.close()
    assert "--encoding=UTF8" in caught.value.fix


def settings_of(store: PostgresStore) -> dict[str, str]:
    assert store._writer is not None
    names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "jit"]
    names.append("synchronous_commit")
    return {name: store._writer.execute(f"SHOW {name}").fetchone()[0] for name in names}  # type: ignore[index]


def test_nothing_that_it_asks_may_take_for_ever(database: str, open_store: Open) -> None:
    expected = {
        "statement_timeout": "15s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "jit": "off",
        "synchronous_commit": "on",
    }
    store = open_store(database)
    assert expected == settings_of(store)
    assert store._writer is not None
    given = store._writer.info.get_parameters()
    assert ("1", "10000") == (given["keepalives"], given["tcp_user_timeout"])


def test_what_the_url_says_wins(database: str, open_store: Open) -> None:
    store = open_store(psycopg.conninfo.make_conninfo(database, application_name="shop"), durability="relaxed")
    assert store._writer is not None
    assert ("shop",) == store._writer.execute("SHOW application_name").fetchone()
    assert "off" == settings_of(store)["synchronous_commit"]


def test_its_url_shows_no_password() -> None:
    store = PostgresStore("postgresql://me:secret@db.example:6432/shop", listen_dsn="")
    assert "postgresql://me@db.example:6432/shop" == store.url
    assert "secret" not in repr(vars(store)["url"])
    store.close()


def test_no_connection_string(open_store: Open) -> None:
    with pytest.raises(OptionError, match="no connection string") as caught:
        PostgresStore("postgresql://me@host:port:5/x?nonsense=1")
    assert "postgresql://user:password@host:5432/database" in caught.value.fix


def test_an_unknown_durability() -> None:
    with pytest.raises(OptionError, match="'maybe'"):
        PostgresStore("postgresql://host/db", durability="maybe")  # type: ignore[arg-type]


def test_a_server_that_is_not_there() -> None:
    store = PostgresStore(f"postgresql://me@127.0.0.1:{free_port()}/db", listen_dsn="")
    with pytest.raises(StoreUnavailableError) as writing:
        store.initialise()
    with pytest.raises(StoreUnavailableError) as reading:
        store.get_run("a")
    store.close()
    assert (True, True) == (writing.value.is_transient, reading.value.is_transient)
    assert "check that the server runs and can be reached" == writing.value.fix


def test_tables_that_are_not_there(untouched_database: str) -> None:
    store = PostgresStore(untouched_database, listen_dsn="")
    with pytest.raises(StoreUnavailableError) as caught:
        store.commit([StartRun(new_run("a"))])
    store.close()
    assert ("create the tables first: await backend.init_db()", False) == (caught.value.fix, caught.value.is_transient)


# -- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"])
def test_a_name_that_cannot_be_stored_is_refused_and_harms_nobody(database: str, open_store: Open, name: str) -> None:
    rig = Rig(open_store(database), CLOCK)
    rig.hold("a")
    for operation in (StartRun(new_run("b", queue=name)), PutMessage(Message("a", name, signal("a", "k").event))):
        with pytest.raises(OptionError, match="cannot store") as caught:
            rig.store.commit([StartRun(new_run("c")), operation])
        assert "NUL" in caught.value.fix
    assert None is rig.store.get_run("c")
    assert rig.start("c")


@pytest.mark.parametrize("text", ["a\x00b", 'x"y\\z', "{a,b}", "NULL", "", "é\U0001f600", "a\nb'"])
def test_any_text_in_payloads_signals_and_tags(database: str, open_store: Open, text: str) -> None:
    rig = Rig(open_store(database), CLOCK)
    rig.hold("a", arguments=payload(text), tags=(text, "other"))
    message = Message("a", "k", SignalReceived(0, 0, text, payload(text), "k"))
    assert "delivered" == rig.put(message)
    assert message == rig.store.read_inbox("w1")[0].message
    assert [rig.run("a")] == rig.store.list_runs(RunFilter(tags=(text,)))
    assert (text, "other") == rig.run("a").tags


@pytest.mark.parametrize("name", ['x"y\\z', "{a,b}", "NULL", "null", "é\U0001f600", "a\nb'", " "])
def test_any_other_text_in_names(database: str, open_store: Open, name: str) -> None:
    rig = Rig(open_store(database), CLOCK)
    rig.register(name)
    rig.start(name, queue=name)
    assert [name] == rig.claim_ids(name)
    rig.put(signal(name, name))
    assert [name] == rig.keys(name)
    rig.share(name, call(name, 1, queue=name, limit_key=name))
    assert [(name, 1, -1)] == rig.claim_places(name)
    assert (name, name) == (rig.run(name).queue, rig.run(name).owner)


def test_the_reason_of_a_stall_is_shown_as_far_as_it_can_be(database: str, open_store: Open) -> None:
    rig = Rig(open_store(database), CLOCK)
    rig.hold("a")
    rig.append("a", status="stalled", stall="a\x00b \ud800")
    assert "a\\x00b \\ud800" == rig.run("a").stall


# -- errors and lost connections --------------------------------------------------------------------------------------


def test_a_failed_commit_leaves_the_store_usable(database: str, open_store: Open) -> None:
    rig = Rig(open_store(database), CLOCK)
    broken = new_run("b", function=None)  # type: ignore[arg-type]  # what no table takes
    batches: list[list[Operation]] = [[StartRun(broken)], [PutMessage(signal("x", "k")), StartRun(broken)]]
    for operations in batches:
        with pytest.raises(StoreUnavailableError) as caught:
            rig.store.commit(operations)
        assert not caught.value.is_transient
    assert rig.start("a")


def test_connections_that_the_server_ended_are_replaced(database: str, open_store: Open) -> None:
    rig = Rig(open_store(database), CLOCK)
    rig.start("a")
    rig.run("a")
    ours = "application_name LIKE 'stent:%' AND datname = current_database()"
    assert len(ask(database, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")) >= 2
    with pytest.raises(StoreUnavailableError) as caught:
        rig.start("b")
    assert caught.value.is_transient
    assert rig.start("b")
    assert "a" == rig.run("a").run_id, "a reader does not even notice"


def test_a_lock_that_somebody_keeps_is_a_reason_to_try_again(database: str, open_store: Open) -> None:
    rig = Rig(open_store(database), CLOCK)
    rig.hold("a")
    append = Append("a", 1, rig.rows("a", scheduled(1)))
    with psycopg.connect(database) as other:
        other.execute("SELECT 1 FROM stent_runs WHERE run_id = 'a' FOR UPDATE")
        with pytest.raises(StoreUnavailableError) as caught:
            rig.store.commit([append])
    assert (True, "55P03") == (caught.value.is_transient, caught.value.sqlstate)
    assert rig.store.commit([append])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # forking is what this test is about
def test_a_store_does_not_survive_a_fork(database: str, open_store: Open) -> None:
    rig = Rig(open_store(database, listen_dsn=""), CLOCK)
    rig.start("a")
    rig.run("a")
    assert ["open a store after the fork (gunicorn: post_fork)"] * 3 == refusals_after_a_fork(rig)
    assert rig.start("b"), "the parent goes on"
    assert "a" == rig.run("a").run_id


# -- time ------------------------------------------------------------------------------------------------------------


def test_time_is_the_databases(database: str, open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is wrong by years does no harm."""
    monkeypatch.setattr(SystemClock, "now_us", lambda self: 5)
    rig = Rig(open_store(database), CLOCK)
    (before,) = ask(database, "SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint")[0]
    found_us = rig.store.now_us()
    rig.hold("a")
    later_us = rig.store.now_us()
    (after,) = ask(database, "SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint")[0]
    slack_us = 1_000
    assert before - slack_us <= found_us <= later_us + slack_us <= after + 2 * slack_us
    assert before <= rig.run("a").created_at_us <= after


# -- behind a pooler ---------------------------------------------------------------------------------------------------


def test_behind_a_pooler_nothing_is_left_in_the_session(database: str, open_store: Open, clock: ManualClock) -> None:
    rig = Rig(open_store(database, is_pooled=True), CLOCK)
    assert isinstance(rig.store, PostgresStore)
    for number in range(12):  # psycopg prepares at the fifth time
        rig.start(str(number))
        rig.run(str(number))
    writer = rig.store._writer
    assert writer is not None
    assert [] == writer.execute("SELECT name FROM pg_prepared_statements").fetchall()
    assert ("0", "0") == tuple(
        writer.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
        for name in ("statement_timeout", "lock_timeout")
    )
    assert not rig.store.news.is_listening


def test_importing_stent_does_not_import_a_driver() -> None:
    program = "import sys, stent; print(sorted({'psycopg', 'sqlalchemy'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "[]" == said.strip()

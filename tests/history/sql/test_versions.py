"""Versions of the tables: created, taken over, migrated and refused, on both databases alike."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stent.errors import SchemaVersionError, StoreUnavailableError
from stent.history.operations import ClaimCalls, ClaimRuns, RegisterWorker, RenewWorker, StartRun
from stent.history.sql import migrations as migrations_module, sqlite as sqlite_module, versions
from stent.history.sql.migrations import FOLDER, migrations, newest
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_schema import ddl
from stent.history.sql.schema import SCHEMA_VERSION, SCHEMA_VERSIONS
from stent.history.sql.sqlite import SQLiteStore
from stent.history.sql.versions import SET_VERSION, Found, statements_for
from stent.history.store import DatabaseStore
from stent.testing.conformance.rigging import ALL, new_run
from tests.postgres.server import fresh_database

SECOND = """
from alembic import op
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("stent_runs", sa.Column("added", sa.Integer))
"""


@dataclass(frozen=True)
class Database:
    """An empty database of one kind."""

    dialect: versions.Dialect
    open: Callable[[], DatabaseStore]
    ask: Callable[[str], list[Any]]
    create: Callable[[], list[str]]

    def build(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self.ask(statement)

    def tables(self) -> list[Any]:
        return sorted(map(repr, [row for sql in _LOOK[self.dialect] for row in self.ask(sql)]))

    def versions(self) -> list[Any]:
        return [str(row[0]) for row in self.ask(versions.READ_VERSION)]


_LOOK = {
    "sqlite": ["SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"],
    "postgresql": [
        """SELECT table_name, column_name, ordinal_position, data_type, is_nullable, collation_name, column_default,
           character_maximum_length FROM information_schema.columns WHERE table_name LIKE 'stent%'""",
        "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'stent%'",
        """SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
           WHERE conrelid IN (SELECT oid FROM pg_class WHERE relname LIKE 'stent%')""",
        "SELECT relname, reloptions FROM pg_class WHERE relname LIKE 'stent%'",
    ],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield _sqlite(tmp_path / "stent.db")
        return
    with fresh_database() as url:
        yield _postgres(url)


def _sqlite(path: Path) -> Database:
    def ask(sql: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    return Database("sqlite", lambda: SQLiteStore(path), ask, sqlite_module._ddl)


def _postgres(url: str) -> Database:
    def ask(sql: str) -> list[Any]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    return Database("postgresql", lambda: PostgresStore(url, listen_dsn=""), ask, ddl)


@contextlib.contextmanager
def opened(database: Database) -> Iterator[DatabaseStore]:
    store = database.open()
    try:
        yield store
    finally:
        store.close()


def as_made_before_migrations(database: Database) -> None:
    """What the Stent that knew no migrations left behind."""
    database.build([sql for sql in database.create() if "stent_schema_version" not in sql])
    database.build(["INSERT INTO stent_meta (key, value) VALUES ('schema_version', '1')"])


@pytest.fixture
def next_stent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Stent with one migration more, which adds a column."""
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder)
    (folder / "versions" / "v0002_added.py").write_text(SECOND)
    monkeypatch.setattr(migrations_module, "FOLDER", folder)
    monkeypatch.setattr(versions, "SCHEMA_VERSIONS", (*SCHEMA_VERSIONS, "0002"))
    monkeypatch.setattr(versions, "SCHEMA_VERSION", "0002")


def normalised(sql: str) -> str:
    return " ".join(sql.split())


# -- the two ways to today's tables -----------------------------------------------------------------------------------


def test_the_migrated_tables_equal_the_ones_made_at_once(database: Database, tmp_path: Path) -> None:
    database.build(migrations(database.dialect, None))
    migrated, at = database.tables(), database.versions()
    if database.dialect == "sqlite":
        other = _sqlite(tmp_path / "other.db")
        other.build([*other.create(), SET_VERSION])
        assert (other.tables(), other.versions()) == (migrated, at)
        texts = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        assert {normalised(row[0]) for row in other.ask(texts)} == {normalised(row[0]) for row in database.ask(texts)}
        return
    with fresh_database() as url:
        other = _postgres(url)
        other.build([*other.create(), SET_VERSION])
        assert (other.tables(), other.versions()) == (migrated, at)


def test_the_newest_migration_is_the_version_of_the_tables() -> None:
    assert (SCHEMA_VERSION, SCHEMA_VERSION) == (newest(), SCHEMA_VERSIONS[-1])


# -- opening ----------------------------------------------------------------------------------------------------------


def test_a_database_made_before_migrations_is_taken_over(database: Database, tmp_path: Path) -> None:
    as_made_before_migrations(database)
    with opened(database) as store:
        assert not store.schema_state().is_current
        store.initialise()
        assert store.schema_state().is_current
        assert 0 == store.count_unfinished()
    assert ([SCHEMA_VERSION], []) == (database.versions(), database.ask("SELECT * FROM stent_meta"))
    taken_over = database.tables()
    database.build([f"DROP TABLE {name}" for name in _table_names(database)])
    with opened(database) as store:
        store.initialise()
    assert database.tables() == taken_over


def _table_names(database: Database) -> list[str]:
    catalogue = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'stent%'",
        "postgresql": "SELECT tablename FROM pg_tables WHERE tablename LIKE 'stent%'",
    }
    return [row[0] for row in database.ask(catalogue[database.dialect])]


@pytest.mark.usefixtures("next_stent")
def test_a_database_that_is_behind_is_migrated_and_keeps_what_it_has(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before, opened(database) as store:
        before.setattr(versions, "SCHEMA_VERSION", "0001")
        store.initialise()
        store.commit([StartRun(new_run("a"))])
    with opened(database) as store:
        store.initialise()
    assert (["0002"], [("a", None)]) == (database.versions(), database.ask("SELECT run_id, added FROM stent_runs"))


@pytest.mark.usefixtures("next_stent")
def test_a_database_made_before_migrations_is_taken_over_and_migrated(database: Database) -> None:
    as_made_before_migrations(database)
    with opened(database) as store:
        store.initialise()
    assert (["0002"], []) == (database.versions(), database.ask("SELECT added FROM stent_runs"))


@pytest.mark.usefixtures("next_stent")
def test_of_two_who_migrate_at_once_one_does_it(database: Database) -> None:
    """A second ADD COLUMN would be an error."""
    as_made_before_migrations(database)
    stores = [database.open() for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as threads:
        assert [None] * len(stores) == list(threads.map(lambda store: store.initialise(), stores))
    for store in stores:
        store.close()
    assert ["0002"] == database.versions()


@pytest.mark.usefixtures("next_stent")
def test_a_migration_that_breaks_off_leaves_the_database_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_made_before_migrations(database)
    before = database.tables()
    whole = migrations("sqlite", "0001")
    with monkeypatch.context() as broken, opened(database) as store:
        broken.setattr(migrations_module, "migrations", lambda *_: [*whole, "SELECT 1 FROM nowhere"])
        with pytest.raises(StoreUnavailableError, match="nowhere"):
            store.initialise()
    assert before == database.tables()
    with opened(database) as store:
        store.initialise()
    assert ["0002"] == database.versions()


def test_alembic_is_imported_only_when_a_database_is_behind(tmp_path: Path) -> None:
    program = (
        "import sys; from stent.history.sql.sqlite import SQLiteStore\n"
        f"store = SQLiteStore({str(tmp_path / 'new.db')!r}); store.initialise(); store.initialise(); store.close()\n"
        "print('alembic' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False\n" == said.stdout


# -- a version that is not known here --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        ClaimRuns("w", ALL, 10, 10),
        ClaimCalls("w", ALL, 10),
        RegisterWorker("w", "h", 1, 5, None, ()),
        RenewWorker("w", 5),
    ],
)
def test_a_worker_refuses_a_version_that_it_does_not_know_and_goes_on_when_it_fits(
    database: Database, operation: Any
) -> None:
    with opened(database) as store:
        store.initialise()
        store.commit([RegisterWorker("w", "h", 1, 5_000_000, None, ()), StartRun(new_run("a"))])
        database.ask("UPDATE stent_schema_version SET version_num = '9999'")
        with pytest.raises(SchemaVersionError, match="9999") as caught:
            store.commit([operation])
        assert ("upgrade Stent here", True) == (caught.value.fix, caught.value.is_transient)
        assert [("pending", 0)] == database.ask("SELECT status, epoch FROM stent_runs")
        database.ask(f"UPDATE stent_schema_version SET version_num = '{SCHEMA_VERSION}'")
        assert 1 == len(store.commit([operation]))


@pytest.mark.parametrize("found", [Found(""), Found("9999"), Found("2", has_old_mark=True), Found("x")])
def test_nothing_is_planned_for_a_version_that_is_not_known(found: Found) -> None:
    with pytest.raises(SchemaVersionError, match=f"works with {SCHEMA_VERSION}"):
        statements_for(found, "sqlite", "app.db", list)

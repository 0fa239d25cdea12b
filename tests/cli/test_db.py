"""`stent db`: the tables brought up to date, or only looked at."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from stent.history.sql.schema import SCHEMA_VERSION
from stent.history.sql.sqlite import _ddl
from tests.cli.conftest import Cli, data
from tests.postgres.server import fresh_database


def make_old(database: Path) -> None:
    """As a Stent made it that knew no migrations."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for sql in _ddl():
            connection.execute(sql)
        connection.execute("DROP TABLE stent_schema_version")
        connection.execute("INSERT INTO stent_meta (key, value) VALUES ('schema_version', '1')")
        connection.commit()


def test_upgrade_makes_a_database_and_status_is_content_with_it(cli: Cli) -> None:
    result = cli("db", "upgrade")
    assert 0 == result.exit_code
    assert result.stdout.endswith(f"is up to date: schema version {SCHEMA_VERSION}\n")
    status = data(cli("db", "status", "--json"))
    assert (SCHEMA_VERSION, SCHEMA_VERSION, True) == (status["version"], status["wanted"], status["ok"])


def test_status_of_what_is_not_migrated_is_code_4_and_changes_nothing(cli: Cli, database: Path) -> None:
    assert 4 == cli("db", "status").exit_code
    assert not database.exists()
    make_old(database)
    before = database.read_bytes()
    result = cli("db", "status")
    assert (4, True) == (result.exit_code, "stent db upgrade" in result.output)
    listing = cli("ls")
    assert (4, True) == (listing.exit_code, "fix: stent db upgrade" in listing.stderr)
    assert "stent_schema_version" not in tables(database)
    assert len(before) == len(database.read_bytes())
    assert 0 == cli("db", "upgrade").exit_code
    assert (0, 0) == (cli("db", "status").exit_code, cli("ls").exit_code)


def test_a_newer_database_is_code_4_for_both(cli: Cli, database: Path) -> None:
    cli("db", "upgrade")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE stent_schema_version SET version_num = '9999'")
        connection.commit()
    for action in ("status", "upgrade"):
        result = cli("db", action)
        assert (4, True) == (result.exit_code, "fix: upgrade Stent here" in result.stderr)


@pytest.mark.parametrize("action", ["upgrade", "status"])
def test_what_sql_prints_is_what_upgrade_does(cli: Cli, database: Path, tmp_path: Path, action: str) -> None:
    make_old(database)
    printed = cli("db", action, "--sql").stdout
    assert "stent_schema_version" not in tables(database)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(printed)
    assert 0 == cli("db", "status").exit_code
    assert "" == cli("db", action, "--sql").stdout.strip()


def test_an_empty_postgres_database_is_looked_at_and_then_made(cli: Cli) -> None:
    with fresh_database() as url:
        assert (4, 4) == (cli("db", "--db", url, "status").exit_code, cli("--db", url, "ls").exit_code)
        assert 0 == cli("db", "upgrade", "--db", url).exit_code
        assert 0 == cli("db", "--db", url, "status").exit_code


def tables(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}

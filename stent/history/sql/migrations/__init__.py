"""Migrations: the statements that lead from one version of the tables to today's, written down with Alembic.

Rules of this folder:
- a file in `versions/` is one version; what has been released is never edited. Its number goes to
  `schema.SCHEMA_VERSIONS`, its change to the tables of `schema.py`: a test compares the two ways to today's tables;
- migrations are statements and read nothing, so that what `stent db upgrade --sql` prints is what is carried out;
- they are carried out by the store, on its own connection, in one transaction and under the lock of those who change
  tables: this file only says what. So nothing here locks, commits or connects.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from stent.history.sql.schema import version

FOLDER = Path(__file__).parent


class _Statements:
    """Where Alembic writes statements, one a call, instead of carrying them out."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def write(self, text: str) -> None:
        statement = text.strip().removesuffix(";")
        if statement and not statement.startswith("--"):
            self.found.append(statement)

    def flush(self) -> None:
        pass


def migrations(dialect: str, found: str | None) -> list[str]:
    """The statements from a version (None: an empty database) to the newest, with those that set the version."""
    scripts = ScriptDirectory(str(FOLDER))
    statements = _Statements()

    def upgrades(revision: Any, _context: MigrationContext) -> Any:
        return scripts._upgrade_revs("heads", revision)

    context = MigrationContext.configure(
        dialect_name=dialect,
        opts={
            "as_sql": True,
            "output_buffer": statements,
            "fn": upgrades,
            "script": scripts,
            "starting_rev": found,
            "version_table": version.name,
        },
    )
    with Operations.context(context):
        context.run_migrations()
    return statements.found


def newest() -> str | None:
    """The version that the files lead to."""
    return ScriptDirectory(str(FOLDER)).get_current_head()

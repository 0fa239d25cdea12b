"""Which version the tables of a database have, and the statements that bring them up to date. Decides; asks by `ask`.

Rules of this file:
- an empty database gets the tables of today at once; one that is behind gets the migrations it lacks, and only then is
  Alembic imported; one that is of this version gets nothing;
- a version that this Stent does not know is an error that says what to do, and nothing is touched;
- databases made before there were migrations carry their mark in `meta`: they are taken over as the first version, and
  the old mark goes, so that a Stent which knows nothing of migrations refuses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stent.errors import SchemaVersionError, StoreError
from stent.history.operations import ClaimCalls, ClaimRuns, Operation, RegisterWorker, RenewWorker
from stent.history.records import SchemaState
from stent.history.sql.schema import SCHEMA_VERSION, SCHEMA_VERSIONS, meta, version

Ask = Callable[[str], Sequence[Any]]
"""Asks the database one question."""

Dialect = Literal["sqlite", "postgresql"]

READ_VERSION = f"SELECT version_num FROM {version.name}"
SET_VERSION = f"INSERT INTO {version.name} (version_num) VALUES ('{SCHEMA_VERSION}')"

_OLD_MARK = "schema_version"
_READ_OLD_MARK = f"SELECT value FROM {meta.name} WHERE key = '{_OLD_MARK}'"
_VERSION_OF_OLD_MARK = {"1": SCHEMA_VERSIONS[0]}
_TAKE_OVER = (
    f"CREATE TABLE {version.name} (version_num VARCHAR(32) NOT NULL, "
    f"CONSTRAINT {version.primary_key.name} PRIMARY KEY (version_num))",
    f"INSERT INTO {version.name} (version_num) VALUES ('{SCHEMA_VERSIONS[0]}')",
    f"DELETE FROM {meta.name} WHERE key = '{_OLD_MARK}'",
)

VERSION_TABLES = (version.name, meta.name)
"""By these a database of ours is known: a store lists those of them that are there."""

_CHECKING = (ClaimRuns, ClaimCalls, RegisterWorker, RenewWorker)


@dataclass(frozen=True, slots=True)
class Found:
    """What a database says of its tables: None if there are none of ours."""

    version: str | None
    has_old_mark: bool = False


def look(tables: Sequence[str], ask: Ask) -> Found:
    """The version of a database in which these of VERSION_TABLES exist."""
    if version.name in tables:
        return Found(_one(ask(READ_VERSION)))
    if meta.name in tables:
        mark = _one(ask(_READ_OLD_MARK))
        return Found(_VERSION_OF_OLD_MARK.get(mark, mark), has_old_mark=True)
    return Found(None)


def is_current(found: Found) -> bool:
    """Whether a database needs nothing. Unlike `statements_for` it may be asked by several at once."""
    return found == Found(SCHEMA_VERSION)


def statements_for(found: Found, dialect: Dialect, url: str, create: Callable[[], list[str]]) -> list[str]:
    """What brings a database up to date; `create` gives the statements that make all tables."""
    if found.version is None:
        return [*create(), SET_VERSION]
    if found.version not in SCHEMA_VERSIONS:
        raise refusal(found.version, url)
    taken_over = [*_TAKE_OVER] if found.has_old_mark else []
    if found.version == SCHEMA_VERSION:
        return taken_over
    from stent.history.sql.migrations import migrations

    return [*taken_over, *migrations(dialect, found.version)]


def state_of(found: Found, dialect: Dialect, url: str, create: Callable[[], list[str]]) -> SchemaState:
    """The same as facts, for a person."""
    try:
        statements = statements_for(found, dialect, url, create)
    except SchemaVersionError as error:
        return SchemaState(url, found.version, SCHEMA_VERSION, (), error)
    return SchemaState(url, found.version, SCHEMA_VERSION, tuple(statements))


def must_check(operations: Sequence[Operation]) -> bool:
    """Whether a batch takes on work, or says that a worker lives: then the tables must still be of this version."""
    return any(isinstance(operation, _CHECKING) for operation in operations)


def check(rows: Sequence[Any], url: str) -> None:
    """That the answer to READ_VERSION is this version; else an error after which trying again may help."""
    found = _one(rows)
    if found != SCHEMA_VERSION:
        raise refusal(found, url)


def refusal(found: str, url: str) -> SchemaVersionError:
    """Why this Stent does not work with a database; a worker that is told so waits until it fits again."""
    if found in SCHEMA_VERSIONS:
        fix = "bring the tables up to date: stent db upgrade"
    elif found.isdigit() and found > SCHEMA_VERSION:
        fix = "upgrade Stent here"
    else:
        fix = "these tables are not ones of Stent, or damaged"
    return SchemaVersionError(
        f"{url} has schema version {found or 'unknown'}, this Stent works with {SCHEMA_VERSION}",
        fix=fix,
        found=found,
        expected=SCHEMA_VERSION,
        is_transient=True,
    )


def not_migrated(state: SchemaState) -> StoreError:
    """For those who only look: they change no tables."""
    if state.refusal is not None:
        return state.refusal
    if state.version is None:
        message = f"there are no tables of Stent in {state.url}"
    else:
        message = f"{state.url} has schema version {state.version}, this Stent works with {state.wanted}"
    return SchemaVersionError(message, fix="stent db upgrade", found=state.version, expected=state.wanted)


def _one(rows: Sequence[Any]) -> str:
    """The one value of an answer; "" if there is not just one."""
    return str(rows[0][0]) if len(rows) == 1 else ""

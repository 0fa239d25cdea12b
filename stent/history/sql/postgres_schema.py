"""Creating and checking the tables on PostgreSQL.

Rules of this file:
- whoever creates or changes tables holds one advisory lock of the transaction, so that two who begin at once wait for
  each other, behind a pooler too; all of it is one transaction;
- what is to be done is decided in `versions`.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from stent.errors import StoreUnavailableError
from stent.history.records import SchemaState
from stent.history.sql.postgres_connection import SETTINGS
from stent.history.sql.postgres_talk import Statement
from stent.history.sql.rows import Row
from stent.history.sql.schema import metadata
from stent.history.sql.versions import VERSION_TABLES, Found, look, state_of, statements_for

PATIENCE = "15s"  # for another who creates or migrates: much longer than anybody may wait for rows
LOCK_KEY = 7_310_594_284_511_829_604  # "stent" for advisory locks: any number that others are unlikely to use

_LIVELY = {
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_delay": "0",
}
STORAGE: dict[str, dict[str, str]] = {
    "stent_runs": {"fillfactor": "70", **_LIVELY},  # room on the page for the next version of a row
    "stent_ready": {"fillfactor": "70", **_LIVELY},  # inserted, claimed, deleted: small, if it is swept often
    "stent_sleeping": _LIVELY,
    "stent_inbox": _LIVELY,
    "stent_workers": {"fillfactor": "50", **_LIVELY},
}

_SERVER = "SELECT current_setting('server_encoding'), pg_is_in_recovery()"
# By a query: to_regclass may answer from a cache that does not know what was committed during the wait for the lock.
_TABLES = "SELECT tablename FROM pg_tables WHERE tablename = ANY(%s) AND schemaname = ANY(current_schemas(false))"

Ask = Callable[[Statement], list[Row]]
Change = Callable[[Statement], None]


def bring_up_to_date(ask: Ask, change: Change, url: str) -> None:
    """Create the tables, or bring them to this version. Runs within a transaction; `change` may take long."""
    encoding, is_standby = ask(Statement(_SERVER))[0]
    if is_standby:
        raise StoreUnavailableError(
            f"{url} is a standby and can only be read",
            fix="use the address of the primary; with several hosts in the URL it is found by itself",
        )
    if encoding != "UTF8":
        raise StoreUnavailableError(
            f"the database {url} stores text as {encoding}, which cannot hold every name",
            fix="create it anew with: createdb --encoding=UTF8 --template=template0",
        )
    ask(Statement(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
    ask(Statement("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,)))
    ask(Statement(f"SET LOCAL lock_timeout = '{SETTINGS['lock_timeout']}'"))  # who waits for a table stops all others
    for sql in statements_for(_found(ask), "postgresql", url, ddl):
        change(Statement(sql.replace("%", "%%")))


def schema_state(ask: Ask, url: str) -> SchemaState:
    """What `bring_up_to_date` would do. Changes nothing."""
    return state_of(_found(ask), "postgresql", url, ddl)


def _found(ask: Ask) -> Found:
    tables = [name for (name,) in ask(Statement(_TABLES, (list(VERSION_TABLES),)))]
    return look(tables, lambda sql: ask(Statement(sql)))


def ddl() -> list[str]:
    """The statements that create everything, in order."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements.extend(str(CreateIndex(index).compile(dialect=dialect)) for index in indexes)
        if table.name in STORAGE:
            settings = ", ".join(f"{name} = {value}" for name, value in STORAGE[table.name].items())
            statements.append(f"ALTER TABLE {table.name} SET ({settings})")
    return statements

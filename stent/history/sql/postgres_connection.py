"""Connections to PostgreSQL that give up in time, whatever the network does.

Rules of this file:
- the server ends what takes too long (statements, lock waits, open transactions); the kernel ends what is not
  acknowledged; and a wait for an answer ends here, for a network that acknowledges and delivers nothing;
- migrations, which may rewrite large tables, have another patience (MIGRATION_SETTINGS, MIGRATION_TIMEOUT_S);
- each connection says in `application_name` which process it is of, by the host and the process id that workers
  register too; unless the connection string, or PGAPPNAME, names it;
- behind a pooler nothing is kept in the session: no prepared statements, and settings are made in each transaction.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen

from stent.errors import StoreUnavailableError
from stent.history.sql.postgres_talk import Statement

ANSWER_TIMEOUT_S = 20.0  # more than any statement may take (statement_timeout), and than the kernel waits for the peer
CONNECT_TIMEOUT_S = 5
MAX_NAME_BYTES = 63  # of what is longer the server cuts off the end
MIGRATION_TIMEOUT_S = 3600.0
OLDEST_SERVER = 15_00_00

TRANSACTION_TIMEOUT = "transaction_timeout"
TRANSACTION_TIMEOUT_SINCE = 17_00_00

SETTINGS = {
    "statement_timeout": "15s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    TRANSACTION_TIMEOUT: "30s",  # more than its statements take; whoever is slower holds up the sweeping of all tables
    "jit": "off",  # no statement here runs long enough to win back a compilation
    # Each statement of a writer looks up a few rows by key. A young database has no statistics that would say so, and a
    # plan that was made while a table was small would go on reading it whole.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",  # planning took ten times as long as carrying out (measured: 2 ms, 0.2)
}
READ_SETTINGS = {
    name: SETTINGS[name]
    for name in ("statement_timeout", "idle_in_transaction_session_timeout", TRANSACTION_TIMEOUT, "jit")
}
MIGRATION_SETTINGS = {"statement_timeout": f"{MIGRATION_TIMEOUT_S:.0f}s", TRANSACTION_TIMEOUT: "0"}

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
    "target_session_attrs": "read-write",  # of several hosts, the primary
}


class Connection(psycopg.Connection[Any]):
    """A connection on which no wait lasts longer than ANSWER_TIMEOUT_S, unless it was told to be patient."""

    _answer_timeout_s = ANSWER_TIMEOUT_S

    @contextlib.contextmanager
    def patient(self, timeout_s: float) -> Iterator[None]:
        """Wait so long for answers."""
        self._answer_timeout_s = timeout_s
        try:
            yield
        finally:
            self._answer_timeout_s = ANSWER_TIMEOUT_S

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self._answer_timeout_s if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()  # whatever comes later would be taken for the answer to the next question
            raise


def connect(dsn: str, settings: dict[str, str], *, is_pooled: bool = False) -> Connection:
    """Open a connection in autocommit mode. What the connection string says wins over our defaults."""
    given = conninfo.conninfo_to_dict(dsn)
    defaults = {**_DEFAULTS, "fallback_application_name": application_name()}
    connection = Connection.connect(**{**defaults, **given}, autocommit=True)
    try:
        check_server(connection)
        if is_pooled:
            connection.prepare_threshold = None
        elif settings:
            statement = configure(known_to(connection, settings), is_local=False)
            connection.execute(statement.sql, statement.values)
    except BaseException:  # border: whatever went wrong, the connection must not stay open
        connection.close()
        raise
    return connection


def application_name() -> str:
    """What this process is called in pg_stat_activity."""
    process = f":{os.getpid()}"
    return f"stent:{socket.gethostname()}"[: MAX_NAME_BYTES - len(process)] + process


def check_server(connection: Connection) -> None:
    """That the server is not too old for the statements of this Stent."""
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise StoreUnavailableError(
            f"the server is PostgreSQL {version // 10_000}, and Stent needs {OLDEST_SERVER // 10_000} or newer",
            fix="upgrade the server, or use another one",
            is_transient=False,
        )


def known_to(connection: Connection, settings: dict[str, str]) -> dict[str, str]:
    """Those of the settings that the server of a connection has."""
    if connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
        return settings
    return {name: value for name, value in settings.items() if name != TRANSACTION_TIMEOUT}


def configure(settings: dict[str, str], *, is_local: bool) -> Statement:
    """Make settings, for the session or for this transaction alone."""
    calls = ", ".join(["set_config(%s, %s, %s)"] * len(settings))
    return Statement(f"SELECT {calls}", [part for name, value in settings.items() for part in (name, value, is_local)])

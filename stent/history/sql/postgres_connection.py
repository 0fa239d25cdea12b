"""Connections to PostgreSQL that give up in time, whatever the network does.

Rules of this file:
- the server ends what takes too long (statements, lock waits, open transactions); the kernel ends what is not
  acknowledged; and a wait for an answer ends here, for a network that acknowledges and delivers nothing;
- behind a pooler nothing is kept in the session: no prepared statements, and settings are made in each transaction.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen

from stent.history.sql.postgres_talk import Statement

ANSWER_TIMEOUT_S = 20.0  # more than any statement may take (statement_timeout), and than the kernel waits for the peer
CONNECT_TIMEOUT_S = 5

SETTINGS = {
    "statement_timeout": "15s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",  # no statement here runs long enough to win back a compilation
    # Each statement of a writer looks up a few rows by key. A young database has no statistics that would say so, and a
    # plan that was made while a table was small would go on reading it whole.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",  # planning took ten times as long as carrying out (measured: 2 ms, 0.2)
}
READ_SETTINGS = {name: SETTINGS[name] for name in ("statement_timeout", "idle_in_transaction_session_timeout", "jit")}

_DEFAULTS: dict[str, Any] = {
    "application_name": "stent",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
    "target_session_attrs": "read-write",  # of several hosts, the primary
}


class Connection(psycopg.Connection[Any]):
    """A connection on which no wait lasts longer than ANSWER_TIMEOUT_S."""

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, ANSWER_TIMEOUT_S if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()  # whatever comes later would be taken for the answer to the next question
            raise


def connect(dsn: str, settings: dict[str, str], *, is_pooled: bool = False) -> Connection:
    """Open a connection in autocommit mode. What the connection string says wins over our defaults."""
    given = conninfo.conninfo_to_dict(dsn)
    connection = Connection.connect(**{**_DEFAULTS, **given}, autocommit=True)
    try:
        if is_pooled:
            connection.prepare_threshold = None
        elif settings:
            statement = configure(settings, is_local=False)
            connection.execute(statement.sql, statement.values)
    except BaseException:  # border: whatever went wrong, the connection must not stay open
        connection.close()
        raise
    return connection


def configure(settings: dict[str, str], *, is_local: bool) -> Statement:
    """Make settings, for the session or for this transaction alone."""
    calls = ", ".join(["set_config(%s, %s, %s)"] * len(settings))
    return Statement(f"SELECT {calls}", [part for name, value in settings.items() for part in (name, value, is_local)])

"""The driver's errors as ours: what happened, what to do, and whether trying again may help."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa
from psycopg import conninfo

from stent.errors import OptionError, StoreError, StoreUnavailableError, UsageError

CONFLICTS = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: the database undid the transaction, and doing it again helps."""
DUPLICATE = "23505"

_TRANSIENT_CODES = frozenset({*CONFLICTS, "55P03", "57014", "25006", "25P03", "25P04"})
_TRANSIENT_CLASSES = frozenset({"08", "53", "57", "58"})
_FIXES = {
    "28P01": "check the user and the password in the URL",
    "28000": "check the user in the URL, and what pg_hba.conf allows",
    "3D000": "create the database first: createdb NAME",
    "42501": "grant this user the rights to the tables of Stent",
    "42P01": "create the tables first: await backend.init_db()",
    "53100": "free space on the server's disk; nothing was lost, the work goes on by itself",
    "53300": "raise max_connections, start fewer processes, or put a pooler in between",
    "55P03": "something holds a lock for seconds: look for long transactions in pg_stat_activity",
    "57014": "the statement took too long: look at the server's load",
    "25006": "use the address of the primary: this server is a standby",
}


def is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, so that it is not known what the server did last."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and error.sqlstate is None


def is_transient(error: psycopg.Error) -> bool:
    code = error.sqlstate
    if code is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return code in _TRANSIENT_CODES or code[:2] in _TRANSIENT_CLASSES


def translated(error: Exception, url: str) -> StoreError | UsageError:
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    if isinstance(original, psycopg.DataError | UnicodeEncodeError) and getattr(original, "sqlstate", None) is None:
        return OptionError(
            f"PostgreSQL cannot store a name or key of this operation: {original}",
            fix="leave out NUL and unpaired surrogates in ids, names, keys, queues and tags",
        )
    if not isinstance(original, psycopg.Error):
        return StoreUnavailableError(f"{url}: {original}", is_transient=False)
    code = original.sqlstate
    text = str(original).strip().partition("\n")[0]
    fix = _FIXES.get(code or "", "check that the server runs and can be reached" if code is None else "")
    return StoreUnavailableError(f"{url}: {text}", fix=fix, sqlstate=code, is_transient=is_transient(original))


def shown(dsn: str) -> str:
    """A connection string without its password, for messages."""
    parts = conninfo.conninfo_to_dict(dsn)
    host, port = parts.get("host") or "localhost", parts.get("port")
    user = f"{parts['user']}@" if parts.get("user") else ""
    place = f"{host}:{port}" if port else f"{host}"
    return f"postgresql://{user}{place}/{parts.get('dbname') or ''}"

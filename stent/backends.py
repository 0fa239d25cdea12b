"""The databases that Stent works with: `Stent.backends.SQLiteBackend(...)`, or by URL.

A backend is a description; the store behind it is opened when it is first needed and closed when nobody uses it any
more, so a backend may be used again after that.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from stent.clock import Clock, SystemClock
from stent.errors import NotConfiguredError, OptionError

if TYPE_CHECKING:
    from stent.history.records import SchemaState
    from stent.history.store import DatabaseStore, Store
    from stent.worker.link import StoreThreads

DATABASE_URL_VARIABLE = "STENT_DATABASE_URL"
SQLITE_PREFIX = "sqlite:///"
OLDEST_PSYCOPG = (3, 2)  # the first whose waits for an answer can be given an end
POSTGRES_PREFIXES = ("postgresql://", "postgres://")


class StoreClock(SystemClock):
    """The time of a store: what is due is due by the database's clock, so it must be planned by that clock."""

    store: Store | None = None

    def now_us(self) -> int:
        return self.store.now_us() if self.store is not None else super().now_us()


class StoreBackend:
    """Opens one store, once, for all who use it."""

    def __init__(self, url: str, make_store: Callable[[], Store], clock: Clock) -> None:
        self.url = url
        self._make_store = make_store
        self._clock = clock
        self._lock = threading.Lock()
        self._threads: StoreThreads | None = None
        self._users: set[int] = set()

    async def init_db(self) -> None:
        """Create the tables, or bring them up to date. Does no harm when they are there."""
        await asyncio.get_running_loop().run_in_executor(None, self._initialise)

    def open(self, user: object = None) -> StoreThreads:
        """The store, opened and checked; the same until the last user has released it. Blocks."""
        with self._lock:
            if self._threads is None:
                from stent.worker.link import StoreThreads

                store = self._make_store()
                try:
                    store.initialise()
                except BaseException:  # border: whatever went wrong, no connection may stay open
                    store.close()
                    raise
                if isinstance(self._clock, StoreClock):
                    self._clock.store = store
                self._threads = StoreThreads(store, self._clock)
            self._users.add(id(user))
            return self._threads

    def release(self, user: object = None) -> None:
        """Say that `user` needs the store no longer: the last one closes it. Blocks."""
        with self._lock:
            self._users.discard(id(user))
            if self._users or self._threads is None:
                return
            threads, self._threads = self._threads, None
            threads.close()

    def _initialise(self) -> None:
        self.open(self)
        self.release(self)

    @property
    def clock(self) -> Clock:
        """The time by which this database wakes what is due."""
        return self._clock

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


class DatabaseBackend(StoreBackend):
    """A backend on tables, which have a version."""

    def __init__(self, url: str, make_store: Callable[[], DatabaseStore], clock: Clock) -> None:
        super().__init__(url, make_store, clock)
        self._make_database_store = make_store

    def schema_state(self) -> SchemaState:
        """Where the tables stand, without changing them. Blocks, on a connection of its own."""
        store = self._make_database_store()
        try:
            return store.schema_state()
        finally:
            store.close()

    def check_schema(self) -> None:
        """For those who only look: SchemaVersionError unless the tables are of this version. Blocks."""
        state = self.schema_state()
        if not state.is_current:
            from stent.history.sql.versions import not_migrated

            raise not_migrated(state)


class SQLiteBackend(DatabaseBackend):
    """One SQLite file, shared by any number of processes of one machine.

    `durability="fsync"` (default): what was acknowledged survives a power failure. `"relaxed"`: the last commits may be
    lost when the operating system dies, never when only a process does. Plain sqlite3 took 11 to 12 times as many
    single-row commits a second that way (2026-11, one shared two-core machine).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Literal["fsync", "relaxed"] = "fsync",
        clock: Clock | None = None,
    ) -> None:
        if durability not in ("fsync", "relaxed"):
            raise OptionError(f"durability={durability!r}", fix='use "fsync" (the default) or "relaxed"')
        name: object = os.fspath(path)
        if not isinstance(name, str) or name in ("", ":memory:"):
            raise OptionError(
                f"SQLiteBackend({name!r})",
                fix="give a file name: a database in memory survives nothing; for tests use stent.testing",
            )
        path, used_clock = os.path.abspath(name), clock or SystemClock()

        def make_store() -> DatabaseStore:
            from stent.history.sql.sqlite import SQLiteStore

            return SQLiteStore(path, durability=durability, clock=used_clock)

        super().__init__(f"{SQLITE_PREFIX}{path}", make_store, used_clock)
        self.path = path


class PostgresBackend(DatabaseBackend):
    """A PostgreSQL database, version 15 or newer, shared by any number of processes of any number of machines.

    `dsn` is a URL (postgresql://user:password@host:5432/database) or a connection string of libpq; what it leaves open
    is taken from the environment (PGHOST, PGPASSWORD ...), and of several hosts the primary is found by itself.

    `durability` as for SQLiteBackend: "relaxed" may lose the last fraction of a second when the server dies.
    `is_pooled=True` works through PgBouncer in transaction mode; news of other processes then come by polling, unless
    `listen_dsn` names a direct way to the database.
    """

    def __init__(
        self,
        dsn: str,
        *,
        durability: Literal["fsync", "relaxed"] = "fsync",
        is_pooled: bool = False,
        listen_dsn: str | None = None,
    ) -> None:
        _check_driver()
        if durability not in ("fsync", "relaxed"):
            raise OptionError(f"durability={durability!r}", fix='use "fsync" (the default) or "relaxed"')

        def make_store() -> DatabaseStore:
            from stent.history.sql.postgres import PostgresStore

            return PostgresStore(dsn, durability=durability, is_pooled=is_pooled, listen_dsn=listen_dsn)

        super().__init__(_without_password(dsn), make_store, StoreClock())


def _check_driver() -> None:
    """That the driver is there, and not too old. Loads neither it nor its C library."""
    if find_spec("psycopg") is None:
        raise NotConfiguredError(
            "PostgreSQL needs the driver psycopg, which is not installed", fix="pip install 'stent-replay[postgres]'"
        )
    from importlib.metadata import version

    found = version("psycopg")
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    if numbers < OLDEST_PSYCOPG:
        wanted = ".".join(map(str, OLDEST_PSYCOPG))
        raise NotConfiguredError(
            f"PostgreSQL needs psycopg {wanted} or newer, and {found} is installed",
            fix="pip install --upgrade 'stent-replay[postgres]'",
        )


class Backends:
    """`Stent.backends`."""

    SQLiteBackend = SQLiteBackend
    PostgresBackend = PostgresBackend


def _without_password(dsn: str) -> str:
    """A connection string as it may be shown."""
    if "://" not in dsn:
        return re.sub(r"password\s*=\s*('[^']*'|\S+)", "password=***", dsn)
    return re.sub(r"(?<=://)([^:/?#@]*):[^/?#]*@", r"\1:***@", re.sub(r"([?&]password=)[^&]*", r"\1***", dsn))


_LIBPQ = re.compile(
    r"\s*(host|hostaddr|port|dbname|user|password|passfile|service|sslmode|options|application_name|connect_timeout"
    r"|target_session_attrs)\s*="
)
"""A connection string that begins with one of the usual keywords: taken for a file name it would make a new file."""


def backend_of(url: str | os.PathLike[str] | None) -> DatabaseBackend:
    """The backend behind a URL or a file name; without one, behind the variable STENT_DATABASE_URL."""
    given = os.fspath(url) if url is not None else os.environ.get(DATABASE_URL_VARIABLE, "")
    if not given:
        raise NotConfiguredError(
            "no database is named", fix=f"give a URL such as sqlite:///app.db, or set {DATABASE_URL_VARIABLE}"
        )
    if given.startswith(SQLITE_PREFIX):
        return SQLiteBackend(given.removeprefix(SQLITE_PREFIX))
    if given.startswith(POSTGRES_PREFIXES):
        return PostgresBackend(given)
    if "://" in given:
        raise OptionError(
            f"the database URL begins with {given.partition('://')[0]}://",
            fix="use postgresql://user@host/database, sqlite:///file.db, or a file name",
        )
    if not isinstance(url, os.PathLike) and _LIBPQ.match(given):
        raise OptionError(
            f"the database {_without_password(given)!r} looks like a connection string of PostgreSQL, not like a file",
            fix="use the URL postgresql://user@host/database, or PostgresBackend(...); a file that is called so is "
            f"{SQLITE_PREFIX}{_without_password(given)}",
        )
    return SQLiteBackend(given)

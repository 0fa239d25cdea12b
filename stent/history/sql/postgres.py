"""The store on PostgreSQL, for any number of processes on any number of machines.

Rules of this file:
- one writing connection a process, used by one thread at a time; what it writes is one transaction a batch, in as few
  round trips as the operations allow (`postgres_batches`);
- lock order, everywhere: workers -> limits -> runs (ascending run_id) -> ready -> sleeping -> inbox -> events ->
  payloads; a batch locks the first three before it writes anything; who cannot keep the order skips what is locked;
- READ COMMITTED and row locks; a conflict that the database finds all the same is tried again here;
- when the answer to a commit is lost, its outcome is found out before anything else is written: batches of one
  statement carry tokens that are read back, for all others the server is asked what became of the transaction;
- the clock is the database's.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.dialects import postgresql

from stent.clock import Clock, SystemClock
from stent.errors import OptionError, StoreUnavailableError
from stent.history.operations import Operation, Outcome, StartRun
from stent.history.records import SchemaState
from stent.history.sql.postgres_batches import at_once, is_written_at_once, levels_of
from stent.history.sql.postgres_connection import (
    MIGRATION_SETTINGS,
    MIGRATION_TIMEOUT_S,
    READ_SETTINGS,
    SETTINGS,
    Connection,
    configure,
    connect,
    known_to,
)
from stent.history.sql.postgres_errors import CONFLICTS, DUPLICATE, is_lost, shown, translated
from stent.history.sql.postgres_news import News
from stent.history.sql.postgres_schema import bring_up_to_date, schema_state
from stent.history.sql.postgres_tags import LIST_OF_TEXTS
from stent.history.sql.postgres_talk import DATABASE_TIME, NOW, TEST_TIME, Answers, Statement
from stent.history.sql.postgres_writes import Batch
from stent.history.sql.reads import Reads, or_damaged
from stent.history.sql.versions import READ_VERSION, check, must_check
from stent.history.wire import EventRow
from stent.ids import Ids, RandomIds

if TYPE_CHECKING:
    from stent.history.sql.postgres_borrowed import Guests

Durability = Literal["fsync", "relaxed"]

CONFLICT_TRIES = 5
CONFLICT_PAUSE_S = 0.01
_SYNCHRONOUS: dict[Durability, str] = {"fsync": "on", "relaxed": "off"}

_OUTCOME = "SELECT pg_xact_status(%s::xid8)"
_END_SESSION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_xid = (%s::xid8)::xid
"""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A commit whose answer was lost: what would have been answered, and how to find out."""

    operations: tuple[Operation, ...]
    outcomes: list[Outcome]
    transaction: str
    backend_pid: int


class PostgresStore(Reads):
    """A store on the database that a connection string or URL names.

    `is_pooled` is for PgBouncer in transaction mode; `listen_dsn` is then the way around it for news ("" for none).
    """

    def __init__(
        self,
        dsn: str,
        *,
        durability: Durability = "fsync",
        is_pooled: bool = False,
        listen_dsn: str | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        if durability not in _SYNCHRONOUS:
            raise OptionError(f"durability={durability!r}", fix='use "fsync" (the default) or "relaxed"')
        try:
            self.url = shown(dsn)
        except psycopg.ProgrammingError as error:
            raise OptionError(
                f"this is no connection string of PostgreSQL: {str(error).strip()}",
                fix="write postgresql://user:password@host:5432/database",
            ) from None
        self._dsn = dsn
        self._is_pooled = is_pooled
        self._settings = {**SETTINGS, "synchronous_commit": _SYNCHRONOUS[durability]}
        self._test_clock = clock
        self._clock = SystemClock()
        self._ids = ids or RandomIds()
        self._now_sql = DATABASE_TIME if clock is None else TEST_TIME
        self._texts: dict[str, str] = {}
        self._ahead_us: int | None = None
        self._guests: Guests | None = None
        self._lock = threading.Lock()
        self._pause = threading.Event()
        self._writer: Connection | None = None
        self._doubt: _Doubt | None = None
        self._process_id = os.getpid()
        self.news = self._make_news(listen_dsn)
        super().__init__(self._make_engine())
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        _stores.add(self)

    # -- opening ---------------------------------------------------------------------------------------------------

    def _make_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=self._connect_reader,
            pool_size=4,
            max_overflow=16,
            pool_pre_ping=True,  # a connection that died in the pool is nobody's error
        )
        event.listen(engine, "handle_error", self._translate)
        return engine

    def _connect_reader(self) -> Connection:
        self._check_process()
        connection = connect(self._dsn, READ_SETTINGS, is_pooled=self._is_pooled)
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ  # what is read together fits together
        connection.read_only = True
        return connection

    def _make_news(self, listen_dsn: str | None) -> News:
        dsn = listen_dsn if listen_dsn is not None else "" if self._is_pooled else self._dsn
        return News((lambda: connect(dsn, {})) if dsn else None)

    def _translate(self, context: Any) -> None:
        if context.is_pre_ping:
            return  # the pool opens another connection
        raise translated(context.original_exception, self.url) from context.original_exception

    def initialise(self) -> None:
        """Create the tables, or bring them to this version."""
        with self._lock, self._errors():
            connection = self._connect()

            def change(statement: Statement) -> None:
                with connection.patient(MIGRATION_TIMEOUT_S):
                    self._send([statement])

            try:
                settings = known_to(connection, MIGRATION_SETTINGS)
                self._send([Statement("BEGIN"), configure(settings, is_local=True)])
                bring_up_to_date(lambda statement: self._send([statement])[0], change, self.url)
                self._send([Statement("COMMIT")])
                self._learn_time(self._send([Statement(f"SELECT {DATABASE_TIME}")])[0][0][0])
            except BaseException:  # border: whatever went wrong, the transaction must not stay open
                _undo(connection)
                raise

    def schema_state(self) -> SchemaState:
        """Where the tables stand, and what `initialise` would do. Changes nothing."""
        with self._lock, self._errors():
            self._connect()
            return schema_state(lambda statement: self._send([statement])[0], self.url)

    def _connect(self) -> Connection:
        self._check_process()
        if self._writer is not None and self._writer.closed:
            self._writer = None
        if self._writer is None:
            self._writer = connect(self._dsn, self._settings, is_pooled=self._is_pooled)
        return self._writer

    def _check_process(self) -> None:
        if self._process_id != os.getpid():
            raise StoreUnavailableError(
                "this store was opened in another process and came here by fork",
                fix="open a store after the fork (gunicorn: post_fork)",
            )

    def close(self) -> None:
        if self._process_id != os.getpid():
            self._writer = None  # the sockets are the parent's
            return
        self._pause.set()
        self.news.close()
        with self._lock:
            if self._writer is not None:
                self._writer.close()
            self._engine.dispose()
            self._writer = None

    # -- writing ---------------------------------------------------------------------------------------------------

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        if not operations:
            return []
        with self._lock, self._errors():
            outcomes = self._commit(tuple(operations))
        self.news.announce()
        return outcomes

    def _commit(self, operations: tuple[Operation, ...]) -> list[Outcome]:
        attempt = 0
        while True:
            attempt += 1
            connection = self._connect()
            try:
                known = self._resolve(operations)
                return known if known is not None else self._write(operations)
            except BaseException as error:  # border: whatever went wrong, the transaction must not stay open
                _undo(connection)
                if not _is_conflict(error) or attempt >= CONFLICT_TRIES:
                    raise
            self._pause.wait(CONFLICT_PAUSE_S * 2**attempt * self._ids.unit())

    def _write(self, operations: tuple[Operation, ...]) -> list[Outcome]:
        is_at_once = not self._is_pooled and is_written_at_once(operations)
        levels = [at_once(operations)] if is_at_once else levels_of(operations)
        batch = Batch(operations, levels, self._send)
        settings = known_to(self._connect(), self._settings) if self._is_pooled else {}
        if self._test_clock is not None:
            settings = {**settings, "stent.now_us": str(self._test_clock.now_us())}
        if is_at_once:
            if settings:
                self._send([configure(settings, is_local=False)])
            return batch.write()
        lead = [Statement("BEGIN")]
        if settings:
            lead.append(configure(settings, is_local=True))
        version = (Statement(READ_VERSION), lambda rows: check(rows, self.url)) if must_check(operations) else None
        batch.begin(lead, version)
        outcomes = batch.write()
        self._learn_time(batch.now_us)
        self._end(operations, outcomes, batch.transaction)
        return outcomes

    def _end(self, operations: tuple[Operation, ...], outcomes: list[Outcome], transaction: str) -> None:
        """Commit; if the answer is lost, remember what to ask."""
        assert self._writer is not None, "there is a transaction"
        backend_pid = self._writer.info.backend_pid
        try:
            self._send([Statement("COMMIT")])
        except psycopg.Error as error:
            if is_lost(error) or not (error.sqlstate or "").startswith("40"):
                self._doubt = _Doubt(operations, outcomes, transaction, backend_pid)
            raise

    def _resolve(self, operations: tuple[Operation, ...]) -> list[Outcome] | None:
        """What became of the commit whose answer was lost; None if it did not happen, or there was none."""
        doubt = self._doubt
        if doubt is None:
            return None
        ((status,),) = self._send([Statement(_OUTCOME, (doubt.transaction,))])[0]
        if status == "in progress":
            self._send([Statement(_END_SESSION, (doubt.backend_pid, doubt.transaction))])
            raise StoreUnavailableError(
                f"{self.url}: an earlier commit is not decided yet", fix="wait: it will be", is_transient=True
            )
        self._doubt = None
        is_same = len(operations) == len(doubt.operations) and all(map(_is, operations, doubt.operations))
        return doubt.outcomes if status == "committed" and is_same else None

    def _send(self, statements: Sequence[Statement]) -> Answers:
        """Ask the server all of these in one round trip."""
        writer = self._writer
        assert writer is not None, "whoever sends has connected"
        if len(statements) == 1:
            cursor = writer.execute(self._text(statements[0].sql), statements[0].values)
            return [cursor.fetchall() if cursor.description else []]
        with writer.pipeline():
            cursors = [writer.execute(self._text(statement.sql), statement.values) for statement in statements]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def _text(self, sql: str) -> Any:
        text = self._texts.get(sql)
        if text is None:
            text = self._texts[sql] = sql.replace(NOW, self._now_sql)
        return text

    async def start_within(self, connection: object, operation: StartRun) -> EventRow | None:
        """Start a run in the caller's own transaction."""
        from stent.history.sql.postgres_borrowed import Guests

        if self._guests is None:
            self._guests = Guests(self._single, self.url)
        return await self._guests.start_within(connection, operation)

    # -- time and news ---------------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """The database's time: as it said last, and what has passed here since."""
        if self._test_clock is not None:
            return self._test_clock.now_us()
        if self._ahead_us is None:
            with self._single.connect() as connection:
                self._learn_time(connection.exec_driver_sql(f"SELECT {DATABASE_TIME}").scalar_one())
        assert self._ahead_us is not None, "just learnt"
        return self._clock.monotonic_us() + self._ahead_us

    def _learn_time(self, now_us: int) -> None:
        self._ahead_us = now_us - self._clock.monotonic_us()

    def _now(self) -> sa.ColumnElement[int]:
        return super()._now() if self._test_clock is not None else sa.literal_column(DATABASE_TIME, sa.BigInteger)

    def _has_tag(
        self,
        column: sa.ColumnElement[Any],
        tags: Sequence[str] | sa.BindParameter[Sequence[str]],
        *,
        is_damage_one: bool = False,
    ) -> sa.ColumnElement[bool]:
        """By the text of the JSON: as values, tags with NUL would be an error of every question."""
        whole = sa.case((column.regexp_match(LIST_OF_TEXTS), column), (column.is_not(None), "[0]"))
        stored = sa.func.json_array_elements(sa.cast(whole, postgresql.JSON)).table_valued("value")
        has_tag = sa.cast(stored.c.value, sa.Text).in_(tags)
        is_no_text = sa.func.json_typeof(stored.c.value) != "string"
        return sa.exists().select_from(stored).where(or_damaged(has_tag, is_no_text, is_damage_one))

    def _tag_value(self, tag: str) -> str:
        return json.dumps(tag)

    def changed(self) -> bool:
        self._check_process()
        return self.news.changed()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Driver errors as ours, saying what to do."""
        try:
            yield
        except (psycopg.Error, sa.exc.DBAPIError, UnicodeEncodeError) as error:
            raise translated(error, self.url) from error


_stores: weakref.WeakSet[PostgresStore] = weakref.WeakSet()


def _forget_readers() -> None:
    """In a forked process: the pools hold sockets of the parent, and asking whether they live would use them."""
    for store in list(_stores):
        store._engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_readers)


def _is(one: object, other: object) -> bool:
    return one is other


def _is_conflict(error: BaseException) -> bool:
    """Whether doing it again helps: the database undid it, or an earlier attempt of ours was still being written."""
    return isinstance(error, psycopg.Error) and error.sqlstate in {*CONFLICTS, DUPLICATE}


def _undo(connection: Connection) -> None:
    """End the transaction; a connection that cannot do even that is closed."""
    try:
        if connection.info.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
            connection.execute("ROLLBACK")
        elif connection.info.transaction_status == TransactionStatus.UNKNOWN:
            connection.close()
    except psycopg.Error:
        connection.close()

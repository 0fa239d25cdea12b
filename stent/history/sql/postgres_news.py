"""News between processes by LISTEN and NOTIFY, on one connection and one thread of this process.

Rules of this file:
- news are hints: they carry no facts, may come twice, late or never; whoever acts on one reads the facts;
- nothing of this happens in a transaction that writes: NOTIFY there takes a lock that all committers share, and cost
  more than half of the throughput (measured); notifications are sent afterwards, at most every COALESCE_US;
- a connection that does not answer is given up and made anew; first it listens, then it reports a change, so that
  nothing falls into the gap;
- without a connection that listens, `changed` reports a change every BLIND_US: that is polling.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from stent.clock import SystemClock
from stent.ids import RandomIds
from stent.log import get_logger

log = get_logger(__name__)

CHANNEL = "stent"
COALESCE_US = 10_000
BLIND_US = 1_000_000
HEARTBEAT_US = 5_000_000
ANSWER_US = 5_000_000  # with the heartbeat: a dead connection is noticed within 10 s
RECONNECT_US = 1_000_000

_LISTEN = f"LISTEN {CHANNEL}"
_NOTIFY = f"NOTIFY {CHANNEL}".encode()
_HEARTBEAT = b"SELECT pg_listening_channels()"


class News:
    """Whether other processes have written, and telling them that this one has."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]] | None) -> None:
        self._connect = connect
        self._clock = SystemClock()
        self._ids = RandomIds()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._alarm, self._bell = socket.socketpair()
        self._has_news = False
        self._must_tell = False
        self._told_us = -COALESCE_US
        self._blind_since_us: int | None = None
        self.is_listening = False

    @property
    def can_listen(self) -> bool:
        """Whether there is a way to the server on which listening is of use; else news come by polling."""
        return self._connect is not None

    def changed(self) -> bool:
        """Whether something was committed elsewhere since the last question, as far as is known."""
        self._start()
        if self._has_news:
            self._has_news = False
            return True
        if self.is_listening:
            return False
        now_us = self._clock.monotonic_us()
        if self._blind_since_us is not None and now_us - self._blind_since_us < BLIND_US:
            return False
        self._blind_since_us = now_us
        return True

    def announce(self) -> None:
        """This process has committed something: tell the others, soon."""
        if self._must_tell:
            return  # they will be told anyway
        self._must_tell = True
        self._start()
        self._ring()

    def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            thread = self._thread
        self._ring()
        if thread is not None:
            thread.join()
        self._alarm.close()
        self._bell.close()

    def _start(self) -> None:
        if self._connect is not None and self._thread is None:
            self._start_once()

    def _start_once(self) -> None:
        with self._lock:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._work, name="stent-news", daemon=True)
                self._thread.start()

    def _ring(self) -> None:
        """Wake the thread."""
        try:
            self._bell.send(b"!")
        except OSError:
            return  # closed meanwhile

    # -- the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        assert self._connect is not None, "the thread is started only where there is somebody to listen to"
        while not self._is_closed:
            try:
                connection = self._connect()
                try:
                    connection.execute("SET synchronous_commit = off")  # a hint need not survive anything
                    connection.execute(_LISTEN)
                    self.is_listening = self._has_news = True
                    self._attend(connection)
                finally:
                    self.is_listening = False
                    self._blind_since_us = None
                    connection.close()
            except psycopg.Error as error:
                log.warning("listener_lost", error=str(error).strip())
                self._sleep(RECONNECT_US + int(self._ids.unit() * RECONNECT_US))

    def _sleep(self, duration_us: int) -> None:
        until_us = self._clock.monotonic_us() + duration_us
        while (left_us := until_us - self._clock.monotonic_us()) > 0 and not self._is_closed:
            if select.select([self._alarm], [], [], left_us / 1_000_000)[0]:
                self._alarm.recv(4096)

    def _attend(self, connection: psycopg.Connection[Any]) -> None:
        """Listen and tell until this is closed or the connection is lost."""
        server = connection.pgconn
        asked_us: int | None = None
        heard_us = self._clock.monotonic_us()
        while not self._is_closed:
            now_us = self._clock.monotonic_us()
            if asked_us is not None and now_us - asked_us >= ANSWER_US:
                raise psycopg.OperationalError("the server does not answer")
            if asked_us is None:
                question = self._next_question(now_us, heard_us)
                if question is not None:
                    server.send_query(question)
                    server.flush()
                    asked_us = now_us
            bell = self._alarm.fileno()
            readable, _, _ = select.select([server.socket, bell], [], [], self._patience_s(now_us, heard_us, asked_us))
            if bell in readable:
                self._alarm.recv(4096)
            if server.socket in readable:
                if self._take_in(server):
                    asked_us = None
                heard_us = self._clock.monotonic_us()

    def _next_question(self, now_us: int, heard_us: int) -> bytes | None:
        if self._must_tell and now_us - self._told_us >= COALESCE_US:
            self._must_tell = False  # before it is sent: what is written from now on needs another one
            self._told_us = now_us
            return _NOTIFY
        return _HEARTBEAT if now_us - heard_us >= HEARTBEAT_US else None

    def _patience_s(self, now_us: int, heard_us: int, asked_us: int | None) -> float:
        if asked_us is not None:
            until_us = asked_us + ANSWER_US
        elif self._must_tell:
            until_us = self._told_us + COALESCE_US
        else:
            until_us = heard_us + HEARTBEAT_US
        return max(0, until_us - now_us) / 1_000_000

    def _take_in(self, server: psycopg.pq.abc.PGconn) -> bool:
        """Read what has come; whether a question was answered to its end."""
        server.consume_input()
        is_answered = False
        while not server.is_busy():
            result = server.get_result()
            if result is None:
                is_answered = True
                break
            if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
                raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
        while (note := server.notifies()) is not None:
            if note.be_pid != server.backend_pid:
                self._has_news = True
        return is_answered

"""A network between client and server that does what the test says: loses an answer, holds a question, falls silent.

Rules of this file:
- a fault strikes once, on the next data that contain its mark, and counts itself in `struck`;
- a lost answer is lost after the server gave it, so what was asked has happened;
- a held question has reached nobody, and the server's side of the connection stays open.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import Literal

from psycopg import conninfo

COMMITTED = b"COMMIT\x00"
"""How the server says that a transaction was committed."""

Fault = Literal["lose answer", "hold question", "reset"]


@dataclass(frozen=True)
class Plan:
    fault: Fault
    mark: bytes


class Proxy:
    """In front of the server of a URL; `url` is the same by way of this proxy."""

    def __init__(self, url: str) -> None:
        parts = conninfo.conninfo_to_dict(url)
        self._server = (str(parts["host"]), int(str(parts["port"])))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = conninfo.make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])
        self.struck = 0
        self._plan: Plan | None = None
        self._lock = threading.Lock()
        self._is_open = threading.Event()
        self._is_open.set()
        self._sockets: list[socket.socket] = []
        self._threads = [self._start(self._accept)]
        self._is_closed = False

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def strike(self, fault: Fault, mark: bytes = b"") -> None:
        """What to do with the next data that contain `mark`."""
        self._plan = Plan(fault, mark)

    def fall_silent(self) -> None:
        """Take everything and deliver nothing, as a network does that has lost its way."""
        self._is_open.clear()

    def recover(self) -> None:
        self._is_open.set()

    def cut(self) -> None:
        """Break all connections."""
        with self._lock:
            for end in self._sockets:
                _shut(end)

    def close(self) -> None:
        self._is_closed = True
        self._is_open.set()
        _shut(self._listener)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for end in self._sockets:
            end.close()

    # -- threads ---------------------------------------------------------------------------------------------------

    def _start(self, work: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            with self._lock:
                self._sockets += [client, server]
                self._threads += [
                    self._start(self._carry, client, server, "hold question"),
                    self._start(self._carry, server, client, "lose answer"),
                ]

    def _carry(self, source: socket.socket, target: socket.socket, fault: Fault) -> None:
        try:
            while data := source.recv(1 << 16):
                self._is_open.wait()
                struck = self._strikes(fault, data)
                if struck == "hold question":
                    _shut(source)  # the client's side: the server waits for what never comes
                    return
                if struck is not None:
                    break
                target.sendall(data)
        except OSError:
            pass
        _shut(source)
        _shut(target)

    def _strikes(self, fault: Fault, data: bytes) -> Fault | None:
        plan = self._plan
        if plan is None or plan.fault not in (fault, "reset") or plan.mark not in data:
            return None
        self._plan = None
        self.struck += 1
        return plan.fault


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

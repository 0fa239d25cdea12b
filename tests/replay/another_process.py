"""Replays histories under another hash seed: run as a process, it answers each list of histories with what is wrong.

On stdin and stdout, each message is its length in 8 bytes and a pickle: in, a list of (function name, history); out, ""
or the text of the first error.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from stent.history.events import Event

ROOT = Path(__file__).resolve().parents[2]


class AnotherProcess:
    """The other side, as a context manager."""

    def __init__(self, hash_seed: int) -> None:
        settings = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.replay.another_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=settings,
            cwd=ROOT,
        )

    def __enter__(self) -> AnotherProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def check(self, histories: Sequence[Sequence[Event]]) -> None:
        """Assert that whole histories replay there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        send(self._process.stdin, histories)
        said = receive(self._process.stdout)
        assert said == "", said


def send(stream: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message)
    stream.write(struct.pack(">Q", len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError("the other process has ended")
    return pickle.loads(stream.read(*struct.unpack(">Q", head)))


def serve() -> None:
    from stent.errors import StentError
    from stent.replay.replayer import replay
    from tests.replay.driver import record
    from tests.replay.programs import program

    while True:
        try:
            histories = receive(sys.stdin.buffer)
        except EOFError:
            return
        said = ""
        for history in histories:
            try:
                replay(record(program), history).execution.close()
            except StentError as error:
                said = str(error)
                break
        send(sys.stdout.buffer, said)


if __name__ == "__main__":
    serve()

"""The asking side of the shadow check: one process a session, which replays while the tests go on.

Rules of this file:
- a test never waits for the other process: a thread hands over what has gathered, and takes the answers;
- histories travel as rows, as a store keeps them, many in a line;
- a process that dies, or does not answer in time, is a finding of the test that was asked for, not a silence.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from stent.history.wire import EventRow

PROGRAM = "import gc; gc.disable(); from stent.testing.helper import main; main()"
"""Nothing of what it imports will ever be garbage: to look for some would be a tenth of its time."""
PATIENCE_S = 60.0  # at the end of the session; a module that takes longer to import would hold up every test run
Location: TypeAlias = tuple[str, int | None, str]


class Test(NamedTuple):
    """The test that a history comes from, as a report names it."""

    nodeid: str
    location: Location


@dataclass(frozen=True, slots=True)
class Question:
    """Does this history replay there too?"""

    test: Test
    function: str
    module: str
    file: str
    rows: Sequence[EventRow]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a test is told: its orchestrator does not replay there."""

    test: Test
    function: str
    report: str


@dataclass(slots=True)
class Helper:
    """One process with another hash seed, which replays what it is given."""

    skipped: dict[str, int] = field(default_factory=dict)
    """Why runs were not replayed there, and how many."""
    shapes: set[object] = field(default_factory=set)
    """Code and shape of what was asked for already."""
    _process: subprocess.Popen[str] | None = None
    _thread: threading.Thread | None = None
    _questions: queue.SimpleQueue[Question | None] = field(default_factory=queue.SimpleQueue)
    _findings: queue.SimpleQueue[Finding] = field(default_factory=queue.SimpleQueue)

    def start(self) -> None:
        """Begin to start it; it imports while the test runs."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={
                    **os.environ,
                    "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0",
                    "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
                },
            )

    def ask(self, question: Question) -> None:
        """Hand a history over; the answer comes when it comes."""
        self.start()
        if self._thread is None:
            self._thread = threading.Thread(target=self._talk, name="stent-shadow", daemon=True)
            self._thread.start()
        self._questions.put(question)

    def take(self) -> list[Finding]:
        """What has been found since the last time."""
        return _all_of(self._findings)

    def finish(self) -> list[Finding]:
        """Wait for the last answers, and end the process."""
        process, thread = self._process, self._thread
        self._process = self._thread = None
        if thread is not None:
            self._questions.put(None)
            thread.join(PATIENCE_S)
            if thread.is_alive() and process is not None:
                process.kill()  # the thread reads the end of its answers, and tells
                thread.join()
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                process.communicate()
        return self.take()

    def skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _talk(self) -> None:
        process = self._process
        assert process is not None, "it was started"
        while (question := self._questions.get()) is not None:
            gathered = [question, *_questions_of(self._questions)]
            is_last = gathered[-1] is None
            asked = [each for each in gathered if each is not None]
            verdicts = _exchange(process, asked)
            for each, verdict in zip(asked, verdicts, strict=True):
                self._judge(each, verdict)
            if is_last:
                return

    def _judge(self, question: Question, verdict: dict[str, str]) -> None:
        if verdict["finding"] in ("diverged", "unreadable"):
            self._findings.put(Finding(question.test, question.function, verdict["message"]))
        elif verdict["finding"] == "unknown":
            self.skip(verdict["message"])


def _exchange(process: subprocess.Popen[str], asked: Sequence[Question]) -> list[dict[str, str]]:
    """One line there, one line back; a verdict each."""
    assert process.stdin is not None, "it was started with pipes"
    assert process.stdout is not None, "it was started with pipes"
    histories = [
        {"module": each.module, "file": each.file, "rows": [_plain(row) for row in each.rows]} for each in asked
    ]
    answer = ""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps({"path": sys.path, "histories": histories}) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    if answer:
        verdicts: list[dict[str, str]] = json.loads(answer)
        return verdicts
    message = "the process of the shadow check has died: see its message above; --stent-shadow=here does without"
    return [{"finding": "unreadable", "message": message} for _ in asked]


def _plain(row: EventRow) -> list[Any]:
    """A row as JSON; `helper.row_of` is the way back."""
    payload = row.payload
    packed = [payload.codec, b2a_base64(payload.data, newline=False).decode("ascii")] if payload is not None else None
    return [row.run_id, row.seq, row.at_us, row.code, row.version, row.call, row.body, packed]


def _questions_of(waiting: queue.SimpleQueue[Question | None]) -> list[Question | None]:
    """All that waits, up to the end."""
    found: list[Question | None] = []
    with contextlib.suppress(queue.Empty):
        while not found or found[-1] is not None:
            found.append(waiting.get_nowait())
    return found


def _all_of(findings: queue.SimpleQueue[Finding]) -> list[Finding]:
    found: list[Finding] = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(findings.get_nowait())
    return found


__all__ = ["Finding", "Helper", "Location", "Question", "Test"]

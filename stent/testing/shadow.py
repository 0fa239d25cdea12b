"""The shadow check: what a test has recorded is replayed, here and in a process with another hash seed.

Rules of this file:
- an orchestrator that does not replay is the failure of its test, with the report;
- the other process is started when the first engine is, so that it is ready when it is asked;
- what it cannot import (functions defined in a test, modules that only pytest can load) is counted, not hidden.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stent.errors import CorruptHistoryError
from stent.history.events import Event, RunStarted
from stent.inspect.portable import dump, loads
from stent.inspect.verdict import judge
from stent.registry import default_registry
from stent.replay.replayer import is_orchestrator

HELPER = "stent.testing.helper"


class ShadowError(AssertionError):
    """A run of a test does not replay, here or in another process."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function can be imported from."""

    module: str
    file: str


@dataclass(slots=True)
class Helper:
    """One process with another hash seed, which replays what it is given."""

    skipped: dict[str, int] = field(default_factory=dict)
    """Why runs were not replayed there, and how many."""
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to start it; it imports while the test runs."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", HELPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={
                    **os.environ,
                    "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0",
                    "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
                },
            )

    def judge(self, histories: Sequence[tuple[Place, Sequence[Event]]]) -> list[dict[str, str]]:
        """A verdict each: its finding, and the report where there is one. ShadowError if the process has died."""
        self.start()
        process = self._process
        assert process is not None, "it was started"
        assert process.stdin is not None, "it was started with pipes"
        assert process.stdout is not None, "it was started with pipes"
        asked = [{"module": place.module, "file": place.file, "history": dump(history)} for place, history in histories]
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps({"path": sys.path, "histories": asked}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            self.close()
            raise ShadowError(
                "the process of the shadow check has died: see its message above; --stent-shadow=here does without"
            )
        verdicts: list[dict[str, str]] = json.loads(answer)
        return verdicts

    def skip(self, reason: str, count: int = 1) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                process.communicate()


def check(histories: Iterable[Sequence[Event]], helper: Helper | None) -> None:
    """Replay all orchestrators among these; ShadowError with the report if one does not fit."""
    elsewhere: list[tuple[Place, Sequence[Event]]] = []
    for history in histories:
        if not is_orchestrator(history):
            continue
        verdict = judge(history, default_registry)
        if verdict.finding in ("diverged", "unreadable"):
            raise _failure(history, "on a replay in this process", str(verdict.error and verdict.error.message))
        if helper is not None:
            place = _place_of(history)
            if place is None:
                helper.skip("its function is defined in a function, which no other process can import")
            else:
                elsewhere.append((place, history))
    if helper is None or not elsewhere:
        return
    for (_, history), answer in zip(elsewhere, helper.judge(elsewhere), strict=True):
        if answer["finding"] in ("diverged", "unreadable"):
            raise _failure(history, "in another process, with another hash seed", answer["message"])
        if answer["finding"] == "unknown":
            helper.skip(answer["message"])


def check_history(path: str | os.PathLike[str]) -> list[Event]:
    """Replay a stored history with the code that is here; its events. DivergenceError if the code does not fit.

    The file is what `stent export` writes. The module that defines the function has to be imported.
    """
    try:
        history = loads(Path(path).read_bytes())
    except CorruptHistoryError as error:
        raise CorruptHistoryError(f"{os.fspath(path)}: {error.message}", fix=error.fix, **error.facts) from error
    verdict = judge(history, default_registry)
    if verdict.error is not None:
        raise verdict.error
    return history


def _place_of(history: Sequence[Event]) -> Place | None:
    started = history[0]
    assert isinstance(started, RunStarted), "a history begins with it"
    function = default_registry.find(started.function)
    body = function.body
    if "<locals>" in body.__qualname__ or function.code is None:
        return None
    return Place(body.__module__, function.code.co_filename)


def _failure(history: Sequence[Event], where: str, report: str) -> ShadowError:
    started = history[0]
    assert isinstance(started, RunStarted), "a history begins with it"
    difference = report.partition("\nNothing was written")[0]  # what follows is for a run that is stalled
    return ShadowError(
        f"{started.function} behaves in another way {where}. It must do the same on every replay.\n{difference}\n"
        "  fix: sort what comes out of a set; read what may change (clock, chance, a global ...) in an activity.\n"
        "  Where it is on purpose: @pytest.mark.stent(shadow='off')"
    )


__all__ = ["Helper", "Place", "ShadowError", "check", "check_history"]

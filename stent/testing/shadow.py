"""The shadow check: what a test has recorded is replayed, here at once, and in a process with another hash seed.

Rules of this file:
- an orchestrator that does not replay here is the failure of its test, with the report;
- the other process is asked once for each shape of a history of the same code, and nobody waits for its answer;
- what it cannot import (functions defined in a test, modules that only pytest can load) is counted, not hidden.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from stent.errors import CorruptHistoryError
from stent.history import wire
from stent.history.events import BatchScheduled, CallScheduled, Event, RunStarted
from stent.history.wire import EventRow
from stent.inspect.portable import loads
from stent.inspect.verdict import judge
from stent.registry import Function, default_registry
from stent.replay.replayer import is_orchestrator
from stent.testing.asking import Finding, Helper, Question, Test


class ShadowError(AssertionError):
    """A run of a test does not replay."""


def check(histories: Iterable[Sequence[EventRow]], helper: Helper | None, test: Test) -> None:
    """Replay all orchestrators among these; ShadowError with the report if one does not fit.

    With a helper they are handed on to it too; what it finds it tells later.
    """
    for rows in histories:
        history = wire.decode_history(rows)
        if not is_orchestrator(history):
            continue
        verdict = judge(history, default_registry)
        if verdict.finding in ("diverged", "unreadable"):
            message = verdict.error.message if verdict.error is not None else ""
            raise ShadowError(told(_started(history).function, "on a replay in this process", message))
        if helper is not None:
            _hand_on(history, rows, helper, test)


def told_of(finding: Finding) -> str:
    """What the other process has found, for its test."""
    return told(finding.function, "in another process, with another hash seed", finding.report)


def told(function: str, where: str, report: str) -> str:
    difference = report.partition("\nNothing was written")[0]  # what follows is for a run that is stalled
    return (
        f"{function} behaves in another way {where}. It must do the same on every replay.\n{difference}\n"
        "  fix: sort what comes out of a set; read what may change (clock, chance, a global ...) in an activity.\n"
        "  Where it is on purpose: @pytest.mark.stent(shadow='off')"
    )


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


def shape_of(function: Function, history: Sequence[Event]) -> tuple[object, ...]:
    """What two histories have in common that go through the same code in the same way: all but values and times."""
    return (
        function.code,
        *((type(event), getattr(event, "call", None), _callee(event)) for event in history),
    )


def _hand_on(history: Sequence[Event], rows: Sequence[EventRow], helper: Helper, test: Test) -> None:
    name = _started(history).function
    function = default_registry.find(name)
    body = function.body
    if "<locals>" in body.__qualname__ or function.code is None:
        helper.skip("its function is defined in a function, which no other process can import")
        return
    shape = shape_of(function, history)
    if shape not in helper.shapes:
        helper.shapes.add(shape)
        helper.ask(Question(test, name, body.__module__, function.code.co_filename, rows))


def _callee(event: Event) -> str | None:
    return event.function if isinstance(event, CallScheduled | BatchScheduled) else None


def _started(history: Sequence[Event]) -> RunStarted:
    started = history[0]
    assert isinstance(started, RunStarted), "a history begins with it"
    return started


__all__ = ["Helper", "ShadowError", "check", "check_history"]

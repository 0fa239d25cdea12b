"""Whether a program can have noticed an event: what the answer to a call woke.

Rules of this file:
- only what is certain counts: an answer that a gather or a wait has noted, and that has not ended it, woke nobody;
- whatever else listens to an answer (a task, `as_completed`, a callback of the program) may have seen it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import FunctionType
from typing import Any

from stent.history.events import CallCompleted
from stent.replay.execution import Execution

_FILE = asyncio.tasks.__file__
_ENDED = ("outer", "waiter")
"""What `asyncio.gather` and `asyncio.wait` end when they have seen enough."""


def woke_nothing(execution: Execution, event: CallCompleted) -> Callable[[], bool] | None:
    """Asked before an answer is delivered: a question for afterwards, or None where the answer is no already."""
    future = execution._awaited.calls.get(event.call)
    if future is None:
        return None
    listeners: list[Any] = []
    for callback, _ in future._callbacks or ():
        listener = _listener(callback)
        if listener is None:
            return None
        listeners.append(listener)
    return lambda: not any(listener.done() for listener in listeners)


def _listener(callback: Any) -> Any:
    """The future that a callback of asyncio will end; None for every other callback."""
    if not isinstance(callback, FunctionType) or callback.__code__.co_filename != _FILE:
        return None
    for name, cell in zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True):
        if name in _ENDED:
            return cell.cell_contents
    return None

"""The watch over an orchestrator that runs for the first time: what its code did not show is seen when it is called.

Rules of this file:
- a watch sees every call of a turn, whatever the import form and however deep in helpers and libraries, and names the
  user's line behind it; it raises before the call is carried out;
- it is for tests and development: a turn under it takes two to seven times as long. A replayed turn is never watched;
- nothing is replaced: the interpreter tells of each call while the turn runs (`stent.replay.observing`);
- the garbage collector waits until the turn is over: what it calls back (finalizers, `gc.callbacks`) would run in the
  midst of the program, and is none of the program's.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Protocol

from stent.errors import ForbiddenInOrchestratorError
from stent.registry import Function
from stent.replay.guard import Finding, refusal
from stent.replay.observing import observe
from stent.replay.sites import site_of
from stent.replay.uses import Forbidden, Use, users_frame
from stent.replay.waivers import is_waived

_watch: ContextVar[Watch | None] = ContextVar("stent_watch", default=None)


class Watched(Protocol):
    """What a watch has to know of an execution."""

    function: Function
    refused: ForbiddenInOrchestratorError | None


def strict(is_on: bool = True) -> AbstractContextManager[None]:
    """Watch the orchestrators that workers started within this block run for the first time."""
    return under(Watch() if is_on else None)


@contextmanager
def under(watch: Watch | None) -> Iterator[None]:
    """The same with a watch that there is already: it has learned what is forbidden."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def current_watch() -> Watch | None:
    """The watch for a new execution, if there is to be one."""
    return _watch.get()


class Watch:
    """Watches turns. One for many executions: to learn what is forbidden takes half a millisecond."""

    __slots__ = ("_forbidden",)

    def __init__(self) -> None:
        self._forbidden = Forbidden()

    def over(self, watched: Watched, turn: Callable[[], None]) -> None:
        """Run a turn. Where somebody else is told of its calls in our place, it is not watched."""

        def refuse(use: Use, caller: FrameType | None) -> None:
            _refuse(watched, use, caller)

        self._forbidden.learn()
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            observe(turn, self._forbidden, refuse)
        finally:
            if is_collecting:
                gc.enable()


def _refuse(watched: Watched, use: Use, caller: FrameType | None) -> None:
    name, rule = use
    frame = users_frame(caller)
    if frame is None or is_waived(frame.f_code.co_filename, frame.f_lineno, rule.code):
        return
    error = refusal(watched.function, (Finding(name, rule, site_of(frame)),))
    watched.refused = watched.refused or error
    raise error

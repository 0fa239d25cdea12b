"""Two ways to see every call of a turn: `sys.setprofile` and, from Python 3.12 on, `sys.monitoring`.

The latter is for where somebody else's profiler is there already: CPython 3.12.1 and 3.13.0 were seen to die of a
segmentation fault in a callback of it, while a module was imported that used the first argument of a call.

Rules of this file:
- a call is seen before it is carried out; what `on_use` raises takes its place;
- nothing of it outlasts the turn: the profiler is taken off, the tool of `sys.monitoring` is free again;
- somebody else's tool is left alone: coverage, debuggers and profilers have their own ids, and a profiler that is there
  stays.

`sys.monitoring` tells of all threads of the process, so what it tells is held against the frame of the turn. It knows
classes made in C, which a profiler is not told about. It slows down calls in its own callbacks too: those that are run
for every call make none.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodDescriptorType, MethodType
from typing import Any, TypeAlias

from stent.replay.guard import called_in_the_end
from stent.replay.uses import Forbidden, Use

OnUse: TypeAlias = Callable[[Use, FrameType | None], None]
"""What is to be done about a use, with the frame that it is called from; it may raise."""

_monitoring: Any = getattr(sys, "monitoring", None)
TOOL_IDS = (4, 3)  # those that are nobody's by convention; two threads may have a turn at the same time
_TOOL = "stent"


def observe(turn: Callable[[], None], forbidden: Forbidden, on_use: OnUse) -> None:
    """Run a turn. Where nobody can see its calls, because others do, it is run all the same."""
    if sys.getprofile() is None:
        _profiled(turn, forbidden, on_use)
        return
    tool = _take_tool()
    if tool is not None:
        _monitored(turn, forbidden, on_use, tool)
    else:
        turn()


def _profiled(turn: Callable[[], None], forbidden: Forbidden, on_use: OnUse) -> None:
    seen, names = forbidden.seen, forbidden.names

    def observer(frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            code = frame.f_code
            if (code.co_filename, code.co_qualname, code.co_firstlineno) not in seen:
                use = forbidden.use_of_function(frame)
                if use is not None:
                    on_use(use, frame.f_back)
        elif event == "c_call" and called.__name__ in names:
            use = forbidden.use_of_builtin(called, frame.f_code, frame.f_lasti)
            if use is not None:
                on_use(use, frame)

    sys.setprofile(observer)
    try:
        turn()
    finally:
        sys.setprofile(None)


def _monitored(turn: Callable[[], None], forbidden: Forbidden, on_use: OnUse, tool: int) -> None:
    """Functions of the turn tell when they begin and go on; each call is told only by those that are not ours."""
    seen, ours, names, classes = forbidden.seen, forbidden.ours, forbidden.names, forbidden.classes
    events = _monitoring.events
    tells_calls: dict[tuple[str, str, int], CodeType] = {}
    codes: list[CodeType] = []
    outermost = id(sys._getframe())

    def on_start(code: CodeType, _place: int) -> None:
        key = (code.co_filename, code.co_qualname, code.co_firstlineno)
        if key in ours or (key in seen and tells_calls.get(key) is code):
            return
        frame = sys._getframe(1)
        use = forbidden.use_of_function(frame)
        on_resume(code, _place)
        if use is not None and _is_within(frame, outermost):
            on_use(use, frame.f_back)

    def on_resume(code: CodeType, _place: int, _thrown: object = None) -> None:
        key = (code.co_filename, code.co_qualname, code.co_firstlineno)
        if key in ours or tells_calls.get(key) is code:
            return
        tells_calls[key] = code
        codes.append(code)
        _monitoring.set_local_events(tool, code, events.CALL)

    def on_call(code: CodeType, place: int, called: Any, _first: Any) -> None:
        kind = called.__class__
        if kind is FunctionType or kind is MethodType:
            return  # they tell themselves
        if kind is BuiltinFunctionType or kind is MethodDescriptorType:
            if called.__name__ not in names:
                return
        elif kind is type:
            if called not in classes:
                return
        elif kind is not functools.partial:
            return
        use = forbidden.use_of_builtin(called_in_the_end(called), code, place)
        if use is not None:
            frame = sys._getframe(1)
            if _is_within(frame, outermost):
                on_use(use, frame)

    callbacks = {
        events.PY_START: on_start,
        events.PY_RESUME: on_resume,
        events.PY_THROW: on_resume,
        events.CALL: on_call,
    }
    try:
        for event, callback in callbacks.items():
            _monitoring.register_callback(tool, event, callback)
        _monitoring.set_events(tool, events.PY_START | events.PY_RESUME | events.PY_THROW)
        turn()
    finally:
        _monitoring.set_events(tool, 0)
        for code in codes:
            _monitoring.set_local_events(tool, code, 0)
        for event in callbacks:
            _monitoring.register_callback(tool, event, None)
        _monitoring.free_tool_id(tool)


def _take_tool() -> int | None:
    """A tool of `sys.monitoring` for one turn; None where there is none, or none is free."""
    if _monitoring is None:
        return None
    for tool in TOOL_IDS:
        if _monitoring.get_tool(tool) is None:
            try:
                _monitoring.use_tool_id(tool, _TOOL)
            except ValueError:  # another thread was quicker
                continue
            return tool
    return None


def _is_within(frame: FrameType | None, outermost: int) -> bool:
    """Whether a frame was called, through others, from the one of this id, which has not ended."""
    while frame is not None:
        if id(frame) == outermost:
            return True
        frame = frame.f_back
    return False

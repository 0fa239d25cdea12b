"""The watch over an orchestrator that runs for the first time: what its code did not show is seen when it is called.

Rules of this file:
- a watch sees every call of a turn, whatever the import form and however deep in helpers and libraries, and names the
  user's line behind it; it raises before the call is carried out;
- it is for tests and development: a turn under a watch takes about twice as long. A replayed turn is never watched;
- what Python does for itself is let pass: imports, logging, warnings, tracebacks, encodings, and Stent's own code;
- nothing is replaced: `sys.setprofile` while the turn runs, on this thread alone;
- the garbage collector waits until the turn is over: what it calls back (finalizers, `gc.callbacks`) would run in the
  midst of the program, and is none of the program's.
"""

from __future__ import annotations

import dis
import gc
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType
from typing import Any, Protocol, TypeAlias

from stent.errors import ForbiddenInOrchestratorError
from stent.registry import Function
from stent.replay.guard import Finding, known_objects, refusal
from stent.replay.rules import CHANCE, CLOCK, ENVIRONMENT, FORBIDDEN_PACKAGES, NOW_WITHOUT_ARGUMENTS, Rule
from stent.replay.sites import site_of
from stent.replay.waivers import is_waived
from stent.replay.walker import is_users_code

_QUIET = frozenset(
    {
        "logging",
        "structlog",
        "importlib",
        "linecache",
        "tokenize",
        "warnings",
        "traceback",
        "encodings",
        "codecs",
        "locale",
    }
)
"""Packages whose own use of files and clocks does not come back to the program."""
_OURS = ("stent", "asyncio")
_LOOP = "stent.replay.loop"
_CLOCK_METHODS = frozenset({"now", "utcnow", "today"})
_Use: TypeAlias = tuple[str, Rule]
"""What is used, by its dotted name, and the rule that this breaks."""

_watch: ContextVar[Watch | None] = ContextVar("stent_watch", default=None)


class Watched(Protocol):
    """What a watch has to know of an execution."""

    function: Function
    refused: ForbiddenInOrchestratorError | None


@contextmanager
def strict(is_on: bool = True) -> Iterator[None]:
    """Watch the orchestrators that workers started within this block run for the first time."""
    token = _watch.set(Watch() if is_on else None)
    try:
        yield
    finally:
        _watch.reset(token)


def current_watch() -> Watch | None:
    """The watch for a new execution, if there is to be one."""
    return _watch.get()


class Watch:
    """Watches the turns of the executions that begin within one block: learning what is forbidden takes longer."""

    __slots__ = ("_by_code", "_by_object", "_harmless", "_modules", "_names")

    def __init__(self) -> None:
        self._by_object: dict[Any, _Use] = {}
        self._by_code: dict[int, tuple[CodeType, Any, _Use]] = {}
        self._names = {*_CLOCK_METHODS, *(name.partition(".")[2] for name in NOW_WITHOUT_ARGUMENTS)}
        self._harmless: dict[int, CodeType] = {}
        self._modules = 0

    def over(self, watched: Watched, turn: Callable[[], None]) -> None:
        """Run a turn. Where somebody else profiles this thread, the turn is not watched."""
        if sys.getprofile() is not None:
            turn()
            return
        self._learn()
        is_collecting = gc.isenabled()
        gc.disable()
        sys.setprofile(self._observer(watched))
        try:
            turn()
        finally:
            sys.setprofile(None)
            if is_collecting:
                gc.enable()

    def _observer(self, watched: Watched) -> Callable[[FrameType, str, Any], None]:
        by_object, by_code, names, harmless = self._by_object, self._by_code, self._names, self._harmless

        def observe(frame: FrameType, event: str, called: Any) -> None:
            caller: FrameType | None = frame
            use: _Use | None = None
            if event == "call":
                code = frame.f_code
                if harmless.get(id(code)) is code:  # nearly all: a program calls the same functions over and over
                    return
                known = by_code.get(id(code))
                if known is not None:
                    _, owner, found = known
                    use = found if _is_call_of(frame, owner) else None
                elif (package := _package(frame)) in FORBIDDEN_PACKAGES:
                    use = _package_use(frame, package)
                else:
                    harmless[id(code)] = code
                caller = frame.f_back
            elif event == "c_call" and called.__name__ in names:
                use = (by_object.get(called) if _is_plain(called) else None) or _hidden_use(called, frame)
            if use is not None:
                _report(watched, use, caller)

        return observe

    def _learn(self) -> None:
        """Look the forbidden objects up again where modules were imported since the last turn."""
        modules = len(sys.modules)
        if self._modules == modules:
            return
        self._harmless.clear()
        for use in known_objects().values():
            value = _resolve(use[0])
            if isinstance(value, MethodType):
                self._forbid(value.__func__.__code__, use, value.__self__)
            elif isinstance(value, FunctionType):
                self._forbid(value.__code__, use)
            elif isinstance(value, type):
                for maker in ("__init__", "__new__"):
                    code = getattr(vars(value).get(maker), "__code__", None)
                    if code is not None:
                        self._forbid(code, use)
            elif isinstance(value, BuiltinFunctionType):
                self._by_object[value] = use
                self._names.add(value.__name__)
        self._forbid(type(os.environ).__getitem__.__code__, ("os.environ", ENVIRONMENT))
        self._forbid(random.Random.seed.__code__, ("random.Random without a seed", CHANCE), _WITHOUT_SEED)
        self._modules = modules  # last, for another thread that watches meanwhile

    def _forbid(self, code: CodeType, use: _Use, owner: Any = None) -> None:
        self._by_code[id(code)] = (code, owner, use)  # kept, so that its id is not given to another one


_WITHOUT_SEED = object()


def _is_plain(called: Any) -> bool:
    """Whether an object may be looked up: the owner of a method decides how it compares, and may be anybody's."""
    owner = getattr(called, "__self__", None)
    return owner is None or type(owner).__name__ == "module" or type(owner) is random.Random or isinstance(owner, type)


def _hidden_use(called: Any, frame: FrameType) -> _Use | None:
    """What the object alone does not say.

    Methods that are another object each time: `datetime.now` of the class or of one derived from it; functions that
    read the clock unless they are given a time.
    """
    owner = getattr(called, "__self__", None)
    name = f"{getattr(called, '__module__', None)}.{called.__name__}"
    if name in NOW_WITHOUT_ARGUMENTS:
        given = _argument_count(frame)
        return (name, CLOCK) if given is not None and given < NOW_WITHOUT_ARGUMENTS[name] else None
    if isinstance(owner, type) and issubclass(owner, date) and called.__name__ in _CLOCK_METHODS:
        return f"{owner.__module__}.{owner.__qualname__}.{called.__name__}", CLOCK
    return None


def _argument_count(frame: FrameType) -> int | None:
    """How many arguments the call has that a frame is making; None if its code does not say."""
    code = frame.f_code.co_code
    place = frame.f_lasti
    return code[place + 1] if dis.opname[code[place]] == "CALL" else None


def _is_call_of(frame: FrameType, owner: Any) -> bool:
    """Whether a frame runs the method of this very object; for `seed`, whether it is given nothing."""
    if owner is None:
        return True
    names = frame.f_locals
    if owner is _WITHOUT_SEED:
        return names.get("a") is None
    return names.get("self", names.get("cls")) is owner


def _package_use(frame: FrameType, package: str) -> _Use | None:
    """A call into a package that exists to talk to the outside world, from outside of it."""
    caller = frame.f_back
    if frame.f_code.co_name == "<module>" or caller is None or _package(caller) in (package, "importlib", *_OURS):
        return None
    return f"{package}.{frame.f_code.co_qualname}", FORBIDDEN_PACKAGES[package]


def _report(watched: Watched, use: _Use, caller: FrameType | None) -> None:
    name, rule = use
    frame = _users_frame(caller)
    if frame is None or is_waived(frame.f_code.co_filename, frame.f_lineno, rule.code):
        return
    error = refusal(watched.function, (Finding(name, rule, site_of(frame)),))
    watched.refused = watched.refused or error
    raise error


def _users_frame(frame: FrameType | None) -> FrameType | None:
    """The user's innermost frame; None where the call is Python's own business, or Stent's.

    An orchestrator of an installed package has no frame of the user: then it is the one that the loop runs.
    """
    users: FrameType | None = None
    outermost: FrameType | None = None
    while frame is not None:
        package = _package(frame)
        if package in _OURS:
            return users or (outermost if frame.f_globals["__name__"] == _LOOP else None)
        if package in _QUIET or frame.f_code.co_name == "<module>":
            return None
        if users is None and is_users_code(frame.f_code):
            users = frame
        outermost = frame
        frame = frame.f_back
    return users


def _package(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) else ""


def _resolve(name: str) -> Any:
    """An object by its dotted name, as the program gets it: bound where it is a method."""
    parts = name.split(".") if "." in name else ["builtins", name]
    for length in range(len(parts) - 1, 0, -1):
        value: Any = sys.modules.get(".".join(parts[:length]))
        if value is not None:
            for part in parts[length:]:
                value = getattr(value, part, None)
            return value
    return None

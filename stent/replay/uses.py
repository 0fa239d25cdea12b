"""What a program may not use, recognised when it is used: a function that begins, a call that is about to be made.

Rules of this file:
- the object itself is recognised, or the code behind it, whatever the import form and whoever calls;
- nothing of the program's is asked: an object of the user's may answer anything, and do anything;
- what Python does for itself is let pass: imports, logging, warnings, tracebacks, encodings, and Stent's own code.
"""

from __future__ import annotations

import dis
import os
import random
import sys
from datetime import date
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodDescriptorType, MethodType
from typing import Any, TypeAlias

from stent.replay.guard import known_objects
from stent.replay.rules import CHANCE, CLOCK, ENVIRONMENT, FORBIDDEN_PACKAGES, NOW_WITHOUT_ARGUMENTS, Rule
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
_MADE_IN_C = frozenset({BuiltinFunctionType, MethodDescriptorType, type})
Use: TypeAlias = tuple[str, Rule]
"""What is used, by its dotted name, and the rule that this breaks."""


class Forbidden:
    """All that is forbidden among the modules that are imported by now."""

    __slots__ = ("_by_code", "_by_object", "_modules", "classes", "names", "ours", "seen")

    def __init__(self) -> None:
        self._by_object: dict[Any, Use] = {}
        self._by_code: dict[int, tuple[CodeType, list[tuple[Any, Use]]]] = {}
        """Code by its id, kept so that the id is not given to another, and what it is as the method of which object."""
        self.names = {*_CLOCK_METHODS, *(name.partition(".")[2] for name in NOW_WITHOUT_ARGUMENTS)}
        """What a function made in C may be called, if it is to be looked at."""
        self.classes: set[type] = set()
        """Classes made in C. One written in Python is known by its `__init__`."""
        self.seen: set[tuple[str, str, int]] = set()
        """File, name and line of functions that were looked at and are nothing: a program calls the same ones again."""
        self.ours: set[tuple[str, str, int]] = set()
        """Those among them that are Stent's or asyncio's: what they call is not the program's doing."""
        self._modules = 0

    def learn(self) -> None:
        """Look the forbidden objects up again where modules were imported since the last turn."""
        modules = len(sys.modules)
        if self._modules == modules:
            return
        self.seen.clear()
        self.ours.clear()
        for use in known_objects().values():
            value = _resolve(use[0])
            if isinstance(value, MethodType):
                self._forbid(value.__func__.__code__, use, value.__self__)
            elif isinstance(value, FunctionType):
                self._forbid(value.__code__, use)
            elif isinstance(value, type):
                self._forbid_class(value, use)
            elif isinstance(value, BuiltinFunctionType):
                self._by_object[value] = use
                self.names.add(value.__name__)
        self._forbid(type(os.environ).__getitem__.__code__, ("os.environ", ENVIRONMENT))
        self._forbid(random.Random.seed.__code__, ("random.Random without a seed", CHANCE), _WITHOUT_SEED)
        self._modules = modules  # last, for another thread that watches meanwhile

    def use_of_function(self, frame: FrameType) -> Use | None:
        """What a function written in Python is, whose frame has just begun."""
        code = frame.f_code
        known = self._by_code.get(id(code))
        if known is not None:
            return next((use for owner, use in known[1] if _is_call_of(frame, owner)), None)
        package = _package(frame)
        if package in FORBIDDEN_PACKAGES:
            return _package_use(frame, package)
        if not code.co_filename.startswith("<"):  # code without a file may be anybody's
            key = (code.co_filename, code.co_qualname, code.co_firstlineno)
            self.seen.add(key)
            if package in _OURS:
                self.ours.add(key)
        return None

    def use_of_builtin(self, called: Any, code: CodeType, place: int) -> Use | None:
        """What a function or class made in C is, which the instruction at this place of the code calls."""
        if called.__class__ not in _MADE_IN_C:
            return None
        return (self._by_object.get(called) if _is_plain(called) else None) or _hidden_use(called, code, place)

    def _forbid_class(self, value: type, use: Use) -> None:
        codes = [getattr(vars(value).get(maker), "__code__", None) for maker in ("__init__", "__new__")]
        for code in codes:
            if code is not None:
                self._forbid(code, use)
        if codes == [None, None]:
            self.classes.add(value)
            self._by_object[value] = use

    def _forbid(self, code: CodeType, use: Use, owner: Any = None) -> None:
        uses = self._by_code.setdefault(id(code), (code, []))[1]
        if (owner, use) not in uses:
            uses.append((owner, use))


_WITHOUT_SEED = object()


def _is_plain(called: Any) -> bool:
    """Whether an object may be looked up: the owner of a method decides how it compares, and may be anybody's."""
    owner = getattr(called, "__self__", None)
    return owner is None or type(owner).__name__ == "module" or type(owner) is random.Random or isinstance(owner, type)


def _hidden_use(called: Any, code: CodeType, place: int) -> Use | None:
    """What the object alone does not say.

    Methods that are another object each time: `datetime.now` of the class or of one derived from it; functions that
    read the clock unless they are given a time.
    """
    owner = getattr(called, "__self__", None)
    name = f"{getattr(called, '__module__', None)}.{called.__name__}"
    if name in NOW_WITHOUT_ARGUMENTS:
        given = _argument_count(code, place)
        return (name, CLOCK) if given is not None and given < NOW_WITHOUT_ARGUMENTS[name] else None
    if isinstance(owner, type) and issubclass(owner, date) and called.__name__ in _CLOCK_METHODS:
        return f"{owner.__module__}.{owner.__qualname__}.{called.__name__}", CLOCK
    return None


def _argument_count(code: CodeType, place: int) -> int | None:
    """How many arguments the call at a place of the code has; None if the code does not say."""
    instructions = code.co_code
    return instructions[place + 1] if dis.opname[instructions[place]] == "CALL" else None


def _is_call_of(frame: FrameType, owner: Any) -> bool:
    """Whether a frame runs the method of this very object; for `seed`, whether it is given nothing."""
    if owner is None:
        return True
    names = frame.f_locals
    if owner is _WITHOUT_SEED:
        return names.get("a") is None
    return names.get("self", names.get("cls")) is owner


def _package_use(frame: FrameType, package: str) -> Use | None:
    """A call into a package that exists to talk to the outside world, from outside of it."""
    caller = frame.f_back
    if frame.f_code.co_name == "<module>" or caller is None or _package(caller) in (package, "importlib", *_OURS):
        return None
    return f"{package}.{frame.f_code.co_qualname}", FORBIDDEN_PACKAGES[package]


def users_frame(frame: FrameType | None) -> FrameType | None:
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

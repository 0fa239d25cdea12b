"""Which classes stored bytes may name, and the only door from a name to a class.

A name leads to a class if
1. it is one of the exceptions of Python or Stent below;
2. the class was registered under it, by hand or because the annotation of a durable function mentions it;
3. it is the name of a class of an allowed module, one that defines durable functions. It is looked up in the modules
   that are imported already, and must be a class that calls itself by that very name.
Nothing is imported, and no attribute is looked up for any other name. Writing follows the same rules, so what one
process writes another process with the same program can read: `name_of(cls)` is None unless `class_of` leads back.
"""

from __future__ import annotations

import asyncio
import binascii
import builtins
import decimal
import json
import queue
import socket
import struct
import subprocess
import threading
import zlib
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from stent import errors
from stent.codec.annotations import classes_in, is_function, resolve_hints
from stent.codec.names import MAIN, class_name, find_class, main_name, stored_module
from stent.codec.shapes import kind_of
from stent.codec.walk import Kind, type_label
from stent.errors import OptionError, StentError, UnknownTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MAX_NAME_CHARS: Final = 300

# Errors of the standard library that activities meet, of modules that asyncio or the codec imports anyway.
_LIBRARY_ERRORS: Final[tuple[type, ...]] = (
    asyncio.CancelledError,
    asyncio.IncompleteReadError,
    asyncio.InvalidStateError,
    asyncio.LimitOverrunError,
    asyncio.QueueEmpty,
    asyncio.QueueFull,
    binascii.Error,
    decimal.DivisionByZero,
    decimal.InvalidOperation,
    json.JSONDecodeError,
    queue.Empty,
    queue.Full,
    socket.gaierror,
    socket.herror,
    struct.error,
    subprocess.CalledProcessError,
    subprocess.TimeoutExpired,
    zlib.error,
    zoneinfo.ZoneInfoNotFoundError,
)


def _standard_exceptions() -> dict[str, type]:
    """Exceptions that every program may store: Python's own, those above, and ours.

    SystemExit, KeyboardInterrupt and GeneratorExit stop a process or a generator; nobody gets one from a database.
    """
    found = vars(builtins).values()
    kept: list[type] = [item for item in found if isinstance(item, type) and issubclass(item, Exception)]
    kept += [BaseExceptionGroup, *_LIBRARY_ERRORS]
    kept += [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, StentError)]
    return {class_name(item): item for item in kept}


_STANDARD: Final = _standard_exceptions()
_STANDARD_NAMES: Final = {cls: name for name, cls in _STANDARD.items()}


class TypeRegistry:
    """The classes that values may have, by name. Filled while modules are imported, read by any thread."""

    def __init__(self) -> None:
        self._classes: dict[str, type] = {}
        self._names: dict[type, str] = {}
        self._explicit: set[str] = set()
        self._modules: set[str] = set()
        self._is_main_allowed = False
        # Annotations that named something not defined yet; asked again when a class is not found.
        self._unresolved: list[Any] = []
        self._lock = threading.RLock()

    def allow_module(self, name: str) -> None:
        """Allow the classes that a module defines at its top level or inside its classes. Imports nothing."""
        self._modules.add(stored_module(name))
        self._is_main_allowed = self._is_main_allowed or name == MAIN

    def register(self, cls: type, name: str | None = None, aliases: Iterable[str] = ()) -> None:
        """Allow one class, under its own name or another; `aliases` are older names that stored values may have.

        Raises OptionError for a class that cannot be stored, and for a name that another class has. A second class
        of the same module and qualname (a cell run again) takes the place of the first.
        """
        given: Any = cls
        if not isinstance(given, type) or kind_of(given) is None:
            label = type_label(given if isinstance(given, type) else type(given))
            raise OptionError(
                f"{label} cannot be registered: it is no dataclass, pydantic model, enum, named tuple or exception.",
                fix="make it a dataclass",
            )
        if cls in _STANDARD_NAMES and name is None:
            return
        names = [class_name(cls) if name is None else name, *aliases]
        for each in names:
            _check_name(each)
            holder = self._classes.get(each)
            if holder is not None and each in self._explicit and class_name(holder) != class_name(cls):
                raise OptionError(
                    f"The name {each!r} already belongs to {type_label(holder)}.",
                    fix="give the class another name: register(cls, name=...)",
                    name=each,
                )
        for each in reversed(names):  # the first is the one that is written
            self._put(each, cls)
            self._explicit.add(each)

    def register_annotations(self, callable_or_hints: Callable[..., Any] | Mapping[str, Any] | Any) -> None:
        """Allow every class that the annotations of a function, a mapping of hints or a single type mention.

        Goes into generics, unions and the fields of dataclasses, models, named tuples and typed dicts. What names
        something that is not defined yet is tried again when it matters.
        """
        if isinstance(callable_or_hints, dict):
            for hint in callable_or_hints.values():
                self._collect(hint)
        elif is_function(callable_or_hints):
            hints, is_complete = resolve_hints(callable_or_hints)
            for hint in hints.values():
                self._collect(hint)
            if not is_complete:
                self._unresolved.append(callable_or_hints)
        else:
            self._collect(callable_or_hints)

    def name_of(self, cls: type) -> str | None:
        """The name under which instances of a class are stored; None if no reader could find the class by it."""
        name = self._find_name(cls)
        if name is None:
            self._resolve_again()
            name = self._find_name(cls)
        return name

    def class_of(self, name: str, kind: Kind) -> type:
        """The class of a stored name. Raises UnknownTypeError unless it is known, allowed and of this kind."""
        cls = self._find_class(name)
        if cls is None:
            self._resolve_again()
            cls = self._find_class(name)
        if cls is None:
            raise UnknownTypeError(
                f"A stored value is a {name}, which this process does not know or may not build.",
                fix="import the module that defines it before the worker starts, and annotate a durable function "
                "with the class or register it with Stent.register_type; after a rename, give the old name in aliases",
                type_name=name,
                kind=kind,
            )
        if kind_of(cls) != kind:
            raise UnknownTypeError(
                f"A stored value names {name} as a {kind}, but here it is a {kind_of(cls)}.",
                fix="keep the kind of a class as long as stored values have it",
                type_name=name,
                kind=kind,
            )
        return cls

    def _find_name(self, cls: type) -> str | None:
        name = _STANDARD_NAMES.get(cls) or self._names.get(cls)
        if name is None and kind_of(cls) is not None:
            name = class_name(cls)
        return name if name is not None and self._find_class(name) is cls else None

    def _find_class(self, name: str) -> type | None:
        found = _STANDARD.get(name) or self._classes.get(name)
        if found is not None:
            return found
        module, _, qualname = name.partition(":")
        if module not in self._modules:
            return None
        # The module that is run comes first: its functions are the ones that are running.
        if self._is_main_allowed and module == main_name():
            found = find_class(MAIN, qualname)
        found = found or find_class(module, qualname)
        return found if found is not None and kind_of(found) is not None else None

    def _put(self, name: str, cls: type) -> None:
        holder = self._classes.get(name)
        if holder is not None and holder is not cls and self._names.get(holder) == name:
            del self._names[holder]
        self._classes[name] = cls
        self._names[cls] = name

    def _collect(self, hint: Any) -> None:
        for cls in classes_in(hint):
            name = class_name(cls)
            if cls not in self._names and cls not in _STANDARD_NAMES and name not in self._explicit:
                self._put(name, cls)

    def _resolve_again(self) -> None:
        """Look once more at annotations that were incomplete."""
        with self._lock:  # another thread may be in here, about to find the class that is missed
            waiting, self._unresolved = self._unresolved, []
            for item in waiting:
                self.register_annotations(item)


def _check_name(name: str) -> None:
    if type(name) is not str or not name.isprintable() or not 0 < len(name) <= _MAX_NAME_CHARS or name in _STANDARD:
        raise OptionError(
            f"{name!r} is no name for a class.",
            fix=f"use 1 to {_MAX_NAME_CHARS} printable characters, such as 'shop.models:Order'",
        )

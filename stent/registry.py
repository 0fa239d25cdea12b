"""The durable functions of this process, by name.

Rules of this file:
- a name in a database is looked up here and nowhere else: nothing is ever imported because a row says so;
- two different functions under one name are an error when the second is defined; defining the same one again
  (a module that is reloaded, a nested function whose outer one runs again) replaces it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from types import CodeType
from typing import Any

from stent.codec import Payload, TypeRegistry, decode, join
from stent.codec.signature import Signature
from stent.errors import DuplicateFunctionError, UnregisteredFunctionError
from stent.history.options import CallOptions, Role
from stent.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class FunctionOptions:
    """What `@Stent.durable(...)` was given, checked and in the engine's units."""

    max_concurrent: int | None = None
    retry_policy: RetryPolicy | None = None
    timeout_us: int | None = None
    version: str | None = None
    queue: str | None = None
    tags: tuple[str, ...] = ()
    priority: int = 0
    role: Role | None = None


class Function:
    """One durable function: its body, how it is called, and how its calls are to be carried out."""

    __slots__ = (
        "__weakref__",
        "body",
        "call_options",
        "code",
        "display_name",
        "guarded",
        "is_async",
        "limit_key",
        "name",
        "options",
        "result_name",
        "role_hint",
        "signature",
        "types",
    )

    def __init__(self, name: str, body: Callable[..., Any], options: FunctionOptions, types: TypeRegistry) -> None:
        self.name = name
        self.display_name = display_name(name)
        """The name without its module."""
        self.result_name = f"the result of {self.display_name}()"
        """What errors call what it returned."""
        self.limit_key = name if options.max_concurrent is not None else None
        """What bounds its calls over all workers, if anything does."""
        self.body = body
        self.options = options
        self.types = types
        self.is_async = inspect.iscoroutinefunction(body)
        self.code: CodeType | None = getattr(inspect.unwrap(body), "__code__", None)
        self.signature = Signature.of(body, types)
        self.call_options = CallOptions(
            retry=options.retry_policy.to_record() if options.retry_policy is not None else None,
            timeout_us=options.timeout_us,
            queue=options.queue,
            priority=options.priority,
            tags=options.tags,
        )
        self.role_hint: Role | None = options.role
        self.guarded: tuple[Any, ...] | None = None
        """What the guard found in the code, once it has looked."""

    def encode_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Payload:
        """Check the arguments of a call and encode them; ArgumentError or SerializationError name the argument."""
        return self.signature.payload(args, kwargs)

    def decode_arguments(self, payload: Payload) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self.signature.decode(payload)

    def pack_rows(self, rows: Iterable[tuple[Any, ...]]) -> tuple[Payload, int]:
        """The arguments of many calls in one document, and how many there are."""
        payload_of = self.signature.payload
        packed = [payload_of(row, {}) for row in rows]
        return join(packed), len(packed)

    def unpack_rows(self, packed: Payload) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments of all calls of a batch."""
        return [_call_of(value) for value in decode(packed, self.types)]

    @property
    def place(self) -> str:
        """file:line of the definition."""
        if self.code is None:
            return "?"
        return f"{PurePath(self.code.co_filename).name}:{self.code.co_firstlineno}"

    def __repr__(self) -> str:
        return f"<durable {self.name} at {self.place}>"


@dataclass(slots=True)
class Registry:
    """Functions by name, and the classes that their values may have."""

    types: TypeRegistry = field(default_factory=TypeRegistry)
    generation: int = 0
    _functions: dict[str, Function] = field(default_factory=dict)

    def add(self, function: Function) -> None:
        """Register a function; DuplicateFunctionError if the name belongs to another one."""
        known = self._functions.get(function.name)
        if known is not None and not _is_same(known, function):
            raise DuplicateFunctionError(
                f"two durable functions are called {function.name!r}: {known.place} and {function.place}",
                fix='rename one of them, or give it a name of its own: @Stent.durable(name="...")',
                name=function.name,
            )
        self._functions[function.name] = function
        self.generation += 1
        self.types.allow_module(function.body.__module__)
        self.types.register_annotations(function.body)

    def get(self, name: str) -> Function | None:
        return self._functions.get(name)

    def find(self, name: str) -> Function:
        """The function of this name, or UnregisteredFunctionError with what may have been meant."""
        function = self._functions.get(name)
        if function is None:
            from difflib import get_close_matches

            near = get_close_matches(name, self._functions, n=3)
            raise UnregisteredFunctionError(
                f"no durable function is called {name!r} in this process",
                fix=f"did you mean {' or '.join(near)}?" if near else "import the module that defines it",
                name=name,
            )
        return function

    def names(self) -> frozenset[str]:
        return frozenset(self._functions)

    def limits(self) -> tuple[tuple[str, int], ...]:
        """(limit key, max) of every limited function."""
        return tuple(
            (function.limit_key, function.options.max_concurrent)
            for function in self._functions.values()
            if function.limit_key is not None and function.options.max_concurrent is not None
        )

    def __iter__(self) -> Iterator[Function]:
        return iter(list(self._functions.values()))


def function_name(body: Callable[..., Any]) -> str:
    """module:qualname, with `__main__` replaced by the name under which others would import it."""
    return f"{module_name(body.__module__)}:{body.__qualname__}"


def module_name(name: str) -> str:
    if name != "__main__":
        return name
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        found: str = spec.name
        return found.removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return PurePath(file).stem if file else name


def display_name(name: str) -> str:
    """A stored name as people read it: without its module and the functions around it."""
    return name.rpartition(":")[2].rpartition("<locals>.")[2]


def _call_of(value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(value, dict):
        return tuple(value["args"]), value["kwargs"]
    return tuple(value), {}


def _is_same(known: Function, new: Function) -> bool:
    """Whether both are the same definition, now or in an earlier state of its file."""
    if known.code is None or new.code is None:
        return known.body is new.body
    return (
        known.code.co_filename == new.code.co_filename
        and known.code.co_qualname == new.code.co_qualname
        and (known.code.co_firstlineno == new.code.co_firstlineno or not _is_importing(new.body.__module__))
    )


def _is_importing(module: str) -> bool:
    """Whether a module is being executed for the first time (a reload is not)."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


default_registry = Registry()

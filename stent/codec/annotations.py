"""Reading annotations: resolving them one by one, and finding the classes that they mention.

Annotations are evaluated in the module of the function or class that has them, each on its own: one name that cannot
be resolved (imported for type checkers only, or defined later) does not lose the others.
"""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from stent.codec.shapes import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# Deeper or wider than any annotation is; a guard against types that make new types when looked at.
_MAX_TYPES: Final = 10_000


def is_function(item: object) -> bool:
    """Whether it has annotations of parameters: a function, a method, a partial, an object wrapping one."""
    if isinstance(item, functools.partial):
        return True
    return not isinstance(item, type) and callable(item) and hasattr(inspect.unwrap(item), "__code__")


def unwrapped(function: Any) -> Any:
    """The plain function below partials, decorators and bound methods."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return function


def resolve_hints(function: Any) -> tuple[dict[str, Any], bool]:
    """The annotations of a function that can be resolved now, and whether these are all."""
    plain = unwrapped(function)
    names = dict(getattr(plain, "__globals__", {}))
    code = getattr(plain, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(plain, "__closure__", None) or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return _resolve_all(_annotations_of(plain), names)


def class_hints(cls: type) -> dict[str, Any]:
    """The annotations of a class and its bases that can be resolved now."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        module = sys.modules.get(base.__dict__.get("__module__", ""))
        names = {**getattr(module, "__dict__", {}), **base.__dict__, base.__name__: base}
        hints.update(_resolve_all(_annotations_of(base), names)[0])
    return hints


def _annotations_of(item: Any) -> dict[str, Any]:
    try:
        return inspect.get_annotations(item)
    except Exception:  # border: annotations may be computed by code of the user, from names that do not exist yet
        return {}


def _resolve_all(annotations: dict[str, Any], names: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    hints: dict[str, Any] = {}
    for name, annotation in annotations.items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints[name] = typing.get_type_hints(holder, names, names, include_extras=True)[name]
        except Exception:  # border: evaluates source text of the user: anything may happen, most often a NameError
            continue
    return hints, len(hints) == len(annotations)


def classes_in(hint: Any) -> list[type]:
    """Every class that can be stored by name and that a type mentions, fields of classes included."""
    found: list[type] = []
    seen: set[int] = set()
    keep: list[Any] = []  # ids stay unique as long as their objects live
    stack = [hint]
    while stack and len(seen) < _MAX_TYPES:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        keep.append(item)
        if isinstance(item, type) and typing.get_origin(item) is None:  # list[int] calls itself a type
            if kind_of(item) is not None:
                found.append(item)
            stack.extend(_inside_class(item))
        else:
            stack.extend(_inside_hint(item))
    return found


def _inside_class(cls: type) -> Iterator[Any]:
    """What the fields of a class are annotated with; for a parametrised model also what it was made from."""
    kind = kind_of(cls)
    if kind == "model":
        yield from (field.annotation for field in getattr(cls, "__pydantic_fields__", {}).values())
        generic = getattr(cls, "__pydantic_generic_metadata__", None) or {}
        yield generic.get("origin")
        yield from generic.get("args", ())
    if kind in ("model", "dataclass", "namedtuple") or typing.is_typeddict(cls):
        yield from class_hints(cls).values()
        yield from getattr(cls, "__orig_bases__", ())


def _inside_hint(hint: Any) -> Iterator[Any]:
    """The types inside a type expression."""
    yield typing.get_origin(hint)
    for argument in typing.get_args(hint):
        if isinstance(argument, enum.Enum):  # Literal[Color.RED]
            yield type(argument)
        elif not isinstance(argument, str | bytes | int):
            yield from argument if isinstance(argument, list) else (argument,)  # Callable[[A], B]
    if isinstance(hint, typing.TypeVar):
        yield from hint.__constraints__
        yield hint.__bound__
    yield getattr(hint, "__supertype__", None)  # NewType
    if type(hint).__name__ == "TypeAliasType":  # type Ids = list[Id]; its value is evaluated when asked for
        try:
            yield hint.__value__
        except Exception:  # border: evaluates source text of the user
            return

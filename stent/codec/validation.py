"""Checking one argument against its annotation: pydantic in lax mode, with short cuts and one rule of our own.

The rule: if the validated value equals the given one, the given object stays. So an IntEnum, an OrderedDict or a 3 for
a float stay as passed, and a dict for a model becomes the model. The exception: where validation made something
narrower than what was given (`"red"` into `Color.RED`, 1 into True), the function gets what its annotation asks for.

Not checked: no annotation, Any, object, type variables, what cannot be resolved, and what is read later or called
(Iterable, Iterator, Callable, Awaitable ...). An iterator for anything else is refused before one item is taken, for a
failed check could not put it back.

Pydantic is imported by the first value that the short cuts do not cover: programs of plain types never wait for it.
"""

from __future__ import annotations

import types
import typing
from collections import abc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from stent.codec.walk import type_label

if TYPE_CHECKING:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

_LAZY: Final = frozenset(
    {
        abc.Iterable,
        abc.Iterator,
        abc.Generator,
        abc.AsyncIterable,
        abc.AsyncIterator,
        abc.AsyncGenerator,
        abc.Callable,
        abc.Awaitable,
        abc.Coroutine,
        type,
    }
)
_UNIONS: Final = (typing.Union, types.UnionType)
# What else stays as it is for an annotation, as type checkers have it.
_PROMOTIONS: Final[dict[type, tuple[type, ...]]] = {float: (int,), complex: (int, float)}
_COLLECTIONS: Final = (list, set, frozenset)
_CONFIG: Final[ConfigDict] = {"arbitrary_types_allowed": True}
_MAX_ERRORS: Final = 3
_MAX_SHOWN: Final = 40


class Mismatch(Exception):
    """An argument that its annotation does not allow; becomes an ArgumentError with the names."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def is_checked(annotation: Any) -> bool:
    """Whether values are checked against an annotation at all."""
    if annotation is Any or annotation is object or isinstance(annotation, str | typing.TypeVar | typing.ForwardRef):
        return False
    origin = typing.get_origin(annotation) or annotation
    if origin in _UNIONS:
        return all(is_checked(member) for member in typing.get_args(annotation))
    if origin is typing.Annotated:
        return is_checked(typing.get_args(annotation)[0])
    if isinstance(annotation, typing.ParamSpecArgs | typing.ParamSpecKwargs):
        return False
    try:
        return origin not in _LAZY
    except TypeError:  # not hashable: no annotation that we know
        return False


def exact_types(annotation: Any) -> frozenset[type]:
    """The types whose exact instances fit without a further look."""
    if annotation is None:
        return frozenset({type(None)})
    if typing.get_origin(annotation) in _UNIONS:
        return frozenset().union(*(exact_types(member) for member in typing.get_args(annotation)))
    if isinstance(annotation, type) and typing.get_origin(annotation) is None and not typing.is_typeddict(annotation):
        return frozenset({annotation, *_PROMOTIONS.get(annotation, ())})
    return frozenset()


class Check:
    """The check for one annotation. `exact` is for the caller's short cut: such values need no call."""

    __slots__ = ("_adapter", "_annotation", "_has_adapter", "_of_items", "_of_keys", "_of_values", "exact", "expected")

    def __init__(self, annotation: Any) -> None:
        self.exact = exact_types(annotation)
        self.expected = annotation_text(annotation)
        self._annotation = annotation
        self._adapter: TypeAdapter[Any] | None = None
        self._has_adapter = False
        self._of_items: tuple[type, frozenset[type] | None] | None = None
        self._of_keys: frozenset[type] = frozenset()
        self._of_values: frozenset[type] | None = None
        origin, parameters = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in _COLLECTIONS and len(parameters) == 1:
            self._of_items = (origin, _simple(parameters[0]))
        elif origin is dict and len(parameters) == 2:
            self._of_keys, self._of_values = _simple(parameters[0]) or frozenset(), _simple(parameters[1])

    def value_for(self, value: Any) -> Any:
        """The value to call the function with. Raises Mismatch."""
        if type(value) in self.exact or self._fits_simply(value):
            return value
        if isinstance(value, Iterator):
            raise Mismatch("an iterator can be read once only", "pass list(...)")
        if not self._has_adapter:
            self._adapter = _adapter_for(self._annotation)
            self._has_adapter = True
        if self._adapter is None:
            return value
        try:
            validated = self._adapter.validate_python(value)
        except RecursionError:
            raise Mismatch("it contains itself, or is nested too deep") from None
        except Exception as error:  # border: validators of a user's model may raise anything
            raise Mismatch(_problem(error)) from error
        return value if validated is value or _says_the_same(value, validated) else validated

    def _fits_simply(self, value: Any) -> bool:
        """Collections of simple items, the common case of JSON-like data, without a copy by pydantic."""
        kind = type(value)
        if self._of_items is not None:
            wanted, items = self._of_items
            return kind is wanted and items is not None and (items is _ANYTHING or items.issuperset(map(type, value)))
        if kind is dict and self._of_keys and self._of_values is not None:
            has_keys = self._of_keys is _ANYTHING or self._of_keys.issuperset(map(type, value))
            return has_keys and (self._of_values is _ANYTHING or self._of_values.issuperset(map(type, value.values())))
        return False


_ANYTHING: Final = frozenset({object})


def _simple(annotation: Any) -> frozenset[type] | None:
    """The exact types of an item; `_ANYTHING` if it is not checked; None if it needs more than its type."""
    if annotation is Any or annotation is object:
        return _ANYTHING
    return exact_types(annotation) or None


def _adapter_for(annotation: Any) -> TypeAdapter[Any] | None:
    from pydantic import TypeAdapter  # a failure of this import is no property of the annotation
    from pydantic.errors import PydanticUserError

    try:
        try:
            return TypeAdapter(annotation, config=_CONFIG)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            return TypeAdapter(annotation)  # a model or dataclass: it has a configuration of its own
    except Exception:  # border: no schema for this annotation (a forward reference inside, an exotic type): not checked
        return None


def _says_the_same(given: Any, validated: Any) -> bool:
    try:
        return bool(given == validated) and not _is_narrowed(given, validated)
    except Exception:  # border: `==` of a user's class, or of a signalling NaN
        return False


def _is_narrowed(given: Any, validated: Any) -> bool:
    """Whether validation made an instance of a proper subclass, here or inside of equal collections."""
    if given is validated:
        return False
    kind = type(given)
    if type(validated) is not kind:
        return issubclass(type(validated), kind)
    if kind is list or kind is tuple:
        return any(map(_is_narrowed, given, validated))
    if kind is dict:
        return any(map(_is_narrowed, given.values(), validated.values())) or any(map(_is_narrowed, given, validated))
    if kind is set or kind is frozenset:
        of_given = {item: item for item in given}
        return any(_is_narrowed(of_given[item], item) for item in validated)
    return False


def _problem(error: Exception) -> str:
    """What a validator said: pydantic's own, or that of a user's model."""
    from pydantic import ValidationError

    return _compact(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"


def _compact(error: ValidationError) -> str:
    """Pydantic's own words, in one line: where, what, and what it got."""
    found = error.errors(include_url=False, include_context=False)
    parts = []
    for item in found[:_MAX_ERRORS]:
        where = "".join(f"[{segment!r}]" for segment in item["loc"])
        parts.append(f"{where + ': ' if where else ''}{item['msg']} (got {shown_value(item['input'])})")
    if len(found) > _MAX_ERRORS:
        parts.append(f"and {len(found) - _MAX_ERRORS} more")
    return "; ".join(parts)


def shown_value(value: Any) -> str:
    """A value in a message: itself if it is small and plain, else its type. Runs no code of a user's class."""
    if type(value) in (str, int, float, bool, type(None), bytes):
        if type(value) is int and value.bit_length() > 100:
            return "a huge int"
        text = repr(value[: _MAX_SHOWN * 2] if type(value) in (str, bytes) else value)
        return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
    return f"a {type_label(type(value))}"


def annotation_text(annotation: Any) -> str:
    """An annotation as a reader would write it."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return type_label(annotation).removeprefix("__main__.")
    return str(annotation).replace("typing.", "")

"""What the codec knows of a class: its kind, its fields, and where else its instances keep state.

Only exact kinds are stored: a dataclass, a pydantic model, an enum, a named tuple, an exception. A subclass of a
builtin such as `class Tags(list)` is none of them, for its content and its attributes cannot both be kept in general.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
import typing
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from stent.codec.walk import Kind, Refusal, quote, type_label

if TYPE_CHECKING:
    from collections.abc import Callable

# Names in the `__dict__` of an instance that are no state: what `Box[int](...)` leaves behind.
_NO_STATE: Final = frozenset({"__orig_class__"})
_HARMLESS_BASES: Final = frozenset({object, typing.Generic, typing.Protocol})


def kind_of(cls: type) -> Kind | None:
    """The kind under which instances of a class are stored, or None if they cannot be."""
    mro = cls.__mro__
    if BaseException in mro:
        return "exception"
    if Enum in mro:
        return "enum"
    if _is_model(mro):
        return "model"
    if tuple in mro:
        names: Any = getattr(cls, "_fields", None)
        is_named = type(names) is tuple and hasattr(cls, "_make") and all(type(name) is str for name in names)
        return "namedtuple" if is_named and len(set(names)) == len(names) else None
    return "dataclass" if hasattr(cls, "__dataclass_fields__") else None


def _is_model(mro: tuple[type, ...]) -> bool:
    """Whether pydantic's BaseModel is among them, which it can be only where pydantic is imported."""
    base: type | None = getattr(sys.modules.get("pydantic.main"), "BaseModel", None)
    return base in mro


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, and where its value comes from when a record does not have it."""

    name: str
    key: str  # as it stands in front of the value: '"id":'
    required: bool
    make_default: Callable[[], Any] | None
    may_be_unset: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """The state of the instances of a dataclass."""

    fields: dict[str, Field]
    has_dict: bool
    slots: tuple[str, ...]  # slots that are no fields
    cached: frozenset[str]  # names in the instance's __dict__ that are recomputed when asked for
    base: type | None  # a base written in C that holds a part of the state

    def extra_state(self, value: object) -> dict[str, Any]:
        """What an instance holds besides its fields."""
        extra: dict[str, Any] = {}
        if self.has_dict:
            state = value.__dict__
            if len(state) != len(self.fields) or state.keys() != self.fields.keys():
                skipped = self.fields.keys() | self.cached | _NO_STATE
                extra = {name: item for name, item in state.items() if name not in skipped}
        for name in self.slots:
            try:
                extra[name] = object.__getattribute__(value, name)
            except AttributeError:
                continue  # a slot without a value is as good as none
        return extra

    def restore_extra(self, made: object, extra: dict[str, Any]) -> None:
        for name, item in extra.items():
            if name in self.slots:
                object.__setattr__(made, name, item)
            elif self.has_dict and type(name) is str:
                made.__dict__[name] = item
            else:
                raise Refusal(f"records {name!r}, for which {type_label(type(made))} has no place now", kind="type")


def shape_of(cls: type) -> Shape:
    """The shape of a dataclass. For an exception all of its state is extra. Pure, so cached."""
    key: Any = cls
    return _shape(key)


@functools.lru_cache(maxsize=4096)
def _shape(cls: Any) -> Shape:
    has_fields = hasattr(cls, "__dataclass_fields__") and not issubclass(cls, BaseException)
    fields = {field.name: _dataclass_field(field) for field in dataclasses.fields(cls)} if has_fields else {}
    slots = [
        name
        for base in cls.__mro__
        for name, item in base.__dict__.items()
        if isinstance(item, types.MemberDescriptorType) and name not in fields and not _is_native(base)
    ]
    return Shape(fields, bool(cls.__dictoffset__), tuple(dict.fromkeys(slots)), cached_names(cls), _builtin_base(cls))


def cached_names(cls: type) -> frozenset[str]:
    """The names of a class's cached properties."""
    key: Any = cls
    return _cached_names(key)


@functools.lru_cache(maxsize=4096)
def _cached_names(cls: Any) -> frozenset[str]:
    return frozenset(
        name
        for base in cls.__mro__
        for name, item in base.__dict__.items()
        if isinstance(item, functools.cached_property) or _wraps_cached_property(item)
    )


def _wraps_cached_property(item: object) -> bool:
    return isinstance(getattr(item, "wrapped", None), functools.cached_property)  # pydantic's computed_field


def _is_native(cls: type) -> bool:
    """Whether a class is written in C: its slots are then no Python slots."""
    return not cls.__flags__ & (1 << 9)  # Py_TPFLAGS_HEAPTYPE


def _dataclass_field(field: dataclasses.Field[Any]) -> Field:
    key = f"{quote(field.name)}:"
    if field.default is not dataclasses.MISSING:
        default = field.default
        return Field(field.name, key, False, lambda: default)
    if field.default_factory is not dataclasses.MISSING:
        return Field(field.name, key, False, field.default_factory)
    return Field(field.name, key, field.init, None, may_be_unset=not field.init)


def _builtin_base(cls: type) -> type | None:
    """The base written in C, besides `object`, that holds a part of an instance's state; None if there is none."""
    for base in cls.__mro__:
        if base not in _HARMLESS_BASES and isinstance(base.__dict__.get("__new__"), types.BuiltinMethodType):
            return base
    return None

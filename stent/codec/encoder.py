"""The walk from a value to tagged JSON: what is not plain is written as an object with the key "$".

    {"$":"tuple","v":[...]}        {"$":"set","v":[...]}       {"$":"frozenset","v":[...]}
    {"$":"dict","v":[k,v,k,v]}     keys that are no str, or one of them is "$"; in the order of the dict
    {"$":"ordereddict","v":[k,v]}  {"$":"counter","v":[k,v]}   {"$":"defaultdict","v":[k,v],"factory":"list"}
    {"$":"deque","v":[...],"maxlen":5}
and the tags of scalars.py, temporal.py, objects.py and exceptions.py.

- Members of sets are sorted by their text, so the bytes do not depend on PYTHONHASHSEED.
- The type decides, exactly: a subclass of a builtin is refused, not flattened.
- A shared object is written each time it is met; a cycle is refused.
- A level of a value takes three Python frames at most (an exception more): 200 levels fit under the default recursion
  limit of 1,000 with room for 300 frames of the caller. So some loops below are written out rather than shared.
"""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from stent.codec.exceptions import write_exception
from stent.codec.objects import OBJECT_WRITERS
from stent.codec.plain import has_split_pair, plain_text, too_large
from stent.codec.scalars import SCALAR_WRITERS
from stent.codec.shapes import kind_of
from stent.codec.temporal import TEMPORAL_WRITERS, is_pydantic_zone, write_zone
from stent.codec.walk import MAX_DEPTH, TAG, ClassNames, Refusal, ValueWriter, key_segment, quote, type_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    _ObjectWriter = Callable[[Any, str, ValueWriter, int], str]

FACTORIES: Final[dict[str, type]] = {
    cls.__name__: cls
    for cls in (list, dict, set, frozenset, tuple, str, bytes, bytearray, int, float, complex, bool, deque, Counter)
}
_LEAF_WRITERS: Final = {**SCALAR_WRITERS, **TEMPORAL_WRITERS}
# A list or dict is first looked through in C, in case it is plain; on one path this fails so many times at most, for
# looking at each of 200 levels in turn would be quadratic.
_MAX_LOOKS: Final = 8


class Encoder:
    """One walk over one value. Not for reuse: it counts what it writes, and knows where it stands."""

    __slots__ = ("_classes", "_failed_looks", "_limit", "_on_path", "_written", "registry")

    def __init__(self, registry: ClassNames, limit: int) -> None:
        self.registry = registry
        self._limit = limit
        self._written = 0
        self._on_path: set[int] = set()
        self._classes: dict[type, tuple[_ObjectWriter, str]] = {}
        # How many lists and dicts around this place were looked through and found not to be plain.
        self._failed_looks = 0

    def text(self, value: Any, depth: int) -> str:
        """The JSON text of a value that is `depth` levels inside. Raises Refusal."""
        kind = type(value)
        leaf = _LEAF_WRITERS.get(kind)
        if leaf is not None:
            if kind in _SIZED and len(value) > self._limit:
                raise too_large(len(value), self._limit, at_least=True)
            text = leaf(value)
            self._count(len(text))
            return text
        if depth >= MAX_DEPTH:
            raise Refusal(f"is nested deeper than {MAX_DEPTH} levels", type_name=type_label(kind))
        if id(value) in self._on_path:
            raise Refusal(
                "contains itself", type_name=type_label(kind), fix="store ids instead of references to parents"
            )
        is_plain_kind = kind is list or kind is dict
        if is_plain_kind and self._failed_looks < _MAX_LOOKS:
            text_or_none = plain_text(value, self._limit, MAX_DEPTH - depth)
            if text_or_none is not None and '"$":' not in text_or_none:
                self._count(len(text_or_none))
                return text_or_none
        self._count(2)
        self._failed_looks += is_plain_kind
        self._on_path.add(id(value))
        try:
            write = _CONTAINER_WRITERS.get(kind)
            if write is not None:
                return write(self, value, depth)
            write_object, name = self._classes.get(kind) or self._object_writer(value, kind)
            return write_object(value, name, self, depth)
        finally:
            self._on_path.discard(id(value))
            self._failed_looks -= is_plain_kind

    def _count(self, size: int) -> None:
        self._written += size
        if self._written > self._limit:
            raise too_large(self._written, self._limit, at_least=True)

    def _object_writer(self, value: Any, cls: type) -> tuple[_ObjectWriter, str]:
        """What writes the instances of a user's class, and the name of the class; asked once for each class."""
        kind = kind_of(cls)
        if kind is None and is_pydantic_zone(cls):
            return _write_pydantic_zone, ""
        if kind is None:
            raise _unsupported(value, cls)
        if kind == "exception":  # asks for the name itself, as it has a form without one
            return _write_exception, ""
        name = self.registry.name_of(cls)
        if name is None:
            raise _not_allowed(cls)
        found = self._classes[cls] = (OBJECT_WRITERS[kind], name)
        return found

    def items(self, values: Iterable[Any], depth: int) -> list[str]:
        texts = []
        for index, item in enumerate(values):
            try:
                texts.append(self.text(item, depth + 1))
            except Refusal as refusal:
                raise refusal.under(f"[{index}]") from None
        return texts

    def pairs(self, value: dict[Any, Any], depth: int) -> str:
        """Keys and values in turn, of a dict of any kind."""
        texts = []
        for key, item in dict.items(value):
            try:
                texts.append(self.text(key, depth + 1))
            except Refusal as refusal:
                raise refusal.under(f"<key {key_segment(key)[1:-1]}>") from None
            try:
                texts.append(self.text(item, depth + 1))
            except Refusal as refusal:
                raise refusal.under(key_segment(key)) from None
        return ",".join(texts)

    def mapping(self, value: dict[Any, Any], depth: int) -> str:
        for key in value:
            if type(key) is not str or key == TAG or has_split_pair(key):
                return f'{{"$":"dict","v":[{self.pairs(value, depth)}]}}'
        parts = []
        for key, item in value.items():
            self._count(len(key))
            try:
                parts.append(f"{quote(key)}:{self.text(item, depth + 1)}")
            except Refusal as refusal:
                raise refusal.under(key_segment(key)) from None
        return f"{{{','.join(parts)}}}"

    def members(self, value: set[Any] | frozenset[Any], depth: int) -> str:
        texts = []
        for item in value:
            try:
                texts.append(self.text(item, depth + 1))
            except Refusal as refusal:
                raise refusal.under("<member>") from None
        return ",".join(sorted(texts))


def _write_exception(value: Any, _name: str, writer: ValueWriter, depth: int) -> str:
    return write_exception(value, writer, depth)


def _write_pydantic_zone(value: Any, _name: str, _writer: ValueWriter, _depth: int) -> str:
    return write_zone(value)


def _write_deque(encoder: Encoder, value: deque[Any], depth: int) -> str:
    maxlen = "" if value.maxlen is None else f',"maxlen":{value.maxlen}'
    return f'{{"$":"deque","v":[{",".join(encoder.items(value, depth))}]{maxlen}}}'


def _write_dict_kind(tag: str) -> Callable[[Encoder, Any, int], str]:
    def write(encoder: Encoder, value: dict[Any, Any], depth: int) -> str:
        if getattr(value, "__dict__", None):
            raise Refusal("has attributes of its own", type_name=type_label(type(value)), fix="use a dataclass")
        return f'{{"$":"{tag}","v":[{encoder.pairs(value, depth)}]}}'

    return write


def _write_defaultdict(encoder: Encoder, value: defaultdict[Any, Any], depth: int) -> str:
    factory = value.default_factory
    name = getattr(factory, "__name__", "")
    if factory is None:
        shown = ""
    elif type(name) is str and FACTORIES.get(name) is factory:
        shown = f',"factory":"{name}"'
    else:
        raise Refusal(
            "is a defaultdict whose factory is no builtin type",
            type_name="collections.defaultdict",
            fix="return dict(value), or use a factory such as list or int",
        )
    return f'{{"$":"defaultdict","v":[{encoder.pairs(value, depth)}]{shown}}}'


_SIZED: Final = frozenset({str, bytes, bytearray})
_CONTAINER_WRITERS: Final[dict[type, Callable[[Encoder, Any, int], str]]] = {
    list: lambda encoder, value, depth: f"[{','.join(encoder.items(value, depth))}]",
    dict: Encoder.mapping,
    tuple: lambda encoder, value, depth: f'{{"$":"tuple","v":[{",".join(encoder.items(value, depth))}]}}',
    set: lambda encoder, value, depth: f'{{"$":"set","v":[{encoder.members(value, depth)}]}}',
    frozenset: lambda encoder, value, depth: f'{{"$":"frozenset","v":[{encoder.members(value, depth)}]}}',
    deque: _write_deque,
    OrderedDict: _write_dict_kind("ordereddict"),
    Counter: _write_dict_kind("counter"),
    defaultdict: _write_defaultdict,
}

_UNSUPPORTED: Final[tuple[tuple[type | tuple[type, ...], str, str], ...]] = (
    (type, "is a class", "pass its name, and look the class up where it is needed"),
    (
        (types.FunctionType, types.BuiltinFunctionType, types.MethodType),
        "is a function",
        "call it where it is needed; durable functions are called, not passed",
    ),
    (types.CoroutineType, "is a coroutine that nobody awaited", "await it first"),
    ((types.GeneratorType, types.AsyncGeneratorType), "is a generator, which can be read once only", "use list(...)"),
    (types.ModuleType, "is a module", "import it where it is needed"),
    (Iterator, "is an iterator, which can be read once only", "use list(...)"),
)


def _unsupported(value: Any, cls: type) -> Refusal:
    name = type_label(cls)
    for kinds, problem, fix in _UNSUPPORTED:
        if isinstance(value, kinds):
            return Refusal(problem, type_name=name, fix=fix)
    for base in (bool, int, float, str, bytes, bytearray, list, dict, set, frozenset, tuple, *_LEAF_WRITERS):
        if issubclass(cls, base) and base is not object:
            return Refusal(
                f"is of class {name}, a subclass of {type_label(base)} that would not come back as itself",
                type_name=name,
                fix=f"pass {type_label(base)}(value), or a dataclass that holds it",
            )
    return Refusal(
        f"is of class {name}, which cannot be stored",
        type_name=name,
        fix="pass plain data, or make the class a dataclass or a pydantic model",
    )


def _not_allowed(cls: type) -> Refusal:
    name = type_label(cls)
    where = " (it is defined inside a function)" if "<locals>" in cls.__qualname__ else ""
    return Refusal(
        f"is of class {name}{where}, which no reader could find again",
        type_name=name,
        fix=f"annotate the durable function with {cls.__name__}, or call Stent.register_type({cls.__name__})",
    )

"""The walk from tagged JSON to a value. The bytes may be anybody's: every reader checks, nothing is guessed.

A class is asked of the registry, by name and kind; there is no other way from bytes to code. Whatever goes wrong
below becomes a Refusal with the path, for a reader of one tag may raise anything on a malformed object. Frames are
counted here as in encoder.py.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

from stent.codec.encoder import FACTORIES
from stent.codec.exceptions import read_exception
from stent.codec.objects import OBJECT_READERS
from stent.codec.scalars import SCALAR_READERS, text_of
from stent.codec.temporal import TEMPORAL_READERS
from stent.codec.walk import MAX_DEPTH, READ_DEPTH, TAG, ClassNames, Kind, Refusal, key_segment
from stent.errors import UnknownTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAF_READERS: Final = {**SCALAR_READERS, **TEMPORAL_READERS}
_NODES: Final = frozenset({list, dict})
_NO_TAG: Final = object()


class Decoder:
    """One walk over one document, which it turns into the value in place."""

    __slots__ = ("_classes", "_registry")

    def __init__(self, registry: ClassNames) -> None:
        self._registry = registry
        self._classes: dict[tuple[str, Kind], type] = {}

    def class_of(self, name: str, kind: Kind) -> type:
        """The class of a name, asked of the registry once."""
        found = self._classes.get((name, kind))
        if found is None:
            found = self._classes[name, kind] = self._registry.class_of(name, kind)
        return found

    def value(self, node: Any, depth: int) -> Any:
        """The value of a node that is `depth` levels inside. Raises Refusal."""
        kind = type(node)
        if kind not in _NODES:
            return node
        tag: Any = node.get(TAG, _NO_TAG) if kind is dict else _NO_TAG
        if tag is _NO_TAG:
            if depth >= READ_DEPTH:
                raise _too_deep()
            return self.items(node, depth) if kind is list else self._mapping(node, depth)
        try:
            leaf = _LEAF_READERS.get(tag)
            if leaf is not None:
                return leaf(node)
            if depth >= READ_DEPTH:
                raise _too_deep()
            container = _CONTAINER_READERS.get(tag)
            if container is not None:
                return container(self, node, depth)
            read = _OBJECT_READERS.get(tag)
            if read is not None:
                return read(node, self, depth)
        except (Refusal, RecursionError):
            raise
        except UnknownTypeError as error:
            name = str(error.facts.get("type_name", ""))
            raise Refusal(error.message, type_name=name, fix=error.fix, kind="type") from error
        except Exception as error:  # border: constructors and default factories raise what they like
            raise Refusal(
                f"is a malformed {repr(tag)[:40]}: {type(error).__name__}: {str(error)[:200]}", kind="corrupt"
            ) from error
        raise Refusal(f"has the unknown tag {str(tag)[:40]!r}", kind="corrupt")

    def items(self, nodes: Any, depth: int) -> list[Any]:
        if type(nodes) is not list:
            raise Refusal("has no list where one belongs", kind="corrupt")
        if _NODES.isdisjoint(map(type, nodes)):
            return nodes
        for index, node in enumerate(nodes):
            if type(node) in _NODES:
                try:
                    nodes[index] = self.value(node, depth + 1)
                except Refusal as refusal:
                    raise refusal.under(f"[{index}]") from None
        return nodes

    def _mapping(self, nodes: dict[str, Any], depth: int) -> dict[str, Any]:
        if _NODES.isdisjoint(map(type, nodes.values())):
            return nodes
        for key, node in nodes.items():
            if type(node) in _NODES:
                try:
                    nodes[key] = self.value(node, depth + 1)  # same keys: allowed while iterating
                except Refusal as refusal:
                    raise refusal.under(key_segment(key)) from None
        return nodes

    def pairs(self, nodes: Any, depth: int) -> list[tuple[Any, Any]]:
        if type(nodes) is not list or len(nodes) % 2:
            raise Refusal("has no pairs where they belong", kind="corrupt")
        found = []
        for place in range(0, len(nodes), 2):
            key = self.value(nodes[place], depth + 1)
            try:
                found.append((key, self.value(nodes[place + 1], depth + 1)))
            except Refusal as refusal:
                raise refusal.under(key_segment(key)) from None
        return found


def _too_deep() -> Refusal:
    return Refusal(f"is nested deeper than {MAX_DEPTH} levels", kind="corrupt")


def _same_length(found: Any, nodes: list[Any]) -> Any:
    """Two members or keys that are equal: never written by us."""
    if len(found) != len(nodes):
        raise Refusal("has the same member or key twice", kind="corrupt")
    return found


def _read_set(make: Callable[[list[Any]], Any]) -> Callable[[Decoder, dict[str, Any], int], Any]:
    def read(decoder: Decoder, node: dict[str, Any], depth: int) -> Any:
        members = decoder.items(node["v"], depth)
        return _same_length(make(members), members)

    return read


def _read_dict_kind(make: Callable[[], dict[Any, Any]]) -> Callable[[Decoder, dict[str, Any], int], Any]:
    def read(decoder: Decoder, node: dict[str, Any], depth: int) -> Any:
        pairs = decoder.pairs(node["v"], depth)
        made = make()
        for key, item in pairs:
            made[key] = item
        return _same_length(made, pairs)

    return read


def _read_defaultdict(decoder: Decoder, node: dict[str, Any], depth: int) -> Any:
    factory = FACTORIES[text_of(node, "factory")] if "factory" in node else None
    pairs = decoder.pairs(node["v"], depth)
    return _same_length(defaultdict(factory, pairs), pairs)


def _read_deque(decoder: Decoder, node: dict[str, Any], depth: int) -> Any:
    items = decoder.items(node["v"], depth)
    found = deque(items, node.get("maxlen"))
    if len(found) != len(items):
        raise Refusal("has more items than its maxlen", kind="corrupt")
    return found


_CONTAINER_READERS: Final[dict[str, Callable[[Decoder, dict[str, Any], int], Any]]] = {
    "tuple": lambda decoder, node, depth: tuple(decoder.items(node["v"], depth)),
    "set": _read_set(set),
    "frozenset": _read_set(frozenset),
    "dict": _read_dict_kind(dict),
    "ordereddict": _read_dict_kind(OrderedDict),
    "counter": _read_dict_kind(Counter),
    "defaultdict": _read_defaultdict,
    "deque": _read_deque,
}
_OBJECT_READERS: Final = {**OBJECT_READERS, "exception": read_exception}

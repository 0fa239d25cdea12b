"""Many payloads as one, and back, without decoding: the inputs and the results of a map.

`decode(join(payloads))` is the list of their values, and `split(join(payloads))` gives payloads equal to those that
went in. Both work on JSON and need no class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stent.codec.encoder import Encoder
from stent.codec.payload import PLAIN_JSON, TAGGED_JSON, Payload, unpack
from stent.codec.plain import json_text, scan
from stent.codec.walk import TAG, Kind, Refusal
from stent.errors import CorruptPayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NO_LIMIT: Final = 1 << 62


class _NoClasses:
    """Plain values name no classes."""

    def name_of(self, cls: type, /) -> str | None:
        raise AssertionError(f"{cls.__name__} in a plain value")

    def class_of(self, name: str, kind: Kind, /) -> type:
        raise AssertionError(f"{kind} {name} in a plain value")


def join(payloads: Iterable[Payload]) -> Payload:
    """One payload with the list of the values of all. Raises CorruptPayloadError."""
    parts = [unpack(payload) for payload in payloads]
    if all(codec == PLAIN_JSON for codec, _ in parts):
        return Payload(PLAIN_JSON, b"[%b]" % b",".join([data for _, data in parts]))
    return Payload(TAGGED_JSON, b"[%b]" % b",".join([_as_tagged(part) for part in parts]))


def split(payload: Payload, indexes: Sequence[int] | None = None) -> list[Payload]:
    """The payloads of the items of a list, or of some of them. Raises CorruptPayloadError."""
    codec, data = unpack(payload)
    try:
        nodes = scan(data)
    except Refusal as refusal:
        raise CorruptPayloadError(f"A batch {refusal.problem}.") from None
    if type(nodes) is not list:
        raise CorruptPayloadError("A batch is no list.")
    try:
        chosen = nodes if indexes is None else [nodes[index] for index in indexes]
    except IndexError:
        raise CorruptPayloadError(f"A batch has {len(nodes)} items only.") from None
    if codec == PLAIN_JSON:
        return [Payload(PLAIN_JSON, json_text(node).encode("ascii")) for node in chosen]
    return [_from_tagged(node) for node in chosen]


def _as_tagged(part: Payload) -> bytes:
    """A plain document inside a tagged one: the same bytes, unless a dict in it has the key of our tags."""
    if part.codec == TAGGED_JSON or b'"$":' not in part.data:
        return part.data
    try:
        return Encoder(_NoClasses(), _NO_LIMIT).text(scan(part.data), 0).encode("ascii")
    except Refusal as refusal:
        raise CorruptPayloadError(f"A payload {refusal.problem}.") from None


def _from_tagged(node: Any) -> Payload:
    try:
        return Payload(PLAIN_JSON, json_text(_plain(node)).encode("ascii"))
    except Refusal:
        return Payload(TAGGED_JSON, json_text(node).encode("ascii"))
    except RecursionError:
        raise CorruptPayloadError("A batch is nested too deep to be read.") from None


def _plain(node: Any) -> Any:
    """The value of a node that is plain by itself: that has no tags but those of dicts with the key of our tags."""
    if type(node) is list:
        return [_plain(item) for item in node]
    if type(node) is not dict:
        return node
    if TAG not in node:
        return {key: _plain(item) for key, item in node.items()}
    pairs = node.get("v")
    if node[TAG] != "dict" or type(pairs) is not list or not all(type(key) is str for key in pairs[::2]):
        raise Refusal("has tags")
    made = dict(zip(pairs[::2], map(_plain, pairs[1::2]), strict=False))
    if 2 * len(made) != len(pairs):
        raise Refusal("has a key twice or without a value: no dict that we wrote")
    return made

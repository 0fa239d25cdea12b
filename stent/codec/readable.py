"""`to_plain`: a payload as JSON that people and `jq` can read; not meant to be read back.

Numbers, dates and the like become strings, sets and tuples lists, instances objects with their fields. What JSON has
no name for keeps its text form. The result is made of dict, list, str, int, finite float, bool and None only.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import TYPE_CHECKING, Any, Final

from stent.codec.payload import Payload
from stent.codec.view import describe_node, document_of, moment_text
from stent.codec.walk import TAG
from stent.errors import CorruptPayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT_LIMIT: Final = 200


def to_plain(payload: Payload) -> Any:
    """Plain data for `json.dumps`. Raises CorruptPayloadError for bytes that are no payload."""
    document, is_tagged = document_of(payload)
    if not is_tagged:
        return document
    try:
        return _plain(document)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CorruptPayloadError(f"A stored value is malformed: {type(error).__name__}: {error}.") from error


def _plain(node: Any) -> Any:
    if type(node) is list:
        return [_plain(item) for item in node]
    if type(node) is not dict:
        return node
    if TAG not in node:
        return {key: _plain(item) for key, item in node.items()}
    show = _PLAIN.get(node[TAG])
    return show(node) if show is not None else describe_node(node, True, _TEXT_LIMIT)


def _items(node: dict[str, Any]) -> list[Any]:
    return [_plain(item) for item in node["v"]]


def _pairs(node: dict[str, Any]) -> Any:
    """An object if the keys have different texts, else a list of pairs."""
    keys, items = node["v"][::2], [_plain(item) for item in node["v"][1::2]]
    texts = [key if type(key) is str else describe_node(key, True, _TEXT_LIMIT) for key in keys]
    if len(set(texts)) == len(texts):
        return dict(zip(texts, items, strict=True))
    return [list(pair) for pair in zip(texts, items, strict=True)]


def _object(node: dict[str, Any]) -> dict[str, Any]:
    fields = {name: _plain(item) for name, item in node["v"].items()}
    extra = _plain(node.get("extra") or {})
    return {**fields, **extra} if type(extra) is dict else fields


def _enum(node: dict[str, Any]) -> Any:
    return _plain(node["n"]) if "n" in node else node["v"]


def _exception(node: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": node["of"], "message": _plain(node["text"])}
    for key in ("notes", "cause", "traceback"):
        if key in node:
            shown[key] = _plain(node[key])
    if "group" in node:
        shown["exceptions"] = [_plain(child) for child in node["group"][1:]]
    return shown


def _bytes(node: dict[str, Any]) -> str:
    try:
        return a2b_base64(node["v"]).decode("utf-8")
    except UnicodeDecodeError:
        return f"base64:{node['v']}"


def _timedelta(node: dict[str, Any]) -> float:
    days, seconds, microseconds = node["v"]
    return float(days * 86_400 + seconds + microseconds / 1_000_000)


_PLAIN: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    **dict.fromkeys(("tuple", "set", "frozenset", "deque"), _items),
    **dict.fromkeys(("dict", "ordereddict", "counter", "defaultdict"), _pairs),
    **dict.fromkeys(("dataclass", "model", "namedtuple"), _object),
    **dict.fromkeys(("decimal", "uuid", "ip", "date", "float"), lambda node: str(node["v"])),
    **dict.fromkeys(("bytes", "bytearray"), _bytes),
    **dict.fromkeys(("datetime", "time"), moment_text),
    "path": lambda node: _plain(node["v"]),
    "str": lambda node: a2b_base64(node["v"]).decode("utf-8", "surrogatepass"),
    "timedelta": _timedelta,
    "enum": _enum,
    "exception": _exception,
}

"""Payloads for people: readable text and readable JSON, without needing any class.

Reports, the command line and the debugger look at payloads of programs that they do not have, and at bytes that may
be anybody's. So nothing here asks a registry, raises for what it cannot read, or lets a control character through.
"""

from __future__ import annotations

import json
from binascii import a2b_base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stent.codec.payload import PLAIN_JSON, Payload, unpack
from stent.codec.plain import scan
from stent.codec.walk import TAG, Refusal, key_segment
from stent.errors import CorruptPayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNREADABLE: Final = "<unreadable>"
_KEY_LIMIT: Final = 60
# Longer than any text that is shown; so that 2 MiB are not turned around to show 80 characters.
_LEAF_CHARS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Part:
    """One thing inside another: its label in a text, its segment in a path, its node; `key` is for comparing."""

    label: str
    segment: str
    node: Any
    key: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A node that has others inside. Two branches are of one kind if `start` and `end` are equal."""

    start: str
    end: str
    parts: list[Part]
    is_ordered: bool = True


def document_of(payload: Payload) -> tuple[Any, bool]:
    """The JSON document of a payload, and whether it may hold tags. Raises CorruptPayloadError."""
    codec, data = unpack(payload)
    try:
        return scan(data), codec != PLAIN_JSON
    except Refusal as refusal:
        raise CorruptPayloadError(f"A stored value {refusal.problem}.") from None


def describe(payload: Payload, limit: int = 80) -> str:
    """A Python-like text of at most `limit` characters: `{'id': 'x'}`, `Order(id=1, ...)`. Never raises."""
    try:
        document, is_tagged = document_of(payload)
    except CorruptPayloadError as error:
        return clipped(f"<unreadable payload: {shown_name(error.message)}>", limit)
    return describe_node(document, is_tagged, limit)


def describe_arguments(payload: Payload, limit: int = 80) -> str:
    """The same for the arguments of a call: `'x', retries=3`. Never raises."""
    try:
        (args, kwargs), is_tagged = arguments_of(payload)
    except CorruptPayloadError as error:
        return clipped(f"<unreadable payload: {shown_name(error.message)}>", limit)
    parts = [describe_node(node, is_tagged, limit) for node in args[:limit]]
    parts += [f"{shown_name(name)}={describe_node(node, is_tagged, limit)}" for name, node in kwargs.items()]
    return clipped(", ".join(parts), limit)


def arguments_of(payload: Payload) -> tuple[tuple[list[Any], dict[str, Any]], bool]:
    """The nodes of positional and keyword arguments, and whether they may hold tags. Raises CorruptPayloadError."""
    document, is_tagged = document_of(payload)
    match document:
        case list(args):
            return (args, {}), is_tagged
        case {"args": list(args), "kwargs": dict(kwargs)}:
            return (args, kwargs), is_tagged
        case _:
            raise CorruptPayloadError("A stored value is no list of arguments.")


def describe_node(node: Any, is_tagged: bool, limit: int = 80) -> str:
    """`describe` for a node of a document."""
    text = ""
    try:
        for piece in _pieces(node, is_tagged):
            text += piece
            if len(text) > limit:
                break
    except RecursionError:
        text += "..."
    return clipped(text, limit)


def clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(0, limit - 3)] + "..."


def shown_name(name: object) -> str:
    """A name from stored bytes, without control characters and of bounded length."""
    text = str(name)[:200]
    return text if text.isprintable() else repr(text)[1:-1]


def _short_name(node: dict[str, Any]) -> str:
    return shown_name(str(node.get("of", "?")).rpartition(":")[2].rpartition("<locals>.")[2])


def _pieces(node: Any, is_tagged: bool) -> Iterator[str]:
    opened = open_node(node, is_tagged)
    if isinstance(opened, str):
        yield opened
        return
    yield opened.start
    for index, part in enumerate(opened.parts):
        yield f", {part.label}" if index else part.label
        yield from _pieces(part.node, is_tagged)
    yield ",)" if opened.start == "(" and len(opened.parts) == 1 else opened.end


def open_node(node: Any, is_tagged: bool) -> str | Branch:
    """The text of a leaf, or what is inside of a branch."""
    if type(node) is str:
        return repr(node[:_LEAF_CHARS])
    if type(node) is list:
        return Branch("[", "]", _items(node))
    if type(node) is not dict:
        return repr(node)
    if not is_tagged or TAG not in node:
        parts = [Part(f"{_key_text(key)}: ", key_segment(key), item, key) for key, item in node.items()]
        return Branch("{", "}", parts, False)
    show = _SHOWN.get(node[TAG]) if type(node[TAG]) is str else None
    try:
        return show(node) if show is not None else UNREADABLE
    except Exception:  # border: the object is malformed: any check above may have failed
        return UNREADABLE


def _key_text(key: str) -> str:
    return clipped(repr(key[: _KEY_LIMIT * 2]), _KEY_LIMIT)


def _items(nodes: list[Any]) -> list[Part]:
    return [Part("", f"[{index}]", node) for index, node in enumerate(nodes)]


def _pairs(nodes: list[Any]) -> list[Part]:
    parts = []
    for key, node in zip(nodes[::2], nodes[1::2], strict=True):
        text = describe_node(key, True, _KEY_LIMIT)
        parts.append(Part(f"{text}: ", f"[{text}]", node, json.dumps(key)))
    return parts


def _fields(nodes: dict[str, Any]) -> list[Part]:
    return [Part(f"{shown_name(name)}=", f".{shown_name(name)}", node, name) for name, node in nodes.items()]


def _list_like(start: str, end: str) -> Callable[[dict[str, Any]], Branch]:
    return lambda node: Branch(start, end, _items(node["v"]))


def _dict_like(start: str, end: str) -> Callable[[dict[str, Any]], Branch]:
    return lambda node: Branch(start, end, _pairs(node["v"]), False)


def _object(node: dict[str, Any]) -> Branch:
    fields = {**node["v"]}
    for more in ("extra", "private", "more"):
        state = node.get(more) or {}
        if TAG in state:  # extras with names that need a tag
            state = dict(zip(map(str, state["v"][::2]), state["v"][1::2], strict=True))
        fields.update(state)
    return Branch(f"{_short_name(node)}(", ")", _fields(fields), False)


def _enum(node: dict[str, Any]) -> str:
    if "n" in node:
        return f"{_short_name(node)}({open_node(node['n'], True)})"
    return f"{_short_name(node)}.{shown_name(node['v'])}"


def _exception(node: dict[str, Any]) -> str | Branch:
    if "group" in node:
        return Branch(f"{_short_name(node)}(", ")", _items(node["group"]))
    if "args" in node:
        parts = [Part("", f".args[{index}]", item) for index, item in enumerate(node["args"])]
        return Branch(f"{_short_name(node)}(", ")", parts)
    return f"{_short_name(node)}({open_node(node['text'], True)})"


def _bytes(node: dict[str, Any]) -> str:
    text = repr(a2b_base64(node["v"][: _LEAF_CHARS // 4 * 4]))
    return text if node[TAG] == "bytes" else f"bytearray({text})"


def _zone(parts: list[Any]) -> str:
    if parts[0] == "utc":
        return "UTC"
    if parts[0] == "zone":
        return shown_name(parts[1])
    seconds = parts[1] if parts[0] == "pydantic" else parts[1] / 1_000_000
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) / 60
    return f"{sign}{int(minutes // 60):02d}:{minutes % 60:02g}"


def moment_text(node: dict[str, Any]) -> str:
    """ISO 8601, with the name of the zone if it has one."""
    wall = shown_name(node["v"])
    if "zone" not in node:
        return wall
    zone = _zone(node["zone"])
    return f"{wall}Z" if zone == "UTC" else f"{wall}{zone}" if zone[0] in "+-" else f"{wall} {zone}"


def _named(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda node: f"{name}({shown_name(node['v'])!r})"


def _joined(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda node: f"{name}({', '.join(_number(item) for item in node['v'])})"


def _number(node: Any) -> str:
    return str(open_node(node, True)) if type(node) is not str else shown_name(node)


def _timedelta(node: dict[str, Any]) -> str:
    days, seconds, microseconds = node["v"]
    return f"timedelta(days={days:d}, seconds={seconds:d}, microseconds={microseconds:d})"


_SHOWN: Final[dict[str, Callable[[dict[str, Any]], str | Branch]]] = {
    "tuple": _list_like("(", ")"),
    "set": lambda node: _list_like("{", "}")(node) if node["v"] else "set()",
    "frozenset": _list_like("frozenset({", "})"),
    "deque": lambda node: _list_like("deque([", f"], maxlen={node['maxlen']:d})" if "maxlen" in node else "])")(node),
    "dict": _dict_like("{", "}"),
    "ordereddict": _dict_like("OrderedDict({", "})"),
    "counter": _dict_like("Counter({", "})"),
    "defaultdict": lambda node: _dict_like(f"defaultdict({shown_name(node.get('factory'))}, {{", "})")(node),
    "dataclass": _object,
    "model": _object,
    "namedtuple": _object,
    "enum": _enum,
    "exception": _exception,
    "bytes": _bytes,
    "bytearray": _bytes,
    "str": lambda node: repr(a2b_base64(node["v"]).decode("utf-8", "surrogatepass")[:_LEAF_CHARS]),
    "int": lambda node: shown_name(f"{'-' if node['v'][0] == '-' else ''}0x{node['v'].lstrip('-')}"),
    "float": lambda node: shown_name(node["v"]),
    "complex": _joined("complex"),
    "fraction": _joined("Fraction"),
    "range": _joined("range"),
    "decimal": _named("Decimal"),
    "uuid": _named("UUID"),
    "date": _named("date"),
    "datetime": lambda node: f"datetime({moment_text(node)!r})",
    "time": lambda node: f"time({moment_text(node)!r})",
    "timedelta": _timedelta,
    "timezone": lambda node: f"timezone({_zone(node['v'])!r})",
    "path": lambda node: f"{_short_name(node)}({describe_node(node['v'], True, _LEAF_CHARS)})",
    "ip": lambda node: f"{_short_name(node)}({shown_name(node['v'])!r})",
    "ellipsis": lambda node: "...",
}

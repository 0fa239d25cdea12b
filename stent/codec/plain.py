"""The fast path: plain JSON values to bytes and back, almost all of it in C.

Plain is: exact str, int, float, bool, None, list, and dict with exact str keys, at every depth. `json` brings each of
these back with the same type and value, except:
- NaN and the infinities: `allow_nan=False` refuses them;
- ints of more than 640 digits: the reading process may refuse them (640 is the lowest limit that CPython can be given),
  so they are found here, whatever the limit of the writing process is;
- a high and a low surrogate as two characters of a str: the escapes of the two are read as one character.
Tuples, subclasses and keys that are not str are found by `count_nodes`, by exact type. So no decode is needed to prove
the round trip. (Measured on 3.11, 2025: `marshal` as the fingerprint, then decode and compare, takes 2.0 us for
`{"id": "x", "processed": True}`; this takes 1.3 us, and less on large values too. `json.dumps` alone takes 3.0 us.)

What is encoded here never needs a tag, what is not always does: so the same value has the same bytes on either path.
"""

from __future__ import annotations

import json
import json.scanner
import re
from collections.abc import Callable
from json import encoder as _json_encoder
from typing import Any, Final

from stent.codec.walk import MAX_DEPTH, READ_DEPTH, Refusal

LEAVES: Final = frozenset({str, int, float, bool, type(None)})
_CONTAINERS: Final = frozenset({list, dict})

# sys.int_info.str_digits_check_threshold: no process can set its limit for int <-> str below this.
MAX_INT_DIGITS: Final = 640
INT_BOUND: Final = 10**MAX_INT_DIGITS
MAX_SHORT_CHARS: Final = MAX_INT_DIGITS
"""A text of no more is within every limit, and holds no huge int."""
# The escape of every surrogate starts so, that of half an astral character too, which is the common case.
SURROGATE: Final = "\\ud"

# A run of more than 640 digits shows at least 40 digits in a row in every 16th character.
_SAMPLE_STRIDE: Final = 16
_many_digits: Final = re.compile(f"[0-9]{{{MAX_INT_DIGITS // _SAMPLE_STRIDE}}}").search
_split_pair: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]").search


def _make_encoder(quote: Callable[[str], str]) -> Callable[[Any, int], Any]:
    """The C encoder with our options, made once. It keeps no state (no cycle marks), so threads may share it."""
    make = getattr(_json_encoder, "c_make_encoder", None)  # not in every Python
    if make is not None:
        try:
            made: Callable[[Any, int], Any] = make(None, _never_called, quote, None, ":", ",", False, False, False)
            if "".join(made({"a": [1, None, 1.5]}, 0)) == '{"a":[1,null,1.5]}':
                return made
        except TypeError:
            pass  # another signature in this Python: the public door below gives the same text, slower
    is_ascii = quote is _json_encoder.encode_basestring_ascii
    public = json.JSONEncoder(ensure_ascii=is_ascii, check_circular=False, allow_nan=False, separators=(",", ":"))
    return lambda value, _indent: (public.encode(value),)


def _never_called(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} passed the check for plain values")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_chunks: Final = _make_encoder(_json_encoder.encode_basestring_ascii)
_raw_chunks: Final = _make_encoder(_json_encoder.encode_basestring)
# `json.loads` without its checks of options and its search for white space, which we never write.
_make_scanner: Final[Callable[[json.JSONDecoder], Callable[[str, int], tuple[Any, int]]]] = vars(json.scanner)[
    "make_scanner"
]
_scan: Final = _make_scanner(json.JSONDecoder(parse_constant=_refuse_constant))


def plain_text(value: Any, limit: int, depth: int) -> str | None:
    """The JSON text of a plain value that nests at most `depth` levels; None for any other value."""
    kind = type(value)
    if kind is list or kind is dict:
        nodes = count_nodes(value, depth - 1, limit)
        if not nodes:
            return None
        if nodes > limit:
            raise too_large(nodes, limit, at_least=True)
    elif kind is str:
        if len(value) > limit:
            raise too_large(len(value), limit, at_least=True)
    elif kind not in LEAVES:
        return None
    try:
        text = "".join(_chunks(value, 0))
    except ValueError:  # not finite, or an int of more digits than this process prints
        return None
    if len(text) > limit:
        raise too_large(len(text), limit)
    if SURROGATE in text and _has_surrogates(value) and _scan(text, 0)[0] != value:
        return None
    if len(text) > MAX_INT_DIGITS and _many_digits(text[::_SAMPLE_STRIDE]) and _has_huge_int(value):
        return None
    return text


def _finite(value: float) -> str:
    if value - value != 0.0:
        raise ValueError("not finite")
    return repr(value)


LEAF_TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    str: _json_encoder.encode_basestring_ascii,
    int: int.__repr__,
    float: _finite,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}
"""What writes one of LEAVES as `plain_text` does, if the text is short and has no SURROGATE. ValueError: not plain."""


def _has_surrogates(value: Any) -> bool:
    """Whether a str anywhere inside holds a surrogate: then, and only then, UTF-8 refuses its text."""
    try:
        "".join(_raw_chunks(value, 0)).encode()
    except UnicodeEncodeError:
        return True
    return False


def json_text(document: Any) -> str:
    """The JSON text of a document that `scan` gave: the very text that it was scanned from, if we wrote that."""
    return "".join(_chunks(document, 0))


def count_nodes(value: Any, depth: int, budget: int) -> int:
    """How many bytes the JSON of a list or dict takes at least; 0 if it is not plain or nested deeper than `depth`.

    Stops soon after the budget is passed: `b = [a, a]; c = [b, b]` and so on doubles with each line.
    """
    total = 1 + len(value)
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                return 0
            kind = type(item)
            if kind is str:
                total += len(item)
            elif kind not in LEAVES:
                if depth <= 0 or kind not in _CONTAINERS:
                    return 0
                nodes = count_nodes(item, depth - 1, budget)
                if not nodes:
                    return 0
                total += nodes
                if total > budget:
                    break
    else:
        for item in value:
            kind = type(item)
            if kind is str:
                total += len(item)
            elif kind not in LEAVES:
                if depth <= 0 or kind not in _CONTAINERS:
                    return 0
                nodes = count_nodes(item, depth - 1, budget)
                if not nodes:
                    return 0
                total += nodes
                if total > budget:
                    break
    return total


def too_large(size: int, limit: int, *, at_least: bool = False) -> Refusal:
    """The refusal for a value over the size limit."""
    refusal = Refusal(
        f"takes {'at least ' if at_least else ''}{size} bytes; the limit is {limit}",
        fix="store the data elsewhere (a file, an object store) and pass a reference to it",
        kind="size",
    )
    refusal.size_bytes = size
    return refusal


def scan(data: bytes) -> Any:
    """The JSON document in `data`. Refuses anything but one document in ASCII, nested no deeper than we write it."""
    try:
        text = str(data, "ascii")
        document, end = _scan(text, 0)
    except StopIteration:
        raise Refusal("is no JSON", kind="corrupt") from None
    except RecursionError:
        raise Refusal("is nested too deep to be read", kind="corrupt") from None
    except (ValueError, TypeError) as error:
        raise Refusal(f"is no JSON: {error}", kind="corrupt") from error
    if end != len(text):
        raise Refusal(f"has {len(text) - end} characters after its end", kind="corrupt")
    return document


def decode_plain(data: bytes) -> Any:
    """The value of a PLAIN_JSON payload."""
    document = scan(data)
    if len(data) > READ_DEPTH and data.count(b"[") + data.count(b"{") > READ_DEPTH and is_deeper(document, READ_DEPTH):
        raise Refusal(f"is nested deeper than {MAX_DEPTH} levels", kind="corrupt")
    return document


def is_deeper(document: Any, depth: int) -> bool:
    """Whether a JSON document nests more than `depth` lists and objects. Level by level, without recursion."""
    level = [document] if type(document) in _CONTAINERS else []
    while level:
        if depth == 0:
            return True
        depth -= 1
        level = [
            item
            for node in level
            for item in (node.values() if type(node) is dict else node)
            if type(item) in _CONTAINERS
        ]
    return False


def has_split_pair(text: str) -> bool:
    """Whether a str holds a surrogate pair as two characters, which JSON would join."""
    return not text.isascii() and _split_pair(text) is not None


def _has_huge_int(value: Any) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is int:
            if not -INT_BOUND < item < INT_BOUND:
                return True
        elif kind is list:
            stack.extend(item)
        elif kind is dict:
            stack.extend(item.values())
    return False

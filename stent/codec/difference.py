"""Where two payloads differ first: for the report of a call that no longer fits its history.

Payloads are the same if their bytes are; this only explains. It compares as exactly as the bytes do (1 is not True,
-0.0 is not 0.0, and the order of keys counts), and needs no class.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from stent.codec.payload import Payload, unpack
from stent.codec.view import Branch, Part, arguments_of, clipped, describe_node, document_of, open_node

ABSENT: Final = "(absent)"
_LIMIT: Final = 80
_CONTEXT_CHARS: Final = 24


class Difference(NamedTuple):
    """A place, and what is there on either side, as short text without control characters."""

    path: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.path}: {self.left} != {self.right}"


def first_difference(left: Payload, right: Payload, *, where: str = "result") -> Difference | None:
    """The first place where two payloads differ; None if they are the same. Raises CorruptPayloadError."""
    if unpack(left) == unpack(right):
        return None
    (a, a_tagged), (b, b_tagged) = document_of(left), document_of(right)
    try:
        found = _compare(a, a_tagged, b, b_tagged, where)
    except RecursionError:  # deeper than anything that we write
        found = None
    return found or _whole(a, a_tagged, b, b_tagged, where)


def first_argument_difference(left: Payload, right: Payload) -> Difference | None:
    """The same for the arguments of a call: `args[0]['sku']: 'A1' != 'B2'`, `kwargs['retries']: 3 != (absent)`."""
    if unpack(left) == unpack(right):
        return None
    ((args_a, kwargs_a), a_tagged), ((args_b, kwargs_b), b_tagged) = arguments_of(left), arguments_of(right)
    try:
        found = _compare(args_a, a_tagged, args_b, b_tagged, "args") or _compare(
            kwargs_a, a_tagged, kwargs_b, b_tagged, "kwargs"
        )
    except RecursionError:
        found = None
    return found or _whole(args_a, a_tagged, args_b, b_tagged, "args")


def _whole(a: Any, a_tagged: bool, b: Any, b_tagged: bool, path: str) -> Difference:
    """For what the text of a value does not show, such as the traceback of an exception."""
    return Difference(path, describe_node(a, a_tagged, _LIMIT), f"{describe_node(b, b_tagged, _LIMIT)} (in a detail)")


def _compare(a: Any, a_tagged: bool, b: Any, b_tagged: bool, path: str) -> Difference | None:
    left, right = open_node(a, a_tagged), open_node(b, b_tagged)
    if isinstance(left, str) or isinstance(right, str):
        is_same = left == right and (a_tagged == b_tagged or type(a) is not dict) and json.dumps(a) == json.dumps(b)
        return None if is_same else _leaves(a, a_tagged, b, b_tagged, path)
    if (left.start, left.end) != (right.start, right.end):
        return _leaves(a, a_tagged, b, b_tagged, path)
    return _branches(left, a_tagged, right, b_tagged, path)


def _branches(left: Branch, a_tagged: bool, right: Branch, b_tagged: bool, path: str) -> Difference | None:
    if left.is_ordered:
        pairs: list[tuple[Part | None, Part | None]] = list(zip_longest(left.parts, right.parts))
    else:
        of_right = {part.key: part for part in right.parts}
        of_left = {part.key for part in left.parts}
        pairs = [(part, of_right.get(part.key)) for part in left.parts]
        pairs += [(None, part) for part in right.parts if part.key not in of_left]
    for one, other in pairs:
        if one is None and other is not None:
            return Difference(path + other.segment, ABSENT, describe_node(other.node, b_tagged, _LIMIT))
        if one is not None and other is None:
            return Difference(path + one.segment, describe_node(one.node, a_tagged, _LIMIT), ABSENT)
        if one is not None and other is not None:
            found = _compare(one.node, a_tagged, other.node, b_tagged, path + one.segment)
            if found is not None:
                return found
    if [part.key for part in left.parts] != [part.key for part in right.parts]:
        return Difference(path, _order_of(left), _order_of(right))
    return None


def _order_of(branch: Branch) -> str:
    return clipped("keys in the order " + ", ".join(part.label.rstrip(":= ") for part in branch.parts), _LIMIT)


def _leaves(a: Any, a_tagged: bool, b: Any, b_tagged: bool, path: str) -> Difference:
    if type(a) is str and type(b) is str and max(len(a), len(b)) > _LIMIT // 2:
        return Difference(path, *_around_difference(a, b))
    left, right = describe_node(a, a_tagged, _LIMIT), describe_node(b, b_tagged, _LIMIT)
    return Difference(path, left, f"{right} (in a detail)" if left == right else right)


def _around_difference(a: str, b: str) -> tuple[str, str]:
    """Two long strings, cut to what is around the first character that differs."""
    place = next((index for index, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(0, place - _CONTEXT_CHARS)
    shown = []
    for text in (a, b):
        piece = repr(text[start : place + _CONTEXT_CHARS])
        shown.append(f"{'...' if start else ''}{piece}{'...' if place + _CONTEXT_CHARS < len(text) else ''}")
    return shown[0], shown[1]

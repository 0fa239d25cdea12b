"""Cells of the tables as the types that they must have. No SQL here.

Rules of this file:
- SQLite keeps whatever is written into a cell, and a person with a tool writes what he likes: a cell of another type is
  damage, and is said to be that, with the run and the column, before anything is made of it;
- the types of a row are looked up all at once, for a history has many rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple, get_args

from stent.errors import CorruptHistoryError
from stent.history.events import Role
from stent.history.fold import Status

NOTHING: frozenset[type] = frozenset({type(None)})
TEXT = frozenset({str})
NUMBER = frozenset({int})
BLOB = frozenset({bytes, bytearray, memoryview})
TEXT_OR_NOTHING = TEXT | NOTHING
NUMBER_OR_NOTHING = NUMBER | NOTHING
BLOB_OR_NOTHING = BLOB | NOTHING

STATUSES: frozenset[Any] = frozenset(get_args(Status))
ROLES: frozenset[Any] = frozenset(get_args(Role))

_KINDS = {
    "t": TEXT,
    "t?": TEXT_OR_NOTHING,
    "n": NUMBER,
    "n?": NUMBER_OR_NOTHING,
    "b": BLOB,
    "b?": BLOB_OR_NOTHING,
}


class Kinds(NamedTuple):
    """The columns of a row, the types that each may have, and all rows of types that come of it."""

    columns: tuple[str, ...]
    allowed: tuple[frozenset[type], ...]
    rows: frozenset[tuple[type, ...]]


def kinds_of(columns: str, kinds: str) -> Kinds:
    """Kinds, from names with commas in between, and letters (t, n or b; with ? where it may be nothing)."""
    names, allowed = columns.split(", "), [_KINDS[letter] for letter in kinds.split()]
    assert len(names) == len(allowed), "every column has a kind"
    return Kinds(tuple(names), tuple(allowed), frozenset(product(*allowed)))


def check(kinds: Kinds, row: Sequence[Any], what: str, run_id: Any = None, seq: Any = None) -> None:
    """CorruptHistoryError if a cell has a type that it cannot have."""
    if tuple(map(type, row[: len(kinds.columns)])) in kinds.rows:
        return
    for column, allowed, value in zip(kinds.columns, kinds.allowed, row, strict=False):
        if type(value) not in allowed:
            raise damaged(what, column, value, run_id, seq)


def check_all(kinds: Kinds, rows: Sequence[Sequence[Any]], what: str) -> None:
    """The same for many rows, which begin with the id of their run: column by column, a fifth of the time."""
    columns = zip(*rows, strict=True)
    if all(allowed.issuperset(map(type, column)) for allowed, column in zip(kinds.allowed, columns, strict=False)):
        return
    for row in rows:
        check(kinds, row, what, row[0])


def damaged(what: str, column: str, value: Any, run_id: Any = None, seq: Any = None) -> CorruptHistoryError:
    """The error for a cell that holds what it cannot hold. User data is not shown."""
    place = ", ".join(f"{name} {given}" for name, given in (("run", run_id), ("seq", seq)) if given is not None)
    return CorruptHistoryError(
        f"{f'{place}: ' if place else ''}{what} is damaged, column {column!r} cannot hold {_label(column, value)}",
        fix="restore the database from a backup",
        run_id=run_id,
        seq=seq,
        column=column,
    )


def _label(column: str, value: Any) -> str:
    kind = "nothing" if value is None else f"a value of type {type(value).__name__}"
    return kind if column in ("payload", "data", "body") or value is None else f"{kind}, {str(value)[:40]!r}"


def texts_in(text: str | None, what: str, column: str, run_id: str) -> tuple[str, ...]:
    """A JSON list of texts; NULL is none."""
    found = _list_in(text, what, column, run_id)
    if not all(type(value) is str for value in found):
        raise damaged(what, column, text, run_id)
    return tuple(found)


def ranges_in(text: str | None, what: str, column: str, run_id: str) -> tuple[tuple[int, int], ...]:
    """A JSON list of half-open ranges; NULL is none."""
    ranges = []
    for pair in _list_in(text, what, column, run_id):
        if type(pair) is not list or [type(end) for end in pair] != [int, int]:
            raise damaged(what, column, text, run_id)
        ranges.append((pair[0], pair[1]))
    return tuple(ranges)


def _list_in(text: str | None, what: str, column: str, run_id: str) -> list[Any]:
    if not text:
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(what, column, text, run_id) from error
    if type(found) is not list:
        raise damaged(what, column, text, run_id)
    return found

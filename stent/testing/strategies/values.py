"""Values that a durable function can take and return, and what is stored of them."""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from stent.codec import Payload, encode
from stent.registry import default_registry

_ZONES = st.sampled_from(
    [dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(-dt.timedelta(hours=3)), ZoneInfo("UTC")]
)


def scalars() -> st.SearchStrategy[Any]:
    """None, booleans, integers of any size, finite floats, texts."""
    return st.none() | st.booleans() | st.integers() | _floats() | st.text()


def json_values(*, max_leaves: int = 10) -> st.SearchStrategy[Any]:
    """Scalars, lists of them, dicts of them by text, and so on."""
    return st.recursive(
        scalars(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=max_leaves,
    )


def values(*, max_leaves: int = 10) -> st.SearchStrategy[Any]:
    """Everything that comes back as it went in: same value, same type, in any nesting.

    Scalars, bytes, decimals, fractions, uuids, datetimes with a zone, dates, times, timedeltas; lists, tuples, deques,
    dicts, sets and frozensets of them. Nothing here is a NaN, for that is not equal to itself. Classes of your own have
    strategies of their own: `st.builds(Order, ...)`.
    """
    return st.recursive(
        _hashable(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(tuple),
            st.lists(inner, max_size=4).map(deque),
            st.dictionaries(st.text(), inner, max_size=4),
            st.dictionaries(_hashable(), inner, max_size=4),
            st.sets(_hashable(), max_size=4),
            st.frozensets(_hashable(), max_size=4),
        ),
        max_leaves=max_leaves,
    )


def payloads(of: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Payload]:
    """Values as they are stored: of any kind, or those of a strategy."""
    return (values() if of is None else of).map(lambda value: encode(value, default_registry.types))


def _hashable() -> st.SearchStrategy[Any]:
    return st.one_of(
        scalars(),
        st.binary(max_size=16),
        st.decimals(allow_nan=False),
        st.fractions(),
        st.uuids(),
        st.datetimes(timezones=_ZONES),
        st.dates(),
        st.times(),
        st.timedeltas(),
    )


def _floats() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False)

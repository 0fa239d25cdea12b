"""Hypothesis strategies for events of every type, and for valid histories."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from stent.codec import Payload
from stent.history.events import EVENT_CODES, CallOptions, Event

texts = st.text(max_size=8)
integers = st.integers(-(2**63), 2**63 - 1)
payloads = st.builds(Payload, st.integers(1, 4), st.binary(max_size=20))
plain = st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | texts
options = st.builds(
    CallOptions,
    st.none() | st.dictionaries(texts, plain | st.lists(plain, max_size=2), max_size=3),
    st.none() | integers,
    st.none() | texts,
    integers,
    st.lists(texts, max_size=2).map(tuple),
)

st.register_type_strategy(Payload, payloads)
st.register_type_strategy(CallOptions, options)


def events_of(kind: type[Event]) -> st.SearchStrategy[Any]:
    """Any event of one type, whether it makes sense or not."""
    return st.from_type(kind)


kinds = st.sampled_from(sorted(EVENT_CODES, key=lambda kind: kind.__name__))
any_event: st.SearchStrategy[Event] = kinds.flatmap(events_of)

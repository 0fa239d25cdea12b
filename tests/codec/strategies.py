"""Hypothesis strategies for everything that the codec promises to keep."""

from __future__ import annotations

import datetime as dt
import ipaddress
import pathlib
import struct
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic_core import TzInfo

from tests.codec import samples

any_text = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(
    ["$", "", "\ud83d\ude00", "\ud83d", "😀", "\x00", "v", "tuple", '{"$":"tuple","v":[]}', "9" * 700]
)
any_int = st.integers() | st.sampled_from([0, -1, 2**63, 10**639, 10**640, -(10**640), 10**700, 1 - 10**640])
any_float = st.floats() | st.sampled_from(
    [-0.0, struct.unpack(">d", bytes.fromhex("fff8000000000001"))[0], float("nan"), 1e16, 5e-324]
)
zones = st.sampled_from(
    [
        dt.UTC,
        dt.timezone(dt.timedelta(0), "UTC"),
        dt.timezone(dt.timedelta(hours=-3, microseconds=1)),
        dt.timezone(dt.timedelta(hours=5, minutes=30), "Home\ud83d\ude00"),
        ZoneInfo("UTC"),
        ZoneInfo("Europe/Berlin"),
        TzInfo(0),
        TzInfo(-3600),
    ]
)
datetimes = st.builds(
    lambda wall, zone, fold: wall.replace(tzinfo=zone, fold=fold), st.datetimes(), zones, st.sampled_from([0, 1])
)
times = st.builds(
    lambda wall, zone, fold: wall.replace(tzinfo=zone, fold=fold),
    st.times(),
    st.none() | zones,
    st.sampled_from([0, 1]),
)
members = st.sampled_from(
    [
        *samples.Color,
        samples.Color.CRIMSON,
        *samples.Tone,
        *samples.Level,
        *samples.Mode,
        samples.Mode(0),
        samples.Mode(5),
        samples.Mode.READ_WRITE,
        samples.Bits(3),
        samples.Bits(9),
    ]
)
addresses = st.sampled_from(
    [
        ipaddress.ip_address("10.0.0.1"),
        ipaddress.ip_address("fe80::1%eth0"),
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("2001:db8::/32"),
        ipaddress.ip_interface("10.0.0.1/8"),
        ipaddress.ip_interface("2001:db8::1/32"),
    ]
)
path_names = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=5), max_size=3
).map("/".join)
paths = st.builds(
    lambda cls, name: cls(name),
    st.sampled_from([pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.Path, pathlib.PurePath]),
    path_names,
)
hashable_leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    any_int,
    any_float,
    any_text,
    st.binary(max_size=8),
    st.complex_numbers(),
    st.decimals().filter(lambda number: not number.is_snan()),
    st.fractions(),
    st.just(Fraction(10**700, 3)),
    st.uuids() | st.just(uuid.uuid1()),
    datetimes,
    st.dates(),
    times,
    st.timedeltas(),
    zones,
    members,
    addresses,
    paths,
    st.just(...),
    st.builds(range, st.integers(-9, 9), any_int, st.integers(1, 9)),
)
# Signalling NaNs have no hash.
leaves = hashable_leaves | st.binary(max_size=8).map(bytearray) | st.just(Decimal("-sNaN12"))
# Keys that are equal to each other (1, True) shape what a dict is, so they are wanted.
keys = st.recursive(
    hashable_leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.builds(samples.Point, inner, inner)
        | st.frozensets(inner, max_size=3)
    ),
    max_leaves=3,
)
exceptions = st.one_of(
    st.builds(ValueError, any_text),
    # No sets in here: the text of such an error depends on their order.
    st.builds(KeyError, hashable_leaves | st.tuples(hashable_leaves, hashable_leaves)),
    st.builds(OSError, st.integers(1, 60), st.text(max_size=3), st.none() | st.text(max_size=3)),
    st.builds(samples.Declined, st.integers(), st.text(max_size=3)),
    st.builds(samples.Picky, code=st.integers()),
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.lists(st.tuples(keys, inner), max_size=3)
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(any_text, inner, max_size=4),
        pairs.map(dict),
        st.dictionaries(st.just("$"), inner, max_size=1),
        st.lists(keys, max_size=4).map(set),
        st.lists(keys, max_size=4).map(frozenset),
        st.builds(deque, st.lists(inner, max_size=3), st.none() | st.integers(3, 5)),
        pairs.map(OrderedDict),
        st.lists(keys, max_size=4).map(Counter),
        st.builds(defaultdict, st.sampled_from([None, list, int, dict]), pairs),
        st.builds(samples.Order, st.integers(), st.lists(inner, max_size=2).map(tuple), inner),
        st.builds(samples.Box, inner),
        st.builds(samples.Derived, inner),
        st.builds(samples.Counted, inner),
        st.builds(samples.Point, inner, inner),
        st.builds(samples.OldPoint, inner, inner),
        st.builds(samples.Customer, id=st.integers(), name=inner),
        st.builds(samples.Open, id=inner, **{"$": inner, "other": inner}),
        st.builds(samples.Outer.Inner, inner),
    )


values = st.recursive(leaves, _containers, max_leaves=12)
json_values = st.recursive(
    st.none() | st.booleans() | any_int | any_float | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=20,
)

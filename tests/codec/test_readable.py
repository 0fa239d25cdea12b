"""Payloads as JSON that people and jq can read."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import OrderedDict, deque
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from stent.codec import TAGGED_JSON, Payload, encode, encode_exception, to_plain
from stent.errors import CorruptPayloadError
from tests.codec import samples
from tests.codec.strategies import values

REGISTRY = samples.new_registry()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, None, 1.5]}, {"a": [1, None, 1.5]}),
        ((1, {2}, deque([3])), [1, [2], [3]]),
        ({1: "a", "b": 2}, {"1": "a", "b": 2}),
        ({1: "a", "1": "b"}, [["1", "a"], ["1", "b"]]),
        (OrderedDict(a=(1,)), {"a": [1]}),
        (samples.Order(1, (samples.Item("x"),)), {"id": 1, "items": [{"sku": "x", "count": 1}], "note": None}),
        (samples.Open(id=1, other=(2,)), {"id": 1, "other": [2]}),
        (samples.Tone.LOW, "LOW"),
        (samples.Mode(5), 5),
        (Decimal("1.50"), "1.50"),
        (float("inf"), "inf"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.datetime(2025, 1, 1, tzinfo=dt.UTC), "2025-01-01T00:00:00Z"),
        (dt.timedelta(minutes=1, microseconds=500_000), 60.5),
        (b"text", "text"),
        (b"\xff", "base64:/w=="),
        ({"$": "tuple", "v": []}, {"$": "tuple", "v": []}),
    ],
)
def test_a_value_is_what_a_person_would_write_in_json(value: Any, expected: Any) -> None:
    """Dates and numbers as texts, instances as objects."""
    assert expected == to_plain(encode(value, REGISTRY))


def test_an_exception_is_type_message_and_traceback() -> None:
    """Its cause as well, in the same form."""
    error = ValueError("bad")
    error.__cause__ = samples.Declined(1, "x")
    shown = to_plain(encode_exception(error, REGISTRY))
    assert ("builtins:ValueError", "bad") == (shown["type"], shown["message"])
    assert "card 1 declined: x" == shown["cause"]["message"]
    assert "ValueError: bad" in shown["traceback"]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(values)
def test_the_result_is_json_for_every_value(value: Any) -> None:
    """Strict JSON: no NaN, no key that is not a text, and nothing but the six types."""
    plain = to_plain(encode(value, REGISTRY))
    json.dumps(plain, allow_nan=False)
    assert_is_json(plain)


def assert_is_json(node: Any) -> None:
    assert type(node) in (dict, list, str, int, float, bool, type(None))
    for item in [*node, *node.values()] if type(node) is dict else node if type(node) is list else []:
        assert_is_json(item)
    assert type(node) is not dict or all(type(key) is str for key in node)


@pytest.mark.parametrize("data", [b"[", b'{"$":"tuple"}', b'{"$":"bytes","v":5}', b'{"$":"timedelta","v":[1]}'])
def test_what_is_no_payload_is_corrupt(data: bytes) -> None:
    """One error, for the command line to show."""
    with pytest.raises(CorruptPayloadError):
        to_plain(Payload(TAGGED_JSON, data))

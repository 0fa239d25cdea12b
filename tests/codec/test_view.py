"""Payloads for people: short, Python-like, safe for a terminal, and never an error."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from stent.codec import (
    PLAIN_JSON,
    TAGGED_JSON,
    Payload,
    describe,
    describe_arguments,
    encode,
    encode_arguments,
    encode_exception,
    pack,
)
from tests.codec import samples
from tests.codec.strategies import values

REGISTRY = samples.new_registry()

SHOWN: dict[str, Any] = {
    "{'id': 'x', 'processed': True, 'rest': None}": {"id": "x", "processed": True, "rest": None},
    "[1, 1.5, 'a']": [1, 1.5, "a"],
    "()": (),
    "(1,)": (1,),
    "(1, 2)": (1, 2),
    "set()": set(),
    "{1}": {1},
    "frozenset({1})": frozenset({1}),
    "{1: 'a', (2, 3): 'b'}": {1: "a", (2, 3): "b"},
    "deque([1], maxlen=3)": deque([1], 3),
    "OrderedDict({'a': 1})": OrderedDict(a=1),
    "Counter({'a': 2})": Counter("aa"),
    "defaultdict(list, {'a': [1]})": defaultdict(list, a=[1]),
    "Item(sku='x', count=1)": samples.Item("x"),
    "Outer.Inner(value=1)": samples.Outer.Inner(1),
    "Customer(id=1, name='nobody', _visits=0)": samples.Customer(id=1),
    "Point(x=1, y=0)": samples.Point(1),
    "Color.RED": samples.Color.RED,
    "Mode(5)": samples.Mode(5),
    "b'ab'": b"ab",
    "Decimal('1.50')": Decimal("1.50"),
    "UUID('00000000-0000-0000-0000-000000000001')": uuid.UUID(int=1),
    "datetime('2025-01-01T00:00:00Z')": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
    "timedelta(days=0, seconds=90, microseconds=0)": dt.timedelta(seconds=90),
    "PurePosixPath('a/b')": PurePosixPath("a/b"),
    "...": ...,
    "nan": float("nan"),
}


@pytest.mark.parametrize("text", SHOWN)
def test_a_value_is_shown_as_python_writes_it(text: str) -> None:
    """Without its class at hand: this needs no registry."""
    payload = encode(SHOWN[text], REGISTRY)
    assert text == describe(payload)
    assert text == describe(pack(payload, 0))


def test_an_exception_is_shown_with_its_args() -> None:
    """The traceback is not part of the short text."""
    assert "Declined('card 1 declined: x')" == describe(encode_exception(samples.Declined(1, "x"), REGISTRY))


def test_arguments_are_shown_as_in_a_call() -> None:
    """Positional ones, then keywords."""
    assert "'x', (1,), retries=3" == describe_arguments(encode_arguments(("x", (1,)), {"retries": 3}, REGISTRY))
    assert "" == describe_arguments(encode_arguments((), {}, REGISTRY))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(values, st.integers(10, 100))
def test_a_text_is_printable_and_no_longer_than_asked_for(value: Any, limit: int) -> None:
    """Whatever control characters the value holds."""
    for text in (
        describe(encode(value, REGISTRY), limit),
        describe_arguments(encode_arguments((value,), {"k": value}, REGISTRY), limit),
    ):
        assert len(text) <= limit
        assert text.isprintable()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40), st.sampled_from([1, 2, 3, 4, 9]))
def test_random_bytes_have_a_text_too(data: bytes, codec: int) -> None:
    """Never an exception: it is called while a report is written."""
    for text in (describe(Payload(codec, data)), describe_arguments(Payload(codec, data))):
        assert len(text) <= 80
        assert text.isprintable()


@pytest.mark.parametrize("document", [
    '{"$":"wat"}', '{"$":5}', '{"$":"tuple"}', '{"$":"tuple","v":5}', '{"$":"dict","v":[1]}', '{"$":"bytes","v":"?"}',
    '{"$":"enum"}', '{"$":"datetime","v":"x","zone":[]}', '{"$":"timedelta","v":["a",1,2]}', '{"$":"exception"}',
    '{"$":"dataclass","of":"\\u001b[31m:X","v":{"\\u001b":1}}',
])  # fmt: skip
def test_what_is_malformed_is_shown_as_far_as_it_goes(document: str) -> None:
    """The rest of the value is still readable."""
    text = describe(Payload(TAGGED_JSON, f"[1,{document},2]".encode()))
    assert text.startswith("[1, ")
    assert text.endswith(", 2]")
    assert text.isprintable()


@pytest.mark.parametrize("codec", [PLAIN_JSON, TAGGED_JSON])
def test_a_document_of_any_depth_has_a_text(codec: int) -> None:
    """Cut before it is deep."""
    text = describe(Payload(codec, b"[" * 700 + b"]" * 700), 2_000)
    assert text.startswith("[[[")
    assert len(text) <= 2_000


def test_a_key_of_our_tags_is_a_key_in_plain_data() -> None:
    """Only documents of the tagged codec have tags."""
    assert "{'$': 'tuple', 'v': [1]}" == describe(encode({"$": "tuple", "v": [1]}, REGISTRY))

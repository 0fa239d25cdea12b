"""Many payloads as one, and back: the same payloads, without any class."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from stent.codec import (
    PLAIN_JSON,
    TAGGED_JSON,
    Payload,
    TypeRegistry,
    decode,
    encode,
    encode_exception,
    join,
    pack,
    split,
)
from stent.errors import CorruptPayloadError
from tests.codec import samples
from tests.codec.exactness import assert_same
from tests.codec.strategies import json_values, values

REGISTRY = samples.new_registry()


def encoded(*items: Any) -> list[Payload]:
    return [encode(item, REGISTRY) for item in items]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(values | json_values, max_size=4), st.data())
@example([{"$": 1}, (1,)], None)
@example([{"$": {"$": [1]}, "b": 2}, {1: {"$": "tuple", "v": []}}], None)
@example([[{"$": "\ud83d\ude00"}], {"\ud83d\ude00": 1}], None)
def test_splitting_undoes_joining(items: list[Any], data: Any) -> None:
    """The payloads are those that went in, byte by byte, all of them and any choice of them; so are the values."""
    payloads = encoded(*items)
    joined = join(payloads)
    assert payloads == split(joined)
    assert_same(items, decode(joined, REGISTRY))
    if data is not None and items:
        indexes = data.draw(st.lists(st.integers(0, len(items) - 1), max_size=5))
        assert [payloads[index] for index in indexes] == split(joined, indexes)


def test_plain_payloads_join_to_a_plain_one() -> None:
    """An item costs its own bytes and a comma."""
    assert Payload(PLAIN_JSON, b'[1,{"a":[true]},"x"]') == join(encoded(1, {"a": [True]}, "x"))
    assert Payload(PLAIN_JSON, b"[]") == join([])


def test_a_key_of_our_tags_in_a_plain_item_stays_a_key_beside_a_tagged_one() -> None:
    """A user's `{"$": "tuple", "v": []}` is a dict, and remains one next to a real tuple."""
    trap = {"$": "tuple", "v": [1]}
    joined = join(encoded(trap, (2,)))
    assert TAGGED_JSON == joined.codec
    assert_same([trap, (2,)], decode(joined, REGISTRY))
    assert encoded(trap, (2,)) == split(joined)


def test_packed_payloads_are_unpacked_on_the_way() -> None:
    """Joining takes both forms; splitting too."""
    payloads = encoded([0] * 500, (1,), {"k": "x" * 500})
    joined = join([pack(payload, 10) for payload in payloads])
    assert join(payloads) == joined
    assert [payloads[2], payloads[0]] == split(pack(joined, 10), [2, 0])


def test_no_class_is_needed() -> None:
    """Instances and exceptions pass through a process that does not have their classes."""
    payloads = [*encoded(samples.Order(1)), encode_exception(samples.Declined("a", "b"), REGISTRY)]
    assert payloads == split(join(payloads))


def test_joined_payloads_of_two_hundred_levels_can_be_read() -> None:
    """Each was at the limit by itself."""
    deep: Any = 1
    for _ in range(200):
        deep = (deep,)
    payloads = encoded(deep, 1)
    assert payloads == split(join(payloads))
    assert payloads[0] == encode(decode(join(payloads), REGISTRY)[0], REGISTRY)


@pytest.mark.parametrize(
    "payload",
    [
        Payload(PLAIN_JSON, b"{"),
        Payload(PLAIN_JSON, b'{"a":1}'),
        Payload(TAGGED_JSON, b'{"$":"tuple","v":[]}'),
        Payload(TAGGED_JSON, b"[" * 2_000 + b"]" * 2_000),
        Payload(PLAIN_JSON, b"[" * 90_000 + b"]" * 90_000),
        Payload(9, b"[]"),
    ],
    ids=["no JSON", "no list", "a tag", "deep", "very deep", "an unknown codec"],
)
def test_what_is_no_batch_is_corrupt(payload: Payload) -> None:
    """One error, whatever stands in the database."""
    with pytest.raises(CorruptPayloadError):
        split(payload)


@pytest.mark.parametrize("data", [b'{"$":"dict","v":["a"]}', b'{"$":"dict","v":["a",1,"a",2]}', b'{"$":"dict"}'])
def test_a_malformed_item_is_not_mended_by_splitting(data: bytes) -> None:
    """It stays as it is, and whoever decodes it finds it corrupt."""
    (item,) = split(Payload(TAGGED_JSON, b"[" + data + b"]"))
    assert Payload(TAGGED_JSON, data) == item
    with pytest.raises(CorruptPayloadError):
        decode(item, TypeRegistry())


def test_an_index_past_the_end_is_corrupt() -> None:
    """An event that points past its batch."""
    with pytest.raises(CorruptPayloadError, match="2 items only"):
        split(join(encoded(1, 2)), [0, 2])

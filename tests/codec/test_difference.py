"""Where two calls differ first: the path and both sides, as exactly as the bytes do."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given, settings

from stent.codec import (
    PLAIN_JSON,
    TAGGED_JSON,
    Difference,
    Payload,
    encode,
    encode_arguments,
    encode_exception,
    first_argument_difference,
    first_difference,
    pack,
)
from stent.errors import CorruptPayloadError
from tests.codec import samples
from tests.codec.strategies import values

REGISTRY = samples.new_registry()


def arguments(*args: Any, **kwargs: Any) -> Payload:
    return encode_arguments(args, kwargs, REGISTRY)


DIFFERENT: dict[str, tuple[Payload, Payload, str]] = {
    "a value": (arguments(1, "a"), arguments(1, "b"), "args[1]: 'a' != 'b'"),
    "deep inside": (
        arguments("x", [0, {"sku": "A1"}]),
        arguments("x", [0, {"sku": "B2"}]),
        "args[1][1]['sku']: 'A1' != 'B2'",
    ),
    "the first of two": (arguments([1, 2, 3]), arguments([1, 9, 8]), "args[0][1]: 2 != 9"),
    "one more argument": (arguments(1), arguments(1, 2), "args[1]: (absent) != 2"),
    "one less argument": (arguments(1, 2), arguments(1), "args[1]: 2 != (absent)"),
    "a keyword": (arguments(retries=3), arguments(retries=4), "kwargs['retries']: 3 != 4"),
    "a keyword more": (arguments(1, retries=3), arguments(1), "kwargs['retries']: 3 != (absent)"),
    "an int and a bool": (arguments(1), arguments(True), "args[0]: 1 != True"),
    "an int and a float": (arguments([1]), arguments([1.0]), "args[0][0]: 1 != 1.0"),
    "the sign of zero": (arguments(-0.0), arguments(0.0), "args[0]: -0.0 != 0.0"),
    "None and its name": (arguments(None), arguments("None"), "args[0]: None != 'None'"),
    "a list and a tuple": (arguments([1]), arguments((1,)), "args[0]: [1] != (1,)"),
    "a dict and an ordered one": (
        arguments({"a": 1}),
        arguments(OrderedDict(a=1)),
        "args[0]: {'a': 1} != OrderedDict({'a': 1})",
    ),
    "a key": (arguments({"a": 1}), arguments({"b": 1}), "args[0]['a']: 1 != (absent)"),
    "a key that is no str": (arguments({1: "x"}), arguments({1: "y"}), "args[0][1]: 'x' != 'y'"),
    "the order of keys": (
        arguments({"a": 1, "b": 2}),
        arguments({"b": 2, "a": 1}),
        "args[0]: keys in the order 'a', 'b' != keys in the order 'b', 'a'",
    ),
    "a field": (
        arguments(samples.Order(1, (samples.Item("x"),))),
        arguments(samples.Order(1, (samples.Item("y"),))),
        "args[0].items[0].sku: 'x' != 'y'",
    ),
    "a class": (
        arguments(samples.Item("x")),
        arguments(samples.Box("x")),
        "args[0]: Item(sku='x', count=1) != Box(content='x')",
    ),
    "a member of an enum": (
        arguments(samples.Tone.LOW),
        arguments(samples.Tone.HIGH),
        "args[0]: Tone.LOW != Tone.HIGH",
    ),
    "a key of our tags": (arguments({"$": 1}), arguments({"$": 2}), "args[0]['$']: 1 != 2"),
    "long texts": (
        arguments("x" * 100 + "a" + "y" * 100),
        arguments("x" * 100 + "b" + "y" * 100),
        f"args[0]: ...'{'x' * 24}a{'y' * 23}'... != ...'{'x' * 24}b{'y' * 23}'...",
    ),
    "very long texts": (
        arguments("x" * 9_000 + "a"),
        arguments("x" * 9_000 + "b"),
        f"args[0]: ...'{'x' * 24}a' != ...'{'x' * 24}b'",
    ),
    "a control character": (arguments("\x1b[31m"), arguments("red"), "args[0]: '\\x1b[31m' != 'red'"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_the_first_argument_that_differs_is_named_with_both_sides(case: str) -> None:
    """As a person would point at it."""
    left, right, expected = DIFFERENT[case]
    assert expected == str(first_argument_difference(left, right))


def test_results_have_a_root_of_their_own() -> None:
    """`where` is how the report calls the value."""
    left, right = encode({"a": (1, 2)}, REGISTRY), encode({"a": (1, 3)}, REGISTRY)
    assert Difference("result['a'][1]", "2", "3") == first_difference(left, right)
    assert Difference("signal['a'][1]", "2", "3") == first_difference(left, right, where="signal")


def test_packing_is_no_difference() -> None:
    """Another zlib may compress in another way; compared is what is inside."""
    left = arguments([0] * 500)
    assert first_argument_difference(left, pack(left, 10)) is None
    assert "args[0][499]: 0 != 1" == str(first_argument_difference(pack(left, 10), arguments([*[0] * 499, 1])))


def test_what_no_text_shows_is_said_to_be_a_detail() -> None:
    """Two exceptions that differ in an attribute only."""
    one, other = samples.Picky(code=3), samples.Picky(code=3)
    one.seen, other.seen = 1, 2  # type: ignore[attr-defined]
    found = first_difference(encode_exception(one, REGISTRY), encode_exception(other, REGISTRY))
    assert found == Difference("result", "Picky()", "Picky() (in a detail)")


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(values, values)
def test_there_is_a_difference_if_and_only_if_the_bytes_differ(left: Any, right: Any) -> None:
    """And its text is short and safe for a terminal."""
    one, other = encode([left], REGISTRY), encode([right], REGISTRY)
    assert first_difference(one, one) is None
    found = first_difference(one, other)
    assert (one == other) is (found is None)
    if found is not None:
        assert found.path.startswith("result")
        assert str(found).isprintable()
        assert max(len(found.left), len(found.right)) <= 120


@pytest.mark.parametrize("codec", [PLAIN_JSON, TAGGED_JSON])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
def test_a_document_deeper_than_any_of_ours_has_a_difference_too(codec: int, start: str, end: str) -> None:
    """The report of a divergence never ends in a RecursionError."""
    one, other = (Payload(codec, f"[{start * 700}{leaf}{end * 700}]".encode()) for leaf in (1, 2))
    for find in (first_difference, first_argument_difference):
        found = find(one, other)
        assert found is not None
        assert "(in a detail)" in found.right


@pytest.mark.parametrize("data", [b"{", b"5", b'{"args":[]}', b'{"args":{},"kwargs":{}}'])
def test_what_is_no_list_of_arguments_is_corrupt(data: bytes) -> None:
    """Both sides are checked."""
    bad = Payload(PLAIN_JSON, data)
    for pair in ((bad, arguments(math.pi)), (arguments(math.pi), bad)):
        with pytest.raises(CorruptPayloadError):
            first_argument_difference(*pair)

"""The promise of the codec as a whole: exact or refused, both ways, for every value."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings

from stent.codec import PLAIN_JSON, TAGGED_JSON, Payload, decode, encode
from stent.errors import PayloadTooLargeError, SerializationError
from tests.codec import samples
from tests.codec.exactness import assert_same
from tests.codec.strategies import json_values, values

ROOT = Path(__file__).resolve().parent.parent.parent


REGISTRY = samples.new_registry()


def round_trip(value: Any) -> Any:
    return decode(encode(value, REGISTRY), REGISTRY)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(values)
@example([True, 1, 1.0, -0.0])
@example({1: "a", True: "b"})  # noqa: F601  # the first key and the last value stay
@example({"$": {"$": (1,)}})
@example([["\ud83d\ude00", ()]])
@example({1: {"$": "tuple", "v": []}})
def test_every_value_comes_back_with_type_and_value_at_every_depth(value: Any) -> None:
    """decode(encode(x)) is x, to every detail."""
    assert_same(value, round_trip(value))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(values)
def test_encoding_is_a_function_of_the_value(value: Any) -> None:
    """Encoding what came back gives the same payload: arguments are compared by bytes."""
    payload = encode(value, REGISTRY)
    assert payload == encode(decode(payload, REGISTRY), REGISTRY)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(json_values)
@example(["9" * 700, 10**639])
@example([10**640])
@example({"a": ["\ud83d\ude00"]})
@example(["😀", "\ud83d"])
def test_plain_json_is_plain_and_the_rest_is_tagged(value: Any) -> None:
    """The codec id says which of the two readers is needed, and plain data is what json.dumps writes."""
    codec, data = encode(value, REGISTRY)
    assert_same(value, decode(Payload(codec, data), REGISTRY))
    if codec == PLAIN_JSON:
        assert data == json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    else:
        assert codec == TAGGED_JSON
        assert b'{"$":' in data


@pytest.mark.parametrize("sign", [1, -1])
def test_an_int_that_another_process_may_refuse_to_read_is_tagged(sign: int) -> None:
    """At any depth: 640 digits is the lowest limit that a process can be given."""
    longest = sign * (10**640 - 1)
    for value in (longest, [longest], {"a": [longest]}):
        assert PLAIN_JSON == encode(value, REGISTRY).codec
    for value in (longest + sign, [longest + sign], {"a": [longest + sign]}):
        assert TAGGED_JSON == encode(value, REGISTRY).codec


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    """Sets are written in one order, whatever PYTHONHASHSEED is."""
    program = (
        "from stent.codec import encode, TypeRegistry\n"
        "value = [{'a', 'b', 'c', 1, (2, 'x'), frozenset({'p', 'q'})}, frozenset('stent'), {'k': {'x', 'y'}}]\n"
        "print(encode(value, TypeRegistry()).data.decode())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert 1 == len(texts)


def _generator() -> Any:
    yield 1


def _cyclic_list() -> list[Any]:
    cyclic: list[Any] = [1]
    cyclic.append({"deep": cyclic})
    return cyclic


def _cyclic_through_tag() -> list[Any]:
    cyclic: list[Any] = []
    cyclic.append(samples.Box((cyclic,)))
    return cyclic


def _local_class() -> Any:
    from dataclasses import dataclass

    @dataclass
    class Local:
        value: int

    return Local(1)


def _nested(depth: int, wrap: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "an object": (lambda: {"orders": [0, 1, 2, {"price": object()}]}, "result['orders'][3]['price']", "dataclass"),
    "a field": (lambda: samples.Order(1, note=samples.Stranger()), "result.note", "dataclass"),  # type: ignore[arg-type]
    "a deep field": (lambda: [samples.Box({"a": (object(),)})], "result[0].content['a'][0]", "dataclass"),
    "a model's field": (lambda: samples.Customer(id=1, name=object()), "result.name", "dataclass"),
    "an extra": (lambda: samples.Open(id=1, other=object()), "result['other']", "dataclass"),
    "a member": (lambda: {object()}, "result<member>", "dataclass"),
    "a key": (lambda: {(1, object()): 2}, "result<key tuple key>[1]", "dataclass"),
    "a naive datetime": (lambda: [dt.datetime(2025, 1, 1)], "result[0]", "timezone.utc"),  # noqa: DTZ001
    "a subclass of list": (lambda: samples.ListOf([1]), "result", "list(value)"),
    "a subclass of str": (lambda: {"w": samples.Word("x")}, "result['w']", "str(value)"),
    "a str subclass as key": (lambda: {samples.Word("x"): 1}, "result<key", "str(value)"),
    "a dataclass that is a list": (lambda: samples.DataList("x"), "result", "field"),
    "a generator": (_generator, "result", "list(...)"),
    "an iterator": (lambda: iter([1]), "result", "list(...)"),
    "a function": (lambda: [len], "result[0]", "call"),
    "a lambda": (lambda: {"f": lambda: 1}, "result['f']", "call"),
    "a class": (lambda: [int], "result[0]", "name"),
    "a module": (lambda: json, "result", "import"),
    "a slice": (lambda: slice(1), "result", "dataclass"),
    "NotImplemented": (lambda: NotImplemented, "result", "dataclass"),
    "a memoryview": (lambda: memoryview(b"x"), "result", "dataclass"),
    "a cycle": (_cyclic_list, "result[1]['deep']", "ids"),
    "a cycle through a class": (_cyclic_through_tag, "result[0].content[0]", "ids"),
    "a local class": (_local_class, "result", "annotate"),
    "a lambda as factory": (lambda: defaultdict(lambda: 1), "result", "dict(value)"),
    "a zone of its own": (
        lambda: dt.datetime(2025, 1, 1, tzinfo=type("Z", (dt.tzinfo,), {"utcoffset": lambda *_: dt.timedelta(0)})()),
        "result",
        "ZoneInfo",
    ),
    "too many levels": (lambda: _nested(201), "result" + "[0]" * 200, ""),
    "too many tuples": (lambda: _nested(201, lambda inner: (inner,)), "result" + "[0]" * 200, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_kept_is_refused_by_path_with_a_way_out(case: str) -> None:
    """The error names the place, and its fix says what to write instead."""
    make, path, fix = REFUSED[case]
    with pytest.raises(SerializationError) as caught:
        encode(make(), REGISTRY)
    assert caught.value.path.startswith(path)
    assert caught.value.message.startswith(caught.value.path)
    assert fix in caught.value.fix


# How a level is put around a value, and how the value is taken out of it again.
LEVELS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "list": (lambda inner: [inner], lambda outer: outer[0]),
    "dict": (lambda inner: {"k": inner}, lambda outer: outer["k"]),
    "tuple": (lambda inner: (inner,), lambda outer: outer[0]),
    "dict of ints": (lambda inner: {1: inner}, lambda outer: outer[1]),
    "dict of tags": (lambda inner: {"$": inner}, lambda outer: outer["$"]),
    "deque": (lambda inner: deque([inner]), lambda outer: outer[0]),
    "ordered dict": (lambda inner: OrderedDict(k=inner), lambda outer: outer["k"]),
    "default dict": (lambda inner: defaultdict(list, k=inner), lambda outer: outer["k"]),
    "frozenset": (lambda inner: frozenset([inner]), lambda outer: next(iter(outer))),
    "dataclass": (samples.Box, lambda outer: outer.content),
    "named tuple": (samples.Point, lambda outer: outer.x),
    "model": (lambda inner: samples.Customer(id=1, name=inner), lambda outer: outer.name),
}


@pytest.mark.parametrize("kind", LEVELS)
def test_two_hundred_levels_of_anything_are_kept(kind: str) -> None:
    """The limit is on the levels of the value, not on those of its JSON, and the caller may be 300 frames deep."""
    wrap, inside = LEVELS[kind]
    # The default limit; not compared by `==` or repr, for those would need more of the stack than the codec does.
    expected = _nested(200, wrap)
    actual = _called_deep(300, lambda: round_trip(expected))
    for _ in range(200):
        assert type(expected) is type(actual)
        expected, actual = inside(expected), inside(actual)
    assert (expected, actual) == (1, 1)
    with pytest.raises(SerializationError, match="deeper than 200 levels"):
        encode(_nested(201, wrap), REGISTRY)


def _called_deep(depth: int, run: Callable[[], Any]) -> Any:
    """What `run` gives when it is called with at least `depth` frames on the stack."""
    used, frame = 0, sys._getframe()
    while frame.f_back is not None:
        used, frame = used + 1, frame.f_back

    def deeper(left: int) -> Any:
        return run() if left <= 0 else deeper(left - 1)

    return deeper(depth - used)


def test_a_full_stack_is_a_serialization_error() -> None:
    """RecursionError never escapes, however little of the stack is left."""
    payload = encode(_nested(150, lambda inner: (inner,)), REGISTRY)
    tried = []

    def deeper(depth: int) -> None:
        for run in (
            lambda: encode(_nested(150), REGISTRY),
            lambda: encode(_nested(150, lambda inner: (inner,)), REGISTRY),
            lambda: decode(payload, REGISTRY),
        ):
            try:
                run()
            except SerializationError as error:
                tried.append(error)
        if depth:
            deeper(depth - 1)

    limit = sys.getrecursionlimit()
    frame, used = sys._getframe(), 0
    while frame is not None:
        frame, used = frame.f_back, used + 1  # type: ignore[assignment]
    try:
        sys.setrecursionlimit(used + 330)
        deeper(3)
    finally:
        sys.setrecursionlimit(limit)
    assert tried


def test_a_shared_object_is_written_twice_and_is_no_cycle() -> None:
    """Sharing is not kept; it is not mistaken for a cycle either."""
    shared = (1, [2])
    assert_same([shared, {"again": shared}], round_trip([shared, {"again": shared}]))


@pytest.mark.parametrize("wrap", [lambda value: [value, value], lambda value: (value, value)])
def test_a_value_that_doubles_at_each_level_ends_at_the_size_limit(wrap: Callable[[Any], Any]) -> None:
    """Sixty lines of `b = [a, a]` are refused, not written out."""
    with pytest.raises(PayloadTooLargeError):
        encode(_nested(60, wrap), REGISTRY, limit=20_000)


@pytest.mark.parametrize("value", ["x" * 100, {"k": "x" * 100}, ["é" * 20], [1] * 60, ("x" * 100,), b"x" * 100,
                                   {"a": (), "b": [1] * 60}])  # fmt: skip
def test_what_is_over_the_limit_is_refused_with_its_size(value: Any) -> None:
    """The limit is on the encoded bytes, before compression."""
    with pytest.raises(PayloadTooLargeError) as caught:
        encode(value, REGISTRY, limit=100)
    assert caught.value.limit_bytes == 100
    assert caught.value.size_bytes > 100 or caught.value.size_bytes >= 60


def test_what_is_just_under_the_limit_is_kept() -> None:
    """The limit itself is allowed."""
    assert len(encode("x" * 98, REGISTRY, limit=100).data) == 100
    assert len(encode(("x" * 78,), REGISTRY, limit=100).data) == 100
    with pytest.raises(PayloadTooLargeError):
        encode("x" * 99, REGISTRY, limit=100)
    with pytest.raises(PayloadTooLargeError):
        encode(("x" * 79,), REGISTRY, limit=100)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(values)
def test_the_limit_is_exact_for_every_value(value: Any) -> None:
    """As many bytes as the payload has are allowed, one less is refused."""
    payload = encode(value, REGISTRY)
    size = len(payload.data)
    assert payload == encode(value, REGISTRY, limit=size)
    with pytest.raises(PayloadTooLargeError):
        encode(value, REGISTRY, limit=size - 1)


def test_where_is_the_root_of_the_path() -> None:
    """The caller says what the value is called."""
    with pytest.raises(SerializationError, match=r"signal 'go'\[0\] is"):
        encode([object()], REGISTRY, where="signal 'go'")


def test_an_attribute_that_raises_is_a_serialization_error() -> None:
    """Code of a user's class that fails while its value is read."""

    class Odd(samples.Item):
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise ZeroDivisionError("odd")

    registry = samples.new_registry()
    registry.register(Odd)
    with pytest.raises(SerializationError, match="ZeroDivisionError: odd"):
        encode(Odd("x"), registry)


def test_exact_texts_of_some_payloads_never_change() -> None:
    """Old histories are compared by bytes, so these are for ever."""
    golden = {
        b'{"id":"x","processed":true}': {"id": "x", "processed": True},
        b'["\\u00e9",1.0,-0.0,1e+16,null]': ["é", 1.0, -0.0, 1e16, None],
        b'{"$":"tuple","v":[1,{"$":"tuple","v":[]}]}': (1, ()),
        b'{"$":"set","v":["a","b",1]}': {"b", 1, "a"},
        b'{"$":"dict","v":[1,"a","$",{"$":"bytes","v":"AA=="}]}': {1: "a", "$": b"\0"},
        b'{"$":"decimal","v":"1.50"}': Decimal("1.50"),
        b'{"$":"counter","v":["a",2]}': Counter("aa"),
        b'{"$":"enum","of":"tests.codec.samples:Tone","v":"LOW"}': samples.Tone.LOW,
        b'{"$":"datetime","v":"2025-01-01T00:00:00","zone":["utc"]}': dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        b'{"$":"dataclass","of":"tests.codec.samples:Item","v":{"sku":"a","count":2}}': samples.Item("a", 2),
        b'{"$":"model","of":"tests.codec.samples:Tags","v":{"root":["a"]},"set":["root"]}': samples.Tags(["a"]),
        b'{"$":"namedtuple","of":"tests.codec.samples:Point","v":{"x":1,"y":0}}': samples.Point(1),
    }
    assert golden == {encode(value, REGISTRY).data: value for value in golden.values()}

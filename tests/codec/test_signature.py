"""A call in one canonical form: fitted to its function, checked against annotations, one text for one call."""

from __future__ import annotations

import functools
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given, settings, strategies as st
from pydantic import Field

from stent.codec import (
    PLAIN_JSON,
    Payload,
    Signature,
    TypeRegistry,
    decode_arguments,
    encode,
    encode_arguments,
)
from stent.errors import ArgumentError, CorruptPayloadError, PayloadTooLargeError, SerializationError
from tests.codec import samples
from tests.codec.exactness import assert_same
from tests.codec.strategies import values

REGISTRY = samples.new_registry()


def signature(function: Callable[..., Any]) -> Signature:
    return Signature.of(function, REGISTRY)


def plain(a: Any, b: Any = 2, *, c: Any = 3) -> None: ...
def only(a: Any, /, b: Any, *, c: Any) -> None: ...
def open_ended(a: Any, *rest: Any, key: Any = 0, **extra: Any) -> None: ...


SAME_CALL: list[tuple[Callable[..., Any], list[tuple[tuple[Any, ...], dict[str, Any]]], str]] = [
    (plain, [((1,), {}), ((), {"a": 1})], "[1]"),
    (plain, [((1, 9), {}), ((1,), {"b": 9}), ((), {"b": 9, "a": 1})], "[1,9]"),
    (
        plain,
        [((1,), {"c": 4, "b": 9}), ((1, 9), {"c": 4}), ((), {"c": 4, "b": 9, "a": 1})],
        '{"args":[1,9],"kwargs":{"c":4}}',
    ),
    (only, [((1, 2), {"c": 3}), ((1,), {"c": 3, "b": 2})], '{"args":[1,2],"kwargs":{"c":3}}'),
    (open_ended, [((1, 2, 3), {"z": 1, "key": 5, "y": 2})], '{"args":[1,2,3],"kwargs":{"key":5,"z":1,"y":2}}'),
    (open_ended, [((), {"a": 1}), ((1,), {})], "[1]"),
]


@pytest.mark.parametrize(("function", "calls", "text"), SAME_CALL)
def test_one_call_has_one_text_however_it_is_written(
    function: Callable[..., Any], calls: list[tuple[tuple[Any, ...], dict[str, Any]]], text: str
) -> None:
    """Arguments are compared by bytes on replay, so this is for ever. Defaults are not applied."""
    described = signature(function)
    for args, kwargs in calls:
        payload = described.encode(*described.bind(args, kwargs))
        assert Payload(PLAIN_JSON, text.encode()) == payload
        assert described.bind(args, kwargs) == described.decode(payload)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4), st.permutations(["a", "b", "c", "d"]))
def test_the_order_and_the_number_of_keywords_change_nothing(positional: int, order: list[str]) -> None:
    """For every way to write a call of four parameters."""

    def four(a: int, b: int, c: int, *, d: int) -> None: ...

    given_values = {"a": 1, "b": 2, "c": 3, "d": 4}
    names = list(given_values)[: min(positional, 3)]
    args = tuple(given_values[name] for name in names)
    kwargs = {name: given_values[name] for name in order if name not in names}
    assert ((1, 2, 3), {"d": 4}) == signature(four).bind(args, kwargs)


def test_what_reaches_the_function_is_what_python_would_pass() -> None:
    """The canonical form, applied to the function, binds the same parameters; a gap stays a keyword."""

    def gap(a: Any = 1, b: Any = 2, c: Any = 3) -> tuple[Any, ...]:
        return a, b, c

    args, kwargs = signature(gap).bind((), {"c": 9, "a": 7})
    assert ((7,), {"c": 9}) == (args, kwargs)
    assert gap(c=9, a=7) == gap(*args, **kwargs)


WRONG: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (plain, (), {}, r"plain\(\) is missing 'a'"),
    (plain, (1, 2, 3), {}, r"plain\(\) takes 2 positional arguments, but 3 were given"),
    (plain, (1,), {"a": 1}, r"plain\(\) got two values for 'a'"),
    (plain, (1,), {"d": 1}, r"plain\(\) has no parameter 'd'"),
    (only, (), {"a": 1, "b": 2, "c": 3}, r"only\(\) has no parameter 'a'"),
    (only, (1,), {"b": 2}, r"only\(\) is missing 'c'"),
    (open_ended, (), {"key": 1}, r"open_ended\(\) is missing 'a'"),
]


@pytest.mark.parametrize(("function", "args", "kwargs", "message"), WRONG)
def test_a_call_that_does_not_fit_names_the_parameter(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    """And shows the signature as the way out."""
    with pytest.raises(ArgumentError, match=message) as caught:
        signature(function).bind(args, kwargs)
    assert f"call it as {function.__name__}(" in caught.value.fix
    assert isinstance(caught.value, TypeError)


def test_a_misspelt_keyword_is_guessed() -> None:
    """As Python itself does for attributes."""

    def pay(amount: int, currency: str = "EUR") -> None: ...

    with pytest.raises(ArgumentError, match="did you mean 'currency'"):
        signature(pay).bind((1,), {"curency": "USD"})


# -- checks -----------------------------------------------------------------------------------------------------------


def typed(number: int, items: list[str], order: samples.Order | None = None, *rest: float, when: str = "") -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "name", "got"),
    [
        (("x", []), {}, "number", "got 'x'"),
        ((1, ["a", 2]), {}, "items", r"\[1\]: .*got 2"),
        ((1, [], {"id": "x"}), {}, "order", "id"),
        ((1, [], None, 1.0, "y"), {}, "rest", "got 'y'"),
        ((1, []), {"when": 5}, "when", "got 5"),
        ((1, iter(["a"])), {}, "items", "read once only"),
    ],
)
def test_an_argument_that_its_annotation_does_not_allow_is_named(
    args: tuple[Any, ...], kwargs: dict[str, Any], name: str, got: str
) -> None:
    """In the caller, before anything is written."""
    with pytest.raises(ArgumentError, match=rf"typed\(\) argument '{name}' should be .*{got}") as caught:
        signature(typed).bind(args, kwargs)
    assert name == caught.value.argument


def test_a_refused_iterator_has_lost_nothing() -> None:
    """Not one item is taken from it."""
    items = iter(["a", "b"])
    with pytest.raises(ArgumentError):
        signature(typed).bind((1, items), {})
    assert ["a", "b"] == list(items)


def test_plain_data_becomes_what_the_annotation_asks_for() -> None:
    """A dict for a dataclass, a text for an enum, a text for a number."""

    def ship(order: samples.Order, tone: samples.Tone, count: int, customer: samples.Customer) -> None: ...

    args, _ = signature(ship).bind(({"id": 1, "note": "x"}, "low", "3", {"id": 7}), {})
    assert_same((samples.Order(1, (), "x"), samples.Tone.LOW, 3, samples.Customer(id=7)), args)


@pytest.mark.parametrize("value", [OrderedDict(a=1), samples.Level.ONE, 3, True])
def test_a_value_that_means_the_same_stays_the_very_object(value: Any) -> None:
    """Validation does not flatten what was passed: an IntEnum for an int stays one."""
    annotation = {OrderedDict: dict[str, int], samples.Level: int, int: float, bool: int}[type(value)]

    def take(item: Any) -> None: ...

    take.__annotations__["item"] = annotation
    args, _ = signature(take).bind((value,), {})
    assert value is args[0]


def test_what_is_read_later_or_called_is_not_checked() -> None:
    """An Iterable is not consumed, Any and unresolved names let everything pass."""

    def take(a: Iterable[int], b: Any, c: Callable[[], int], d: Missing, e) -> None: ...  # type: ignore[no-untyped-def,name-defined]  # noqa: F821

    given_values = (itertools.count(), object(), len, object(), object())
    args, _ = signature(take).bind(given_values, {})
    assert all(map(lambda one, other: one is other, given_values, args))


def test_methods_partials_and_decorated_functions_have_their_own_signature() -> None:
    """`self` is bound, a partial's arguments are given, a decorator that uses `wraps` is seen through."""

    class Shop:
        def pay(self, amount: int) -> None: ...

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    for function in (Shop().pay, functools.partial(typed, 1), decorated(plain)):
        with pytest.raises(ArgumentError):
            Signature.of(function, REGISTRY, name="f").bind((), {"nothing": 1})
    assert ((5,), {}) == signature(Shop().pay).bind((), {"amount": 5})
    with pytest.raises(ArgumentError, match="'amount' should be int"):
        signature(Shop().pay).bind(("x",), {})


# -- payloads ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=3), st.dictionaries(st.text(max_size=4), values, max_size=3))
def test_arguments_come_back_exactly(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Positional and keyword ones, whatever their names and values are."""
    found = decode_arguments(encode_arguments(tuple(args), kwargs, REGISTRY), REGISTRY)
    assert_same((tuple(args), kwargs), found)


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((object(),), {}, "argument 'a' is"),
        ((1, {"x": [object()]}), {}, r"argument 'b' \['x'\]\[0\] is"),
        ((1,), {"c": (object(),)}, r"argument 'c' \[0\] is"),
        ((1, 2), {"c": {1: object()}}, r"argument 'c' \[1\] is"),
    ],
)
def test_an_argument_that_cannot_be_stored_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> None:
    """The function, the argument, the path inside it."""
    with pytest.raises(SerializationError, match=rf"plain\(\): {path}") as caught:
        signature(plain).encode(args, kwargs)
    assert "plain" == caught.value.function
    assert caught.value.argument in "abc"
    assert caught.value.fix


def test_an_extra_positional_argument_is_named_by_its_place() -> None:
    """It has no name of its own."""
    with pytest.raises(SerializationError, match=r"open_ended\(\): argument '\*rest\[1\]' is"):
        signature(open_ended).encode((1, 2, object()), {})


def test_arguments_over_the_limit_are_refused_with_size_and_limit() -> None:
    """The limit is on all of them together."""
    with pytest.raises(PayloadTooLargeError) as caught:
        signature(plain).encode(("x" * 60, "y" * 60), {}, limit=100)
    assert 100 == caught.value.limit_bytes
    assert caught.value.size_bytes > 100


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, "x" * 200), {}, "argument 'b' takes"),
        ((["x" * 9] * 40, 1), {}, "argument 'a' takes"),
        (({"k": ["x"] * 40}, 1), {}, "argument 'a' takes"),
        ((b"x" * 200, 1), {}, "argument 'a' takes"),
        (("x" * 60, "y" * 61), {}, "the list of arguments, of which 'b' is the largest (63 bytes), takes"),
        ((1, 2), {"c": "x" * 200}, "argument 'c' takes"),
        ((1, 2, 3, "x" * 200), {}, "argument '*rest[1]' takes"),
        ((1, 2), {"other": list(range(100))}, "argument 'other' takes"),
    ],
)
def test_what_is_too_large_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], named: str) -> None:
    def every(a: Any, b: Any, *rest: Any, c: Any = 0, **more: Any) -> None: ...

    with pytest.raises(PayloadTooLargeError) as caught:
        signature(every).encode(args, kwargs, limit=100)
    assert f"every(): {named} " in caught.value.message
    assert caught.value.argument in named
    assert caught.value.argument


@pytest.mark.parametrize("data", [b"5", b'{"args":[]}', b'{"args":[],"kwargs":[]}', b'{"args":[],"kwargs":{},"x":1}'])
def test_what_is_no_list_of_arguments_is_corrupt(data: bytes) -> None:
    """One error for all of it."""
    with pytest.raises(CorruptPayloadError):
        decode_arguments(Payload(PLAIN_JSON, data), REGISTRY)


def test_keywords_that_are_no_text_are_corrupt() -> None:
    """A dict with other keys is a value, and no keywords."""
    payload = encode({"args": [], "kwargs": {1: 2}}, REGISTRY)
    with pytest.raises(CorruptPayloadError):
        decode_arguments(payload, REGISTRY)


def test_describing_a_function_allows_the_classes_of_its_annotations() -> None:
    """Those of its result too: the result will be stored."""

    def ship(order: samples.Order) -> list[samples.Customer]: ...

    registry = TypeRegistry()
    Signature.of(ship, registry)
    for cls in (samples.Order, samples.Item, samples.Customer):
        assert registry.name_of(cls) is not None
    assert registry.name_of(samples.Checked) is None


# -- the short cut of `payload` --------------------------------------------------------------------------------------


def annotated(a: int, b: str | None = None, c: float = 0.0) -> None: ...
def narrowed(a: bool, b: Annotated[int, Field(ge=0)] = 0, c: Literal["x", "y"] = "x") -> None: ...
def counted(a: int, *rest: int) -> None: ...
def needing(a: Any, *, key: Any) -> None: ...


CALLED = [plain, only, open_ended, annotated, narrowed, counted, needing]
SHORT = st.one_of(
    st.sampled_from(
        [0, 1, True, False, None, 1.0, -0.0, math.nan, math.inf, "x", "\\ud800", "\ud83d\ude00", "\U0001f600"]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([10**637, 10**639, 10**640, 10**5_000, "long" * 200]),
)
ARGUMENTS = st.lists(SHORT | values, max_size=4).map(tuple)


def outcome(make: Callable[[], Payload]) -> Any:
    try:
        return make()
    except (ArgumentError, SerializationError) as error:
        return type(error), str(error), error.facts


@settings(max_examples=400, deadline=None)
@given(
    function=st.sampled_from(CALLED),
    calls=st.lists(st.tuples(ARGUMENTS, st.just({}) | st.fixed_dictionaries({"key": SHORT})), min_size=1, max_size=8),
)
@example(function=plain, calls=[(("\ud83d\ude00",), {})])  # a pair in two halves, which JSON would join
@example(function=annotated, calls=[((1, "x", math.inf), {}), ((1, "x", math.nan), {})])
@example(function=plain, calls=[((10**639,), {}), ((10**640,), {})])
def test_the_short_cut_gives_what_the_long_way_gives(
    function: Callable[..., Any], calls: list[tuple[tuple[Any, ...], dict[str, Any]]]
) -> None:
    """Whatever calls came before, and with the same call made twice."""
    short, long = signature(function), signature(function)
    for args, kwargs in [call for call in calls for _ in range(2)]:
        expected = outcome(lambda args=args, kwargs=kwargs: long.encode(*long.bind(args, kwargs)))  # type: ignore[misc]  # bound at once
        assert expected == outcome(lambda args=args, kwargs=kwargs: short.payload(args, kwargs))  # type: ignore[misc]  # likewise


@pytest.mark.parametrize(("function", "fits", "refused"), [(annotated, 1, "x"), (narrowed, True, 2), (counted, 1, "x")])
def test_a_call_that_fits_lets_no_other_type_through(function: Callable[..., Any], fits: Any, refused: Any) -> None:
    described = signature(function)
    assert described.payload((fits,), {}) == described.payload((fits,), {})
    with pytest.raises(ArgumentError):
        described.payload((refused,), {})

"""Exceptions through a history: the same class, args and text, or an ActivityError that says what it was."""

from __future__ import annotations

import contextlib
import subprocess
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from stent.codec import (
    PLAIN_JSON,
    Payload,
    TypeRegistry,
    decode,
    decode_exception,
    encode,
    encode_exception,
)
from stent.codec.exceptions import MAX_LINKS
from stent.codec.tracebacks import MAX_TRACEBACK_CHARS, RemoteTraceback
from stent.errors import ActivityError, CorruptPayloadError, DivergenceError
from tests.codec import samples
from tests.codec.exactness import assert_same
from tests.codec.strategies import exceptions

REGISTRY = samples.new_registry()


def round_trip(error: BaseException, registry: TypeRegistry = REGISTRY) -> BaseException:
    return decode_exception(encode_exception(error, registry), registry)


def raised(function: Callable[[], Any]) -> BaseException:
    """What a function raises, with its traceback."""
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fail(error: BaseException) -> None:
    raise error


def causes_of(error: BaseException) -> list[type]:
    """The classes of the causes, those of the engine left out."""
    found, link = [], error.__cause__
    while link is not None and not isinstance(link, RemoteTraceback):
        found.append(type(link))
        link = link.__cause__
    return found


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(exceptions)
def test_class_args_text_and_attributes_are_kept(error: BaseException) -> None:
    """As an outcome and as a value."""
    assert_same(error, round_trip(error))
    assert_same([error], decode(encode([error], REGISTRY), REGISTRY))


@dataclass(frozen=True)
class Frozen(Exception):
    part: str


SAMPLES: dict[str, BaseException] = {
    "of Python": ValueError("bad", 3, ("a", {"k": 1})),
    "without args": KeyError(),
    "a file": FileNotFoundError(2, "No such file", "/etc/x", None, "/etc/y"),
    "a subclass of OSError": samples.FileTrouble("orders.csv"),
    "an error of decoding": raised(lambda: b"\xff".decode()),
    "an error of syntax": raised(lambda: compile("1 +", "flow.py", "eval")),
    "an import": raised(lambda: __import__("no_such_module")),
    "an attribute": raised(lambda: object().missing),  # type: ignore[attr-defined]
    "the end of an iterator": StopIteration({"left": 1}),
    "of the library": subprocess.CalledProcessError(3, ["ls"], b"out", b"err"),
    "with an __init__ of its own": samples.Declined(4711, "no funds"),
    "with keywords only": samples.Picky(code=3),
    "a dataclass": samples.Broken("axle", 2),
    "a group": ExceptionGroup("two", [ValueError(1), samples.Declined(1, "x")]),
    "a group of its own": samples.Many("one", [OSError(2, "x")]),
    "of Stent": DivergenceError("changed", fix="go back", run_id="r1", seq=4),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_every_field_that_a_handler_looks_at_is_kept(case: str) -> None:
    """Also what lives outside of args and `__dict__`: errno, filename, lineno, value."""
    error = SAMPLES[case]
    found = round_trip(error)
    assert type(error) is type(found)
    assert str(error) == str(found)
    assert repr(error) == repr(found)
    names = (
        "errno",
        "filename",
        "filename2",
        "strerror",
        "start",
        "reason",
        "lineno",
        "offset",
        "msg",
        "name",
        "value",
    )
    for name in (*names, "returncode", "stderr", "code", "card", "facts", "fix"):
        assert getattr(error, name, None) == getattr(found, name, None), name


def test_a_frozen_dataclass_that_is_an_exception_is_kept() -> None:
    """Its `__setattr__` refuses everything; links and traceback are set beside it."""
    registry = TypeRegistry()
    registry.register(Frozen)

    def broken() -> None:
        raise Frozen("axle") from ValueError("rust")

    found = round_trip(raised(broken), registry)
    assert isinstance(found, Frozen)
    assert ("axle", [ValueError]) == (found.part, causes_of(found))
    assert "in broken" in "".join(traceback.format_exception(found))


def test_causes_contexts_notes_and_suppression_are_kept() -> None:
    """What `raise ... from ...` said."""

    def chained() -> None:
        try:
            raise KeyError("k")
        except KeyError as error:
            with_note = ValueError("bad")
            with_note.add_note("while paying")
            raise with_note from error

    def in_context() -> None:
        try:
            raise KeyError("k")
        except KeyError:
            raise ValueError("bad")  # noqa: B904  # the context is what is kept

    def hidden() -> None:
        try:
            raise KeyError("k")
        except KeyError:
            raise ValueError("bad") from None

    found = round_trip(raised(chained))
    assert ([KeyError], ["while paying"]) == (causes_of(found), found.__notes__)
    found = round_trip(raised(in_context))
    assert KeyError is type(found.__context__)
    assert not found.__suppress_context__
    found = round_trip(raised(hidden))
    assert found.__suppress_context__


def test_a_chain_is_cut_before_it_fills_a_history() -> None:
    """A loop that chains its errors a thousand times, and one whose cause is itself."""
    error: BaseException = ValueError(0)
    for number in range(1000):
        outer = ValueError(number)
        outer.__cause__ = error
        error = outer
    payload = encode_exception(error, REGISTRY)
    assert MAX_LINKS == len(causes_of(decode_exception(payload, REGISTRY)))
    assert len(payload.data) < 20_000
    one, other = ValueError(1), ValueError(2)
    one.__cause__, other.__cause__ = other, one
    assert [ValueError] == causes_of(round_trip(one))


def test_the_traceback_travels_as_text_and_is_shown_as_the_cause() -> None:
    """`raise` in this process prints the frames of the other; the values of variables are not in it."""
    secret = "4711-secret"

    def charge() -> None:
        card = secret
        raise ValueError(f"declined: {len(card)}")

    shown = "".join(traceback.format_exception(round_trip(raised(charge))))
    assert "in charge" in shown
    assert "raise ValueError" in shown
    assert secret not in shown


def test_a_traceback_does_not_nest_when_an_error_travels_on() -> None:
    """Through five runs: the frames of each, one after the other, the first ones unchanged."""
    error = raised(lambda: fail(ValueError("first")))
    sizes = []
    for _ in range(5):
        error = round_trip(error)
        payload = encode_exception(error, REGISTRY)
        sizes.append(len(payload.data))
        assert [] == causes_of(error)
    assert 1 == len(set(sizes))
    again = encode_exception(raised(lambda: fail(error)), REGISTRY).data.decode()
    assert 1 == again.count("Then, in the caller")
    assert again.index("ValueError: first") < again.index("Then, in the caller")


def test_a_traceback_is_bounded() -> None:
    """The beginning and the end of a recursion."""

    def recurse(left: int) -> None:
        if not left:
            raise ValueError("bottom")
        (recurse if left % 2 else lambda rest: recurse(rest))(left - 1)

    text = str(round_trip(raised(lambda: recurse(300))).__cause__)
    assert len(text) < MAX_TRACEBACK_CHARS + 200
    assert "characters left out" in text
    assert "ValueError: bottom" in text


class Unknown(Exception):
    """Of a module that nobody allowed."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def _with_notes(notes: Any) -> BaseException:
    error = ValueError("x")
    error.__notes__ = notes
    return error


OPAQUE: dict[str, tuple[BaseException, str, str]] = {
    "of an unknown class": (Unknown("why"), f"{__name__}:Unknown", "why"),
    "with args that cannot be stored": (ValueError(samples.Stranger), "builtins:ValueError", str(samples.Stranger)),
    "that cannot be printed": (Unprintable(), f"{__name__}:Unprintable", "<unprintable Unprintable>"),
    "the end of the process": (SystemExit(3), "builtins:SystemExit", "3"),
    "a key of the keyboard": (KeyboardInterrupt(), "builtins:KeyboardInterrupt", ""),
}


@pytest.mark.parametrize("case", OPAQUE)
def test_what_cannot_be_kept_becomes_an_activity_error_with_its_name_and_text(case: str) -> None:
    """Nothing that ends a process or is unknown comes out of a history."""
    error, name, text = OPAQUE[case]
    found = round_trip(error)
    assert type(found) is ActivityError
    assert (name, text) == (found.type_name, found.error_message)
    assert name.rpartition(":")[2] in found.message
    assert name.rpartition(":")[2] in found.traceback_text


def test_an_opaque_error_stays_opaque_for_a_reader_that_knows_the_class() -> None:
    """An orchestrator sees on replay what it saw live."""
    payload = encode_exception(Unknown("why"), REGISTRY)
    knowing = TypeRegistry()
    knowing.register(Unknown)
    assert type(decode_exception(payload, knowing)) is ActivityError


def test_a_known_error_is_opaque_for_a_reader_that_does_not_know_the_class() -> None:
    """The name is there, so a retry policy or a person can still tell."""
    found = decode_exception(encode_exception(samples.Declined(1, "x"), REGISTRY), TypeRegistry())
    assert isinstance(found, ActivityError)
    assert "tests.codec.samples:Declined" == found.type_name
    assert "card 1 declined: x" == found.error_message


def test_attributes_that_cannot_be_stored_are_left_out() -> None:
    """An HTTP error comes back without its open response."""
    error = samples.Declined(1, "x")
    error.response = object()  # type: ignore[attr-defined]
    error.attempt = 2  # type: ignore[attr-defined]
    found = round_trip(error)
    assert {"card": 1, "reason": "x", "attempt": 2} == vars(found)


class Refused(Exception):
    """Says what is in an attribute that no history can hold."""

    def __init__(self, response: object) -> None:
        super().__init__()
        self.response = response

    def __str__(self) -> str:
        return f"refused by {type(self.response).__name__}"


def test_an_exception_that_would_say_something_else_afterwards_is_opaque() -> None:
    """Its text is what people and handlers know of it, so it is kept rather than the class."""
    registry = TypeRegistry()
    registry.register(Refused)
    kept = round_trip(Refused(5), registry)
    assert (Refused, "refused by int") == (type(kept), str(kept))
    found = round_trip(Refused(object()), registry)
    assert isinstance(found, ActivityError)
    assert "refused by object" == found.error_message


def test_encoding_an_outcome_never_fails() -> None:
    """Too large, endless, odd notes: the failure is recorded all the same, within the limit or in short."""
    itself = ValueError("x")
    itself.args = (itself,)
    large = ValueError("x" * 3_000_000)
    for error in (itself, large, _with_notes("text"), _with_notes([1, object(), "kept"])):
        payload = encode_exception(error, REGISTRY)
        assert len(payload.data) < 100_000
        assert isinstance(decode_exception(payload, REGISTRY), BaseException)
    assert ["kept"] == round_trip(_with_notes([1, object(), "kept"])).__notes__


_members = st.builds(ValueError, st.text(max_size=3)) | st.builds(samples.Declined, st.integers(), st.text(max_size=3))
_groups = st.recursive(
    _members,
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda some: ExceptionGroup("g", some)),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)
@given(_groups)
def test_groups_of_groups_are_kept(error: BaseException) -> None:
    """Up to the limit of links; the same bytes when it is stored again as a value."""
    payload = encode([error], REGISTRY)
    assert payload == encode(decode(payload, REGISTRY), REGISTRY)


def test_how_deep_the_caller_is_changes_nothing_of_an_exception() -> None:
    """With too little of the stack left a value is refused; it never becomes opaque for that."""
    error: BaseException = ValueError(1)
    for _ in range(5):
        error = ValueError(error, (1, 2))
    payload = encode([error], REGISTRY)
    outcomes: set[Payload] = set()

    def deeper() -> None:
        with contextlib.suppress(Exception):  # border: SerializationError, where the stack ends
            outcomes.add(encode([error], REGISTRY))
        deeper()

    with pytest.raises(RecursionError):
        deeper()
    assert {payload} == outcomes


@pytest.mark.parametrize("data", [b"5", b"{}", b"[", b'"ValueError"'])
def test_a_stored_exception_that_is_none_is_corrupt(data: bytes) -> None:
    """Whatever value stands in its place."""
    with pytest.raises(CorruptPayloadError):
        decode_exception(Payload(PLAIN_JSON, data), REGISTRY)

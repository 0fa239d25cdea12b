"""Instances of users' classes: read as they were made, and what happens when the class has changed since."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, PrivateAttr, field_validator

from stent.codec import Payload, TypeRegistry, decode, encode
from stent.errors import CorruptPayloadError, SerializationError
from tests.codec import samples
from tests.codec.exactness import assert_same


def registry_of(cls: type) -> TypeRegistry:
    registry = TypeRegistry()
    registry.register(cls, "shop:Thing")
    return registry


def reread(value: Any, now: type) -> Any:
    """A value that was written by its own class and is read by the class that has the name now."""
    return decode(encode(value, registry_of(type(value))), registry_of(now))


@dataclass
class Old:
    id: int
    note: str


@dataclass
class Grown:
    id: int
    note: str
    tags: list[str] = field(default_factory=lambda: ["new"])
    count: int = 7


@dataclass
class Demanding:
    id: int
    note: str
    owner: str


@dataclass
class Shrunk:
    id: int


class OldModel(BaseModel):
    id: int
    note: str


class GrownModel(BaseModel):
    id: int
    note: str
    tags: list[str] = ["new"]
    _seen: int = PrivateAttr(default=3)


class DemandingModel(BaseModel):
    id: int
    note: str
    owner: str


class ShrunkModel(BaseModel):
    id: int


class OldPair(NamedTuple):
    id: int
    note: str


class GrownPair(NamedTuple):
    id: int
    note: str
    count: int = 7


class DemandingPair(NamedTuple):
    id: int
    note: str
    owner: str


class ShrunkPair(NamedTuple):
    id: int


@pytest.mark.parametrize(
    ("old", "now", "expected"),
    [
        (Old(1, "x"), Grown, Grown(1, "x", ["new"], 7)),
        (OldModel(id=1, note="x"), GrownModel, GrownModel(id=1, note="x")),
        (OldPair(1, "x"), GrownPair, GrownPair(1, "x", 7)),
    ],
)
def test_a_field_that_is_newer_than_the_record_gets_its_default(old: Any, now: type, expected: Any) -> None:
    """Old histories go on with new code."""
    found = reread(old, now)
    assert_same(expected, found)
    assert getattr(expected, "_seen", None) == getattr(found, "_seen", None)


@pytest.mark.parametrize(
    ("old", "now", "problem", "fix"),
    [
        (Old(1, "x"), Demanding, "without 'owner'", "give the new field a default"),
        (OldModel(id=1, note="x"), DemandingModel, "without 'owner'", "give the new field a default"),
        (OldPair(1, "x"), DemandingPair, "without 'owner'", "give the new field a default"),
        (Old(1, "x"), Shrunk, "with 'note'", "keep the field"),
        (OldModel(id=1, note="x"), ShrunkModel, "with 'note'", "keep the field"),
        (OldPair(1, "x"), ShrunkPair, "with 'note'", "keep the field"),
    ],
)
def test_a_record_that_does_not_fit_any_more_is_an_error_with_a_way_out(
    old: Any, now: type, problem: str, fix: str
) -> None:
    """Dropping or inventing data could change what the program does. The bytes are not called corrupt."""
    with pytest.raises(SerializationError, match=problem) as caught:
        reread(old, now)
    assert not isinstance(caught.value, CorruptPayloadError)
    assert fix in caught.value.fix


def test_a_member_that_is_gone_is_an_error() -> None:
    """It is not guessed from its value."""
    with pytest.raises(SerializationError, match="'LOW', which") as caught:
        reread(samples.Tone.LOW, enum.Enum("Tone", {"HIGH": "high", "DEEP": "low"}))
    assert "keep the member" in caught.value.fix


class Watched:
    """Whatever runs while a value is read is written down here."""

    ran: list[str] = []


@dataclass
class Loud(Watched):
    id: int

    def __post_init__(self) -> None:
        self.ran.append("__post_init__")

    def __setattr__(self, name: str, value: Any) -> None:
        self.ran.append("__setattr__")
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        self.ran.append("__eq__")
        return True

    __hash__ = None  # type: ignore[assignment]


class LoudModel(BaseModel):
    id: int

    def __init__(self, **given: Any) -> None:
        Watched.ran.append("__init__")
        super().__init__(**given)

    @field_validator("id")
    @classmethod
    def check(cls, value: int) -> int:
        Watched.ran.append("validator")
        return value

    def model_post_init(self, context: Any, /) -> None:
        Watched.ran.append("model_post_init")


class LoudPair(NamedTuple("LoudPair", [("id", int)])):
    __slots__ = ()

    def __new__(cls, id: int) -> LoudPair:
        Watched.ran.append("__new__")
        return super().__new__(cls, id)


@pytest.mark.parametrize("make", [lambda: Loud(1), lambda: LoudModel(id=1), lambda: LoudPair(1)])
def test_reading_and_writing_run_no_code_of_the_class(make: Callable[[], Any]) -> None:
    """The value was made once; it is not made again."""
    value = make()
    registry = registry_of(type(value))
    Watched.ran.clear()
    found = decode(encode(value, registry), registry)
    assert [] == Watched.ran
    assert (type(value), 1) == (type(found), found.id)


def test_state_besides_the_fields_is_kept_and_cached_properties_are_not() -> None:
    """What a program put on the instance comes back; what can be computed is computed."""
    registry = samples.new_registry()
    counted = samples.Counted(3)
    counted.seen.append(4)
    assert 6 == counted.doubled
    found = decode(encode(counted, registry), registry)
    assert ({"start": 3, "seen": [3, 4]}, 6) == (dict(vars(found)), found.doubled)
    customer = samples.Customer(id=1)
    customer._visits = 5
    assert "NOBODY" == customer.shout
    found = decode(encode(customer, registry), registry)
    assert (5, {"id"}, ["id", "name"]) == (found._visits, found.model_fields_set, list(vars(found)))


def test_a_class_whose_fields_share_a_name_is_no_named_tuple() -> None:
    """Two values under one name could not both come back."""
    twice = type("Twice", (tuple,), {"_fields": ("x", "x"), "_make": tuple, "__module__": samples.__name__})
    with pytest.raises(SerializationError, match="subclass of tuple"):
        encode(twice((1, 2)), samples.new_registry())


def test_defaults_are_made_anew_for_each_value() -> None:
    """Two old records do not share one new list."""
    data = encode([Old(1, "x"), Old(2, "y")], registry_of(Old))
    one, other = decode(Payload(*data), registry_of(Grown))
    one.tags.append("mine")
    assert ["new"] == other.tags

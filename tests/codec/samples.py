"""Classes of every kind that the codec keeps, for its tests. The module counts as one with durable functions."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel

from stent.codec import TypeRegistry

T = TypeVar("T")


def new_registry() -> TypeRegistry:
    """A registry that allows the classes of this module."""
    registry = TypeRegistry()
    registry.allow_module(__name__)
    return registry


class Color(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796  # an alias, on purpose
    BLUE = object()


class Tone(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


class Mode(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4
    READ_WRITE = 3


class Bits(enum.IntFlag):
    A = 1
    B = 2


@dataclass
class Item:
    sku: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Order:
    id: int
    items: tuple[Item, ...] = ()
    note: str | None = None


@dataclass
class Box(Generic[T]):
    content: T


@dataclass(frozen=True)
class Base:
    kind: Any


@dataclass(frozen=True)
class Derived(Base):
    more: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "more", ["made", self.kind])


@dataclass
class Counted:
    """Keeps state besides its fields."""

    start: int
    handle: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.seen = [self.start]

    @functools.cached_property
    def doubled(self) -> int:
        return self.start * 2


class WithSlot:
    __slots__ = ("hidden",)


@dataclass
class Slotted(WithSlot):
    __slots__ = ("shown",)
    shown: int


class Plainly(Item):
    """Inherits a dataclass and is none itself."""


@pydantic.dataclasses.dataclass
class Checked:
    amount: int


class Point(NamedTuple):
    x: Any
    y: Any = 0


OldPoint = collections.namedtuple("OldPoint", "x y")


class Customer(BaseModel):
    id: int
    name: Any = "nobody"
    _visits: int = PrivateAttr(default=0)
    _cache: Any = PrivateAttr()

    @functools.cached_property
    def shout(self) -> str:
        return str(self.name).upper()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    id: Any


class Tags(RootModel[list[str]]):
    pass


class Crate(BaseModel, Generic[T]):
    content: T


class Outer:
    @dataclass
    class Inner:
        value: Any


class Declined(Exception):
    def __init__(self, card: Any, reason: str) -> None:
        super().__init__(f"card {card} declined: {reason}")
        self.card = card
        self.reason = reason


class Picky(Exception):
    """Wants keyword arguments, and says what is in its attributes."""

    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class FileTrouble(OSError):
    def __init__(self, name: str) -> None:
        super().__init__(2, "no such thing", name)
        self.name = name


class Many(ExceptionGroup[Exception]):
    pass


@dataclasses.dataclass
class Broken(Exception):
    part: str
    count: int = 0


class ListOf(list[Any]):
    pass


class Word(str):
    __slots__ = ()


@dataclass
class DataList(list[Any]):
    name: str = ""


class Stranger:
    pass

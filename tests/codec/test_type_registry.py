"""Names in bytes lead to allowed classes only; nothing is imported, and what is written can be read again."""

from __future__ import annotations

import enum
import json
import sys
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, NamedTuple, TypedDict

import pytest
from pydantic import BaseModel

from stent.codec import TAGGED_JSON, Payload, TypeRegistry, decode, decode_exception, encode
from stent.errors import ActivityError, LeaseLostError, OptionError, SerializationError, UnknownTypeError
from tests.codec import samples

SAMPLES = "tests.codec.samples"


def read(document: Any, registry: TypeRegistry) -> Any:
    return decode(Payload(TAGGED_JSON, json.dumps(document).encode()), registry)


# -- what bytes may not do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["antigravity:fly", "this:s", "idlelib.run:main", "turtledemo:x", "lib2to3.main:main"])
@pytest.mark.parametrize("tag", ["dataclass", "model", "enum", "namedtuple", "exception"])
def test_a_name_in_bytes_imports_nothing(name: str, tag: str) -> None:
    """Modules that are not loaded stay so, whatever the bytes say they hold, and even if their name is allowed."""
    registry = samples.new_registry()
    registry.allow_module(name.partition(":")[0])
    loaded = set(sys.modules)
    document = {"$": tag, "of": name, "v": {}, "set": [], "text": "", "args": []}
    if tag == "exception":
        assert isinstance(read(document, registry), ActivityError)
    else:
        with pytest.raises(UnknownTypeError):
            read(document, registry)
    assert loaded == set(sys.modules)


GADGETS = [
    "os:system", "posix:system", "subprocess:Popen", "subprocess:run", "builtins:eval", "builtins:exec",
    "builtins:type", "builtins:object", "builtins:SystemExit", "builtins:KeyboardInterrupt", "builtins:GeneratorExit",
    "builtins:Exception.__init__", "stent.errors:StentError.__init__", "stent.errors:Any", "shutil:rmtree",
    f"{SAMPLES}:Stranger", f"{SAMPLES}:Item", f"{SAMPLES}:Declined.__class__", f"{SAMPLES}:collections.OrderedDict",
]  # fmt: skip


@pytest.mark.parametrize("name", GADGETS)
def test_an_exception_in_bytes_calls_nothing_but_exceptions(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """`os:system` with a command as its argument is a name to show, and nothing more."""
    document = {"$": "exception", "of": name, "text": "said", "args": ["echo owned"], "attributes": {"a": 1}}
    found = decode_exception(Payload(TAGGED_JSON, json.dumps(document).encode()), samples.new_registry())
    assert type(found) is ActivityError
    assert (name, "said") == (found.type_name, found.error_message)
    assert ("", "") == capfd.readouterr()


def test_an_attribute_in_bytes_runs_no_code_of_the_class() -> None:
    """No `__setattr__`, no property, no `__init__`, no `__reduce__`: attributes are put where they belong, as data."""

    class Loaded(Exception):
        def __init__(self) -> None:
            raise AssertionError("__init__ ran")

        def __setattr__(self, name: str, value: object) -> None:
            raise AssertionError("__setattr__ ran")

        def __reduce__(self) -> Any:
            raise AssertionError("__reduce__ ran")

    registry = TypeRegistry()
    registry.register(Loaded, "shop:Loaded")
    attributes = {"note": "x", "__class__": "y", "__init__": "z"}
    found = read({"$": "exception", "of": "shop:Loaded", "text": "", "args": [], "attributes": attributes}, registry)
    assert type(found) is Loaded
    assert attributes == vars(found)


def test_a_class_of_another_module_is_refused_under_an_allowed_one() -> None:
    """`from x import Order` does not make Order a class of the importing module."""
    module = ModuleType("shop_for_this_test")
    module.Item = samples.Item  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        registry = TypeRegistry()
        registry.allow_module(module.__name__)
        for name in (f"{module.__name__}:Item", f"{SAMPLES}:Item"):
            with pytest.raises(UnknownTypeError):
                registry.class_of(name, "dataclass")
    finally:
        del sys.modules[module.__name__]


def test_a_class_of_a_module_that_nobody_allowed_is_refused_both_ways() -> None:
    """Writing follows the rules of reading, so nothing is written that cannot be read."""
    data = encode(samples.Item("a"), samples.new_registry())
    empty = TypeRegistry()
    with pytest.raises(UnknownTypeError, match=f"{SAMPLES}:Item"):
        decode(data, empty)
    with pytest.raises(SerializationError, match="no reader could find again"):
        encode(samples.Item("a"), empty)


@pytest.mark.parametrize(
    ("name", "tag"), [("Item", "model"), ("Color", "dataclass"), ("Point", "enum"), ("Tags", "namedtuple")]
)
def test_a_class_is_read_as_what_it_is_only(name: str, tag: str) -> None:
    """The kind in the bytes must be that of the class."""
    with pytest.raises(UnknownTypeError, match=f"as a {tag}, but here it is"):
        read({"$": tag, "of": f"{SAMPLES}:{name}", "v": {}, "set": []}, samples.new_registry())


def test_a_module_with_a_getattr_of_its_own_is_not_asked() -> None:
    """Looking up a name runs no code of the module."""
    module = ModuleType("lazy_for_this_test")

    def refuse(name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    module.__getattr__ = refuse  # type: ignore[method-assign]
    sys.modules[module.__name__] = module
    try:
        registry = TypeRegistry()
        registry.allow_module(module.__name__)
        with pytest.raises(UnknownTypeError):
            registry.class_of(f"{module.__name__}:Order", "dataclass")
    finally:
        del sys.modules[module.__name__]


# -- what is allowed --------------------------------------------------------------------------------------------------


def test_an_allowed_module_gives_its_own_classes_nested_ones_too() -> None:
    """What it defines at its top level or inside its classes."""
    registry = samples.new_registry()
    assert samples.Item is registry.class_of(f"{SAMPLES}:Item", "dataclass")
    assert samples.Outer.Inner is registry.class_of(f"{SAMPLES}:Outer.Inner", "dataclass")
    assert f"{SAMPLES}:Outer.Inner" == registry.name_of(samples.Outer.Inner)
    assert registry.name_of(samples.Stranger) is None


@pytest.mark.parametrize(
    "cls", [ValueError, KeyError, TimeoutError, ExceptionGroup, json.JSONDecodeError, LeaseLostError]
)
def test_exceptions_of_python_and_stent_need_no_permission(cls: type[BaseException]) -> None:
    """Every program may store them."""
    registry = TypeRegistry()
    name = registry.name_of(cls)
    assert name is not None
    assert cls is registry.class_of(name, "exception")


class Leaf(BaseModel):
    size: int


@dataclass
class Branch:
    leaves: list[Leaf]


class Pair(NamedTuple):
    one: Branch
    other: "Kind | None"  # noqa: UP037  # resolved when it is defined, as an older program would have it


class Kind(enum.Enum):
    OAK = 1


class Options(TypedDict):
    pair: Pair


class Unmentioned(BaseModel):
    pass


async def plant(tree: Annotated[dict[str, Options | int], "a tree"]) -> None: ...


def test_annotations_allow_the_classes_that_they_mention_fields_included() -> None:
    """A function's signature says what it takes; nothing else of its module is allowed by it."""
    registry = TypeRegistry()
    registry.register_annotations(plant)
    for cls in (Leaf, Branch, Pair, Kind):
        assert registry.name_of(cls) is not None, cls
    assert registry.name_of(Unmentioned) is None


def test_an_annotation_that_cannot_be_resolved_yet_is_tried_again() -> None:
    """A class that is defined after its function, without losing the other annotations."""
    space: dict[str, Any] = {"__name__": "later_for_this_test", "Item": samples.Item}
    exec("from __future__ import annotations\nasync def ship(item: Item, where: Address) -> None: ...", space)
    registry = TypeRegistry()
    registry.register_annotations(space["ship"])
    assert registry.name_of(samples.Item) is not None
    address: type = dataclass(type("Address", (), {"__module__": "later_for_this_test"}))
    assert registry.name_of(address) is None
    space["Address"] = address
    assert "later_for_this_test:Address" == registry.name_of(address)


def test_a_registered_class_has_the_name_it_was_given_and_its_older_ones() -> None:
    """Written under the first name; read under each."""
    registry = TypeRegistry()
    registry.register(samples.Item, "shop:Article", aliases=["shop:Item", "shop.old:Thing"])
    assert b"shop:Article" in encode(samples.Item("a"), registry).data
    for name in ("shop:Article", "shop:Item", "shop.old:Thing"):
        document = {"$": "dataclass", "of": name, "v": {"sku": "a", "count": 1}}
        assert samples.Item("a") == read(document, registry)


def test_a_name_belongs_to_one_class() -> None:
    """A second class under it is an error; the same class again, or a cell run again, is not."""
    registry = TypeRegistry()
    registry.register(samples.Item, "shop:Item")
    registry.register(samples.Item, "shop:Item")
    with pytest.raises(OptionError, match="already belongs to"):
        registry.register(samples.Order, "shop:Item")
    again: type = dataclass(type("Item", (), {"__module__": SAMPLES, "__annotations__": {"sku": str}}))
    registry.register(again, "shop:Item")
    assert again is registry.class_of("shop:Item", "dataclass")
    assert registry.name_of(samples.Item) is None


@pytest.mark.parametrize("name", ["", "x" * 301, "a\nb", "builtins:ValueError"])
def test_a_name_that_means_nothing_or_something_else_is_refused(name: str) -> None:
    """Nobody takes the place of Python's own exceptions."""
    with pytest.raises(OptionError, match="no name for a class"):
        TypeRegistry().register(samples.Item, name)


@pytest.mark.parametrize("item", [samples.Stranger, samples.ListOf, int, len, samples.Item("a")])
def test_what_cannot_be_stored_cannot_be_registered(item: Any) -> None:
    """With the kinds that can be."""
    with pytest.raises(OptionError, match="cannot be registered"):
        TypeRegistry().register(item)


def test_threads_find_a_class_that_is_resolved_late() -> None:
    """While one looks again at what was incomplete, another does not miss the class."""
    space: dict[str, Any] = {"__name__": "threads_for_this_test"}
    exec("from __future__ import annotations\nasync def ship(where: Address) -> None: ...", space)
    registry = TypeRegistry()
    registry.register_annotations(space["ship"])
    address: type = dataclass(type("Address", (), {"__module__": "threads_for_this_test"}))
    space["Address"] = address
    found: list[str | None] = []
    start = threading.Barrier(8)

    def look() -> None:
        start.wait()
        found.append(registry.name_of(address))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["threads_for_this_test:Address"] * 8 == found

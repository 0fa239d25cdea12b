"""The static walk finds what code refers to, however it is written, without running any of it."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from stent.replay import walker
from stent.replay.walker import durable_record, is_users_code, plain_function, references
from tests.replay import shop_helpers as helpers_module
from tests.replay.driver import durable, record
from tests.replay.shop_helpers import ship


@durable
async def pay(amount: int) -> int:
    return amount


DISPATCH = {"pay": pay}


def found(body: Any) -> list[Any]:
    """The durable functions that a body refers to."""
    return [reference.value for reference in references(body) if durable_record(reference.value) is not None]


async def by_global_name() -> None:
    await pay(1)


async def by_module_attribute() -> None:
    await helpers_module.ship(1)


async def in_a_nested_function() -> None:
    async def inner() -> None:
        await pay(1)

    await inner()


async def in_a_lambda() -> Any:
    return [task() for task in [lambda: pay(1)]]


async def in_a_comprehension() -> Any:
    return await asyncio.gather(*[pay(each) for each in range(3)])


async def as_an_argument() -> Any:
    return await asyncio.gather(*map(pay, range(3)))


async def through_a_helper() -> None:
    await users_helper()


async def users_helper() -> None:
    await another_helper()


async def another_helper() -> None:
    await pay(1)


async def through_a_recursive_helper() -> None:
    await recursive(3)


async def recursive(count: int) -> None:
    if count:
        await recursive(count - 1)
    await pay(count)


partial_pay = functools.partial(pay, 1)
partial_helper = functools.partial(users_helper)


async def through_a_partial() -> None:
    await partial_pay()


async def through_a_partial_of_a_helper() -> None:
    await partial_helper()


async def by_a_name_given_in_the_function() -> None:
    chosen = pay
    await chosen(1)


async def by_from_import() -> Any:
    from tests.replay.shop_helpers import ship

    return await ship(1)


async def by_from_import_of_many() -> Any:
    from tests.replay.shop_helpers import NOTHING, plain_helper, ship

    return await ship(1), NOTHING, plain_helper


async def by_import() -> Any:
    import tests.replay.shop_helpers

    return await tests.replay.shop_helpers.ship(1)


async def by_import_as() -> Any:
    import tests.replay.shop_helpers as shop

    return await shop.ship(1)


async def by_from_import_of_a_module() -> Any:
    from tests.replay import shop_helpers

    return await shop_helpers.ship(1)


async def by_relative_import() -> Any:
    from .shop_helpers import ship

    return await ship(1)


async def by_an_import_used_in_a_nested_function() -> Any:
    from tests.replay.shop_helpers import ship

    async def inner() -> Any:
        return await ship(1)

    return await inner()


async def by_a_module_imported_around_a_nested_function() -> Any:
    import tests.replay.shop_helpers as shop

    async def inner() -> Any:
        return await shop.ship(1)

    return await inner()


async def after_other_code() -> Any:
    text = json.dumps({"a": 1}).strip()
    numbers = sorted([3, 1], key=lambda number: -number)
    try:
        async with asyncio.timeout(1):
            return await pay(len(text) + numbers[0])
    except TimeoutError:
        return None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (by_global_name, pay),
        (by_module_attribute, ship),
        (in_a_nested_function, pay),
        (in_a_lambda, pay),
        (in_a_comprehension, pay),
        (as_an_argument, pay),
        (through_a_helper, pay),
        (through_a_recursive_helper, pay),
        (through_a_partial, partial_pay),
        (through_a_partial_of_a_helper, pay),
        (by_a_name_given_in_the_function, pay),
        (by_from_import, ship),
        (by_from_import_of_many, ship),
        (by_import, ship),
        (by_import_as, ship),
        (by_from_import_of_a_module, ship),
        (by_relative_import, ship),
        (by_an_import_used_in_a_nested_function, ship),
        (by_a_module_imported_around_a_nested_function, ship),
        (after_other_code, pay),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_durable_function_is_found(body: Callable[..., Any], expected: Any) -> None:
    assert expected in found(body)


def test_a_durable_function_is_found_in_a_closure() -> None:
    @durable
    async def nested(amount: int) -> int: ...

    async def body() -> int:
        return int(await nested(1))

    assert [nested] == found(body)


class Shop:
    """Methods are found by their qualified name."""

    async def checkout(self) -> None:
        await self.charge()

    async def charge(self) -> None:
        await pay(1)

    @classmethod
    async def open(cls) -> None:
        await cls.help()

    @staticmethod
    async def help() -> None:
        await pay(1)


@pytest.mark.parametrize("body", [Shop.checkout, Shop().checkout, Shop.open, Shop.help])
def test_methods_are_followed_through_self_and_cls(body: Any) -> None:
    assert [pay] == found(body)


async def only_plain() -> Any:
    return helpers_module.plain_helper(json.loads("1"))


def test_code_without_durable_calls_has_none() -> None:
    assert [] == found(only_plain)
    assert [] == found(len), "what is no Python function has no code to walk"


def test_a_reference_says_what_is_written_and_where() -> None:
    (reference,) = [each for each in references(by_module_attribute) if each.value is ship]
    assert "helpers_module.ship" == reference.text
    line = by_module_attribute.__code__.co_firstlineno + 1
    assert f"tests/replay/test_walker.py:{line} in by_module_attribute()" == str(reference.site)


def test_entries_of_containers_are_told_apart_from_other_objects() -> None:
    assert [pay] == list(walker.contents(DISPATCH))
    assert [1, 2] == list(walker.contents((1, 2)))
    assert [] == list(walker.contents("text"))


def test_no_code_of_anybody_is_run() -> None:
    class Trap:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was looked up")

    trap = Trap()

    async def body() -> Any:
        return trap.anything.more

    assert [] == found(body)


def test_the_library_is_not_walked() -> None:
    assert is_users_code(users_helper.__code__)
    assert not is_users_code(json.dumps.__code__)
    assert not is_users_code(references.__code__)


def test_the_function_behind_a_wrapper() -> None:
    assert users_helper is plain_function(functools.partial(functools.partial(users_helper)))
    assert Shop.help is plain_function(staticmethod(Shop.help))
    assert plain_function(5) is None


def test_the_record_of_a_durable_function() -> None:
    assert record(pay) is durable_record(pay)
    assert record(pay) is durable_record(functools.partial(pay, 1))
    assert durable_record(users_helper) is None
    assert durable_record(type(pay)) is None

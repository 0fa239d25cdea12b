"""What type checkers know of durable functions: their calls keep arguments and results. Checked by mypy, never run."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, assert_type

from stent import Durable, RetryPolicy, Stent


@Stent.durable
async def number(text: str) -> int:
    return int(text)


@Stent.durable
async def text(number: int, *, width: int = 0) -> str:
    return str(number).rjust(width)


@Stent.durable(max_concurrent=5, retry_policy=RetryPolicy(max_attempts=3), timeout="30s")
async def limited(data: dict[str, int]) -> list[int]:
    return list(data.values())


@Stent.durable
def plain(number: int) -> bytes:
    return bytes(number)


@Stent.durable(queue="slow")
def plain_with_options(number: int) -> bytes:
    return bytes(number)


@Stent.durable
async def load(name: str, /) -> dict[str, Any]:
    return {"name": name}


@Stent.durable
async def store(data: dict[str, Any]) -> int:
    return len(data)


@Stent.durable(queue="slow")
async def store_later(data: dict[str, Any]) -> int:
    return len(data)


@Stent.durable
def plain_store(data: Any) -> int:
    return len(str(data))


class Shop:
    @Stent.durable
    async def price(self, name: str) -> float:
        return float(len(name))

    @Stent.durable
    async def sell(self, order: dict[str, Any], count: int) -> int:
        return len(order) * count


async def a_call_has_the_result_of_its_function() -> None:
    assert_type(await number("1"), int)
    assert_type(await text(1, width=3), str)
    assert_type(await limited({"a": 1}), list[int])
    assert_type(await plain(1), bytes)
    assert_type(await plain_with_options(1), bytes)


async def gather_keeps_the_types_of_its_elements() -> None:
    assert_type(await asyncio.gather(number("1"), text(2)), tuple[int, str])
    assert_type(await asyncio.gather(*[number(each) for each in "123"]), list[int])
    assert_type(
        await asyncio.gather(number("1"), text(2), return_exceptions=True),
        tuple[int | BaseException, str | BaseException],
    )


async def a_call_is_taken_wherever_asyncio_takes_a_coroutine() -> None:
    assert_type(asyncio.create_task(number("1")), asyncio.Task[int])
    assert_type(await asyncio.wait_for(number("1"), 5), int)
    assert_type(await asyncio.shield(text(1)), str)
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(text(1)), asyncio.Task[str])
    for each in asyncio.as_completed([number("1"), number("2")]):
        assert_type(await each, int)


async def options_change_nothing_about_the_types() -> None:
    assert_type(await number.options(timeout=timedelta(seconds=3), queue="slow", id="one")("1"), int)
    assert_type(await text.options(retry_policy=RetryPolicy()).map([1, 2]), list[str])


async def a_map_is_a_list_of_results() -> None:
    assert_type(await Stent.map(number, ["1", "2"]), list[int])
    assert_type(await number.map(["1", "2"], limit=3), list[int])
    assert_type(await text.starmap([(1,), (2,)]), list[str])
    async for index, result in Stent.map_as_completed(text, range(3)):
        assert_type(index, int)
        assert_type(result, str)


async def a_map_that_returns_exceptions_says_so(is_wanted: bool) -> None:
    assert_type(await Stent.map(number, ["1"], return_exceptions=True), list[int | BaseException])
    assert_type(await number.map(["1"], return_exceptions=True), list[int | BaseException])
    assert_type(await number.map(["1"], return_exceptions=is_wanted), list[int | BaseException])
    assert_type(await number.map(["1"], return_exceptions=False), list[int])
    assert_type(await text.starmap([(1,)], return_exceptions=True), list[str | BaseException])
    async for pair in Stent.map_as_completed(text, range(3), return_exceptions=True):
        assert_type(pair, tuple[int, str | BaseException])


async def any_in_an_annotation_costs_no_other_type() -> None:
    assert_type(load, Durable[[str], dict[str, Any]])
    assert_type(await store({"a": 1}), int)
    assert_type(await store_later({"a": 1}), int)
    assert_type(await plain_store(1), int)
    assert_type(await store.map([{}]), list[int])
    assert_type(await Shop().sell({"a": 1}, 2), int)
    await store(1)  # type: ignore[arg-type]  # a dict is asked for


async def gather_is_that_of_asyncio(is_wanted: bool) -> None:
    assert_type(await Stent.gather(number("1"), text(2)), tuple[int, str])
    assert_type(await Stent.gather(number("1"), text(2), plain(1)), tuple[int, str, bytes])
    assert_type(await Stent.gather(*[number("1")]), list[int])
    assert_type(
        await Stent.gather(number("1"), text(2), return_exceptions=True),
        tuple[int | BaseException, str | BaseException],
    )
    assert_type(await Stent.gather(*[number("1")], return_exceptions=is_wanted), list[int | BaseException])


async def wrong_arguments_are_errors() -> None:
    await number(1)  # type: ignore[arg-type]  # a text is asked for
    await text("1")  # type: ignore[arg-type]  # a number is asked for
    await text(1, 2)  # type: ignore[call-arg]  # width is a keyword
    await number()  # type: ignore[call-arg]  # nothing given
    await number.options(quick=True)("1")  # type: ignore[call-arg]  # no such option
    await Stent.map(len, ["1"])  # type: ignore[call-overload]  # not durable
    found: str = await number("1")  # type: ignore[assignment]  # it is an int
    del found


def wrong_options_are_errors() -> None:
    Stent.durable(max_concurrent="5")  # type: ignore[call-overload]  # a number is asked for
    Stent.durable(role="worker")  # type: ignore[call-overload]  # one of two words


async def a_method_is_bound() -> None:
    assert_type(await Shop().price("tea"), float)
    assert_type(await Shop.price(Shop(), "tea"), float)
    await Shop().price(1)  # type: ignore[arg-type]  # a text is asked for

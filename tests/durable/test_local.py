"""Durable functions with nothing configured: plain coroutines with the same checks and the same round trip."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from stent import Stent
from stent.errors import ArgumentError, PlaceError, SerializationError


@dataclass
class Order:
    id: int
    notes: tuple[str, ...] = ()


class Refused(Exception):
    """An error of the user's own."""


@Stent.durable
async def double(number: int) -> int:
    if number < 0:
        raise Refused(f"no {number}")
    return number * 2


@Stent.durable
def plain(number: int) -> int:
    return number + 1


@Stent.durable
async def total(numbers: list[int]) -> int:
    return sum(await asyncio.gather(*[double(number) for number in numbers]))


@Stent.durable
async def rename(order: Order) -> Order:
    return Order(order.id, (*order.notes, "renamed"))


@Stent.durable
async def broken() -> Any:
    return object()


@Stent.durable
async def countdown(left: int, log: list[int]) -> list[int]:
    if left:
        Stent.continue_as_new(left - 1, [*log, left])
    return log


async def test_a_call_is_the_function() -> None:
    assert (6, 4, 12) == (await double(3), await plain(3), await total([1, 2, 3]))


async def test_the_types_take_the_round_trip() -> None:
    assert Order(1, ("renamed",)) == await rename(Order(1))


async def test_wrong_arguments_are_refused_at_the_call() -> None:
    with pytest.raises(ArgumentError, match="number"):
        double("three")  # type: ignore[arg-type]  # the mistake itself


async def test_a_result_that_could_not_be_stored_is_refused_here_too() -> None:
    with pytest.raises(SerializationError, match="result"):
        await broken()


async def test_the_error_is_the_very_one() -> None:
    with pytest.raises(Refused, match="no -1"):
        await double(-1)


async def test_map_keeps_the_order_and_takes_any_iterable() -> None:
    assert [0, 2, 4] == await Stent.map(double, (number for number in range(3)))
    assert [] == await double.map([])
    assert [2, 3] == await plain.starmap([(1,), (2,)], limit=1)


async def test_map_gives_errors_or_raises_them() -> None:
    found = await Stent.map(double, [1, -1], return_exceptions=True)
    assert (2, Refused) == (found[0], type(found[1]))
    with pytest.raises(Refused):
        await Stent.map(double, [1, -1])


async def test_a_limit_bounds_how_many_run() -> None:
    running, most = 0, 0

    @Stent.durable(role="activity")
    async def watched(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert list(range(20)) == await Stent.map(watched, range(20), limit=3)
    assert 3 == most


async def test_a_stream_gives_every_pair_once() -> None:
    pairs = [pair async for pair in Stent.map_as_completed(double, [3, 1, 2])]
    assert [(0, 6), (1, 2), (2, 4)] == sorted(pairs)


async def test_continue_as_new_goes_round() -> None:
    assert [3, 2, 1] == await countdown(3, [])


async def test_time_and_chance_are_real() -> None:
    await Stent.sleep(timedelta(0))
    assert Stent.now().tzinfo is not None
    assert Stent.uuid4() != Stent.uuid4()
    assert 0 <= Stent.random().random() < 1
    assert Stent.patched("anything")


async def test_signals_need_a_run() -> None:
    with pytest.raises(PlaceError, match="orchestrator"):
        await Stent.wait_for_signal("go")
    with pytest.raises(PlaceError):
        Stent.context()

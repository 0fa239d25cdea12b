"""What can be a durable function, where it may be called, and what its calls refuse."""

from __future__ import annotations

import asyncio
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from stent import ActivityError, RetryPolicy, SerializationError, Stent
from stent.backends import SQLiteBackend
from stent.errors import (
    ArgumentError,
    DuplicateFunctionError,
    ForbiddenInOrchestratorError,
    MixedRoleError,
    NotConfiguredError,
    OptionError,
    OrchestratorDeadlockError,
    PlaceError,
    RoleError,
)
from stent.history.events import CallScheduled

PATIENCE_S = 10

# -- kinds of functions ------------------------------------------------------------------------------------------------


@Stent.durable
def plain(number: int) -> tuple[int, bool]:
    return number + 1, threading.current_thread() is threading.main_thread()


@Stent.durable
async def call_plain(number: int) -> Any:
    return await plain(number)


async def test_a_plain_def_runs_in_a_thread_of_its_own(executor: Stent) -> None:
    assert (2, False) == await plain(1)
    assert (3, False) == await call_plain(2)


async def test_plain_defs_run_side_by_side(executor: Stent) -> None:
    meeting = threading.Barrier(3, timeout=PATIENCE_S)

    @Stent.durable
    def meet(number: int) -> int:
        meeting.wait()
        return number

    assert [0, 1, 2] == await meet.map(range(3))


@dataclass
class Shop:
    name: str
    prices: dict[str, int]

    @Stent.durable
    async def price(self, item: str) -> int:
        return self.prices[item]

    @Stent.durable
    async def total(self, items: list[str]) -> str:
        return f"{self.name}: {sum(await asyncio.gather(*[self.price(item) for item in items]))}"

    @staticmethod
    @Stent.durable
    async def open_at(hour: int) -> bool:
        return hour > 8


async def test_methods_are_durable_and_take_their_instance_along(executor: Stent) -> None:
    shop = Shop("corner", {"apple": 2, "pear": 3})
    assert "corner: 5" == await shop.total(["apple", "pear"])
    assert [2, 3] == await shop.price.map(["apple", "pear"])
    run_id = await executor.dispatch(shop.total, ["apple"])
    assert "corner: 2" == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    assert await Shop.open_at(9)


async def test_nested_functions_are_durable(executor: Stent) -> None:
    @Stent.durable
    async def inner(text: str) -> str:
        return text.upper()

    @Stent.durable
    async def outer(text: str) -> str:
        return await inner(text) + "!"

    assert "HELLO!" == await outer("hello")


async def test_keyword_and_default_arguments_are_as_in_any_call(executor: Stent) -> None:
    @Stent.durable
    async def join(first: str, *rest: str, by: str = "-", **named: int) -> str:
        return by.join([first, *rest, *[f"{name}={value}" for name, value in named.items()]])

    @Stent.durable
    async def join_inside() -> list[str]:
        return [await join("a", "b", c=1), await join("a", by="/"), await join.options(priority=1)("x", "y", by="")]

    assert "a-b" == await join("a", "b")
    assert ["a-b-c=1", "a", "xy"] == await join_inside()


async def test_a_conditional_durable_call_makes_an_orchestrator_of_those_runs_that_make_it(executor: Stent) -> None:
    called = {"by name": plain}

    @Stent.durable
    async def sometimes(name: str) -> Any:
        found = called.get(name)
        return "nothing" if found is None else (await found(1))[0]

    assert "nothing" == await sometimes("unknown")
    assert 2 == await sometimes("by name")


# -- three places ------------------------------------------------------------------------------------------------------


async def test_with_nothing_configured_a_call_is_a_plain_coroutine() -> None:
    assert (2, False) == await plain(1)
    assert "corner: 2" == await Shop("corner", {"apple": 2}).total(["apple"])


async def test_under_use_calls_go_to_that_executor_until_reset(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend) as server:
        client = Stent.use(backend)
        assert (2, False) == await plain(1)
        Stent.reset()
        assert (2, False) == await plain(1)
        assert 1 == len(await server.list_executions()), "the second one was a plain coroutine"
        await client.shutdown()


async def test_the_innermost_executor_is_used(backend: SQLiteBackend, tmp_path: Any) -> None:
    async with Stent.bootstrap(backend) as outer:
        async with Stent.bootstrap(str(tmp_path / "inner.db")) as inner:
            await plain(1)
            assert (0, 1) == (len(await outer.list_executions()), len(await inner.list_executions()))
        await plain(1)
        assert 1 == len(await outer.list_executions())


async def test_context_says_where_the_code_runs(executor: Stent) -> None:
    @Stent.durable
    async def who() -> tuple[str, int | None, str | None]:
        context = Stent.context()
        return context.execution_id, context.call, context.idempotency_key

    @Stent.durable
    async def ask() -> tuple[str, tuple[str, int | None, str | None]]:
        return Stent.context().run_id, await who()

    run_id = await executor.dispatch(ask)
    asked, (answered, call, key) = (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    assert run_id == asked == answered
    [scheduled] = [event for event in await executor.history_of(run_id) if isinstance(event, CallScheduled)]
    assert scheduled.call == call
    assert key is not None
    with pytest.raises(PlaceError, match="durable function"):
        Stent.context()


# -- values ------------------------------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int
    y: Decimal


@Stent.durable
async def echo(value: Any) -> Any:
    return value


@Stent.durable
async def echo_twice(value: Any) -> Any:
    first = await echo(value)
    assert first == value
    assert type(first) is type(value)
    return await echo(first)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        2**80,
        "text \N{SNOWMAN} \0",
        b"\x00\xff",
        (1, (2,)),
        {1, 2},
        {"a": [1, {"b": (None,)}]},
        {(1, 2): "key"},
        Decimal("1.10"),
        uuid.UUID(int=5),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        date(2026, 1, 2),
        timedelta(days=1, microseconds=3),
        Colour.RED,
        Point(1, Decimal(2)),
        [Point(1, Decimal(2))],
        float("inf"),
        -0.0,
    ],
    ids=repr,
)
async def test_a_value_has_the_same_type_and_value_everywhere(executor: Stent, value: Any) -> None:
    result = await echo_twice(value)
    assert value == result
    assert (type(value), repr(value)) == (type(result), repr(result))


async def test_an_argument_that_cannot_be_stored_is_refused_at_the_call_with_its_place(executor: Stent) -> None:
    with pytest.raises(SerializationError, match=r"echo.*value.*\['a'\]\[1\]"):
        await echo({"a": [1, object()]})
    assert [] == await executor.list_executions()


@Stent.durable
async def returns_a_lock() -> Any:
    return {"locks": [threading.Lock()]}


@Stent.durable
async def catches_a_lock() -> str:
    try:
        await returns_a_lock()
    except SerializationError as error:
        return str(error)
    return "?"


async def test_a_result_that_cannot_be_stored_fails_the_call_with_its_place_and_is_not_tried_again(
    executor: Stent,
) -> None:
    policy = RetryPolicy(max_attempts=3, initial_delay=0.001)
    with pytest.raises(SerializationError, match=r"the result of returns_a_lock\(\).*\['locks'\]\[0\]"):
        await returns_a_lock.options(retry_policy=policy)()
    assert "['locks'][0]" in await catches_a_lock()


class StrangeError(Exception):
    def __init__(self, lock: Any) -> None:
        super().__init__("strange", lock)


async def test_an_error_that_cannot_be_stored_is_told_by_name_and_message(executor: Stent) -> None:
    @Stent.durable
    async def strange() -> None:
        raise StrangeError(threading.Lock())

    with pytest.raises((ActivityError, StrangeError), match="strange"):
        await strange()


# -- what is refused ---------------------------------------------------------------------------------------------------


async def test_wrong_arguments_are_an_error_at_the_call_in_an_orchestrator_too(executor: Stent) -> None:
    @Stent.durable
    async def wrong() -> str:
        try:
            plain("three")  # type: ignore[arg-type]  # the point
        except ArgumentError as error:
            return str(error)
        return "?"

    assert "number" in await wrong()


def test_two_functions_under_one_name_are_an_error() -> None:
    async def one() -> None: ...

    async def two() -> None: ...

    Stent.durable(name="test_app_functions:same")(one)
    with pytest.raises(DuplicateFunctionError, match="test_app_functions:same"):
        Stent.durable(name="test_app_functions:same")(two)


def test_options_that_mean_nothing_are_an_error() -> None:
    for options in ({"max_concurrent": 0}, {"timeout": "soon"}, {"role": "boss"}, {"tags": "one"}, {"queue": ""}):
        with pytest.raises(OptionError, match=next(iter(options))):
            Stent.durable(**options)  # type: ignore[call-overload]  # the point
    with pytest.raises(OptionError, match="generator"):

        @Stent.durable
        async def generates() -> Any:
            yield 1


def test_a_backend_that_is_none_is_an_error() -> None:
    with pytest.raises(NotConfiguredError, match="no backend"):
        Stent(backend=None)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("way", ["executor", "socket", "thread"])
async def test_an_orchestrator_that_touches_the_outside_world_is_told_where(executor: Stent, way: str) -> None:
    @Stent.durable
    async def touches(way: str) -> None:
        await plain(1)
        loop = asyncio.get_running_loop()
        if way == "executor":
            await loop.run_in_executor(None, int)
        elif way == "socket":
            await asyncio.open_connection("localhost", 1)
        else:
            await asyncio.to_thread(int)

    with pytest.raises(ForbiddenInOrchestratorError, match=r"test_app_functions\.py:\d+"):
        await touches(way)


async def test_io_and_durable_calls_in_one_body_are_an_error_that_names_both_lines(executor: Stent) -> None:
    called = {"it": plain}

    @Stent.durable
    async def mixed() -> None:
        await asyncio.to_thread(int)
        await called["it"](1)

    with pytest.raises((MixedRoleError, ForbiddenInOrchestratorError), match=r"test_app_functions\.py:\d+"):
        await mixed()


async def test_a_declared_activity_that_makes_a_durable_call_is_an_error(executor: Stent) -> None:
    @Stent.durable(role="activity")
    async def declared() -> None:
        await plain(1)

    with pytest.raises(RoleError, match=r"declared"):
        await declared()


async def test_a_program_that_nothing_can_wake_is_an_error_at_once(executor: Stent) -> None:
    @Stent.durable
    async def stuck() -> None:
        await plain(1)
        await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(OrchestratorDeadlockError, match=r"test_app_functions\.py:\d+"):
            await stuck()

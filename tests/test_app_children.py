"""Runs that runs start: whose child a run is when its id is taken, and how far a parent's cancel reaches."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from stent import RunCancelledError, Stent
from stent.backends import SQLiteBackend
from stent.errors import RunConflictError, UnknownRunError
from stent.history.events import CallFailed, RunContinuedAsNew

PATIENCE_S = 10


@Stent.durable
async def double(number: int) -> int:
    return number * 2


@Stent.durable
async def doubled(number: int) -> int:
    return await double(number)


@Stent.durable
async def wait_long() -> None:
    await Stent.sleep("1h")


# -- ids that are taken ------------------------------------------------------------------------------------------------


@Stent.durable
async def call_it(child_id: str, number: int) -> str:
    try:
        found = await doubled.options(id=child_id)(number)
    except RunConflictError as error:
        return f"{error.code} {error.run_id} {error.parent_run} {error.call}: {error.message}"
    return f"{found}"


@Stent.durable
async def call_without_care(child_id: str) -> int:
    return await doubled.options(id=child_id)(3)


@Stent.durable
async def call_twice(child_id: str) -> list[int | BaseException]:
    named = doubled.options(id=child_id)
    return await asyncio.gather(named(1), named(1), return_exceptions=True)


@Stent.durable
async def call_all(numbers: list[int]) -> list[int | BaseException]:
    return await Stent.map(doubled, numbers, return_exceptions=True)


def conflict(child_id: str, parent: str) -> str:
    name = doubled.__stent_function__.name
    return (
        f"STN407 {child_id} {parent} 1: the id {child_id!r} is taken by another run: this call of {name} started none"
    )


@pytest.mark.parametrize("number", [3, 4], ids=["the same call", "another call"])
@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_child_whose_id_is_taken_is_an_error_where_it_is_awaited(
    executor: Stent, number: int, has_ended: bool
) -> None:
    """The run with this id goes on as if nothing were, whatever it is."""
    if has_ended:
        await doubled.options(id="taken")(3)
    else:
        await executor.dispatch(wait_long, id="taken")
    before = await executor.history_of("taken")
    await executor.dispatch(call_it, "taken", number, id="parent")
    assert conflict("taken", "parent") == (await executor.wait_for("parent", expiry=PATIENCE_S)).unwrap()
    assert before == (await executor.history_of("taken"))[: len(before)]
    assert ("completed" if has_ended else "running") == await executor.state_of("taken")
    assert CallFailed in [type(event) for event in await executor.history_of("parent")]
    await executor.cancel("taken")


async def test_a_parent_that_does_not_handle_it_fails(executor: Stent) -> None:
    await doubled.options(id="taken")(3)
    error = (await executor.wait_for(await executor.dispatch(call_without_care, "taken"), expiry=PATIENCE_S)).error
    assert isinstance(error, RunConflictError)
    assert "taken" == error.run_id
    assert "choose another id" in str(error)


async def test_an_id_that_nobody_chose_can_be_taken_too(executor: Stent) -> None:
    await doubled.options(id="order.1")(3)
    result = await executor.wait_for(await executor.dispatch(doubled_by_a_child, 3, id="order"), expiry=PATIENCE_S)
    assert isinstance(result.error, RunConflictError)


@Stent.durable
async def doubled_by_a_child(number: int) -> int:
    return await doubled(number)


async def test_of_two_calls_with_one_id_the_first_has_the_child(executor: Stent) -> None:
    first, second = (await executor.wait_for(await executor.dispatch(call_twice, "x"), expiry=PATIENCE_S)).unwrap()
    assert (2, RunConflictError) == (first, type(second))
    assert ("x", 2) == (second.run_id, second.call)


async def test_an_item_of_a_map_whose_id_is_taken_fails_alone(executor: Stent) -> None:
    await doubled.options(id="all.1.1")(3)
    await executor.dispatch(call_all, [1, 2, 3], id="all")
    first, second, third = (await executor.wait_for("all", expiry=PATIENCE_S)).unwrap()
    assert (2, RunConflictError, 6) == (first, type(second), third)


async def test_a_child_that_its_call_started_is_waited_for_after_a_restart(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(call_named_sleeper)
        async with asyncio.timeout(PATIENCE_S):
            while not await executor.list_executions(id_prefix="named"):  # noqa: ASYNC110  # it is looked at from outside
                await asyncio.sleep(0.001)
    async with Stent.bootstrap(backend) as executor:
        assert "woken" == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


@Stent.durable
async def sleeper() -> str:
    await Stent.sleep("300ms")
    return "woken"


@Stent.durable
async def call_named_sleeper() -> str:
    return await sleeper.options(id="named")()


# -- ends that are no results ------------------------------------------------------------------------------------------


class LostError(Exception):
    """What a child ends with."""


@Stent.durable
async def end_badly(how: str) -> None:
    await double(1)
    if how == "fails":
        raise LostError("gone")
    await Stent.sleep("1h")


@Stent.durable
async def call_and_see(how: str) -> list[str]:
    called = end_badly.options(id="child", timeout="50ms" if how == "times out" else None)(how)
    (outcome,) = await asyncio.gather(called, return_exceptions=True)
    return [type(outcome).__name__, str(outcome)]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("fails", ["LostError", "gone"]),
        ("is cancelled", ["RunCancelledError", "[STN405] end_badly() was cancelled: enough"]),
        ("times out", ["RunTimedOutError", "[STN403] end_badly() did not finish before its deadline"]),
    ],
    ids=["fails", "is cancelled", "times out"],
)
async def test_a_child_that_ends_in_any_other_way_is_an_error_where_it_is_awaited(
    executor: Stent, how: str, expected: list[str]
) -> None:
    parent = await executor.dispatch(call_and_see, how)
    if how == "is cancelled":
        async with asyncio.timeout(PATIENCE_S):
            while "TimerStarted" not in [event.type for event in await history_or_nothing(executor, "child")]:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.001)
        await executor.cancel("child", "enough")
    assert expected == (await executor.wait_for(parent, expiry=PATIENCE_S)).unwrap()


# -- chains ------------------------------------------------------------------------------------------------------------


@Stent.durable
async def relay(left: int) -> None:
    """The last run of the chain waits until somebody stops it."""
    if left == 0:
        await Stent.sleep("1h")
    await Stent.sleep("1ms")
    Stent.continue_as_new(left - 1)


@Stent.durable
async def call_a_chain(length: int) -> None:
    await relay.options(id="chain")(length)


@Stent.durable
async def change_of_mind(length: int) -> str:
    work = asyncio.create_task(relay.options(id="chain")(length))
    await Stent.wait_for_signal("enough")
    work.cancel()
    return "never mind"


async def until_the_last_waits(executor: Stent, length: int) -> str:
    """Its id."""
    run_id = "chain" if length == 0 else f"chain~{length + 1}"
    async with asyncio.timeout(PATIENCE_S):
        while "TimerStarted" not in [event.type for event in await history_or_nothing(executor, run_id)]:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.001)
    return run_id


async def history_or_nothing(executor: Stent, run_id: str) -> list[object]:
    with contextlib.suppress(UnknownRunError):
        return list(await executor.history_of(run_id))
    return []


@pytest.mark.parametrize("length", [0, 1, 3])
async def test_a_cancelled_parent_stops_the_last_run_of_its_childs_chain(executor: Stent, length: int) -> None:
    parent = await executor.dispatch(call_a_chain, length)
    last = await until_the_last_waits(executor, length)
    assert await executor.cancel(parent, "enough")
    assert RunCancelledError is type((await executor.wait_for(parent, expiry=PATIENCE_S)).error)
    async with asyncio.timeout(2):  # well before the next poll for messages
        assert RunCancelledError is type((await executor.wait_for(last)).error)


async def test_a_call_that_the_program_gives_up_stops_the_chain_too(executor: Stent) -> None:
    parent = await executor.dispatch(change_of_mind, 2)
    last = await until_the_last_waits(executor, 2)
    assert isinstance((await executor.history_of("chain"))[-1], RunContinuedAsNew)
    await executor.send_signal(parent, "enough")
    assert "never mind" == (await executor.wait_for(parent, expiry=PATIENCE_S)).unwrap()
    async with asyncio.timeout(2):
        assert RunCancelledError is type((await executor.wait_for(last)).error)

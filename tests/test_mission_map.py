"""The mission document on `Stent.map`: the blocks as printed, and what is claimed around them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from stent import Stent
from stent.history.events import BatchItemsCompleted, BatchScheduled, CallScheduled, Event, indexes_of

FAILING = "bad"


class OutOfStockError(Exception):
    """An error of the user's own."""


@Stent.durable
async def process_item(item_id: str) -> dict[str, Any]:
    await asyncio.sleep(0.001)  # work
    if item_id.startswith(FAILING):
        raise OutOfStockError(f"no {item_id} left")
    return {"id": item_id, "processed": True}


def processed(item_id: str) -> dict[str, Any]:
    return {"id": item_id, "processed": True}


@Stent.durable
async def batch_workflow(item_ids: list[str]) -> list[dict[str, Any]]:
    # Batch creates all tasks in fewer database operations
    results = await Stent.map(process_item, item_ids)
    return results  # noqa: RET504  # as printed


def count(history: list[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in history)


async def test_map_gives_the_results_in_the_order_of_the_items(executor: Stent) -> None:
    items = [str(number) for number in range(25)]
    assert [processed(item) for item in items] == await batch_workflow(items)


@Stent.durable
async def large_batch_workflow(item_ids: list[str]) -> dict[str, Any]:
    # With 1000 items, Stent.map is much faster
    # - Creates all tasks in batched DB operations
    # - Efficiently checks cache/idempotency

    results = await Stent.map(process_item, item_ids)

    return {
        "processed": len(results),
        "sample": results[:5],
    }


@pytest.mark.slow
async def test_a_thousand_items_are_scheduled_by_one_event_and_finished_by_few(executor: Stent) -> None:
    items = [f"item-{number}" for number in range(1000)]
    run_id = await executor.dispatch(large_batch_workflow, items)
    result = (await executor.wait_for(run_id, expiry=30)).unwrap()
    assert {"processed": 1000, "sample": [processed(item) for item in items[:5]]} == result
    history = await executor.history_of(run_id)
    assert 1 == count(history, BatchScheduled)
    assert 0 == count(history, CallScheduled)
    assert len(history) < 400, "events grow with claims, not with items"
    finished = [
        index for event in history if isinstance(event, BatchItemsCompleted) for index in indexes_of(event.items)
    ]
    assert list(range(1000)) == sorted(finished), "each item was finished once"


@Stent.durable
async def slowest_first(turns: int) -> int:
    for _ in range(turns):
        await asyncio.sleep(0.001)
    return turns


@Stent.durable
async def map_slowest_first() -> list[int]:
    return await Stent.map(slowest_first, [30, 10, 1])


async def test_results_keep_their_order_when_the_first_item_finishes_last(executor: Stent) -> None:
    assert [30, 10, 1] == await map_slowest_first()


@Stent.durable
async def map_a_generator(count: int) -> list[dict[str, Any]]:
    def names() -> Iterator[str]:
        for number in range(count):
            yield f"n{number}"

    return await Stent.map(process_item, names())


async def test_any_iterable_is_mapped(executor: Stent) -> None:
    assert [processed("n0"), processed("n1"), processed("n2")] == await map_a_generator(3)


async def test_no_items_give_no_results(executor: Stent) -> None:
    assert [] == await batch_workflow([])
    assert [] == await map_a_generator(0)
    assert [] == await Stent.map(process_item, [])


@Stent.durable
async def catch_a_failing_map(items: list[str]) -> tuple[bool, str]:
    try:
        await Stent.map(process_item, items)
    except Exception as error:
        return type(error) is OutOfStockError, str(error)
    raise AssertionError("it should have failed")


async def test_the_first_failure_is_raised_as_it_was(executor: Stent) -> None:
    assert (True, "no bad left") == await catch_a_failing_map(["a", "bad", "b"])


@Stent.durable
async def map_everything(items: list[str]) -> list[str]:
    results = await Stent.map(process_item, items, return_exceptions=True)
    return [str(result) if isinstance(result, OutOfStockError) else result["id"] for result in results]


async def test_return_exceptions_puts_the_failures_where_the_results_would_be(executor: Stent) -> None:
    assert ["a", "no bad left", "b"] == await map_everything(["a", "bad", "b"])


running = 0
most_running = 0


@Stent.durable
async def watched(number: int) -> int:
    global running, most_running  # noqa: PLW0603  # seen by the test in the same process
    running += 1
    most_running = max(most_running, running)
    await asyncio.sleep(0.005)
    running -= 1
    return number


@Stent.durable
async def map_with_limit(count: int, limit: int) -> list[int]:
    return await Stent.map(watched, range(count), limit=limit)


async def test_limit_bounds_how_many_run_at_a_time(executor: Stent) -> None:
    global most_running  # noqa: PLW0603  # see above
    most_running = 0
    assert list(range(15)) == await map_with_limit(15, 3)
    assert 3 == most_running


async def test_a_function_maps_by_itself_and_over_rows(executor: Stent) -> None:
    assert [processed("a"), processed("b")] == await process_item.map(["a", "b"])
    assert [5, 7] == await add.starmap([(2, 3), (3, 4)])


@Stent.durable
async def add(left: int, right: int) -> int:
    return left + right


@Stent.durable
async def sum_as_they_come() -> dict[int, int]:
    return {index: result async for index, result in Stent.map_as_completed(slowest_first, [20, 1])}


async def test_a_stream_of_outcomes_says_which_item_each_belongs_to(executor: Stent) -> None:
    assert {0: 20, 1: 1} == await sum_as_they_come()


@Stent.durable
async def region_total(region: str) -> int:
    """An orchestrator, as an item of a map."""
    return sum(await asyncio.gather(add(len(region), 1), add(len(region), 2)))


@Stent.durable
async def map_orchestrators(regions: list[str]) -> list[int]:
    return await Stent.map(region_total, regions)


async def test_an_item_may_be_an_orchestrator(executor: Stent) -> None:
    assert [7, 9, 11] == await map_orchestrators(["eu", "usa", "asia"])


async def test_the_same_program_runs_as_plain_coroutines_with_nothing_configured() -> None:
    assert [processed("a"), processed("b")] == await batch_workflow(["a", "b"])

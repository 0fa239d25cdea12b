"""The mission document on `asyncio.gather`: the blocks as printed, and what is claimed around them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stent import Stent
from stent.history.events import CallCompleted, CallFailed, CallScheduled

FAILING = "bad"
PAUSE = "20ms"  # where the document waits for seconds


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


# -- "Using asyncio.gather" --------------------------------------------------------------------------------------------


@Stent.durable
async def parallel_workflow(item_ids: list[str]) -> list[dict[str, Any]]:
    # Schedule all tasks and wait for all to complete
    tasks = [process_item(item_id) for item_id in item_ids]
    results = await asyncio.gather(*tasks)
    return results  # noqa: RET504  # as printed


async def test_gather_gives_the_results_in_the_order_of_the_calls(executor: Stent) -> None:
    assert [processed("a"), processed("b"), processed("c")] == await parallel_workflow(["a", "b", "c"])


@Stent.durable
async def late(number: int, turns: int) -> int:
    for _ in range(turns):
        await asyncio.sleep(0.001)
    return number


@Stent.durable
async def slowest_first() -> list[int]:
    return await asyncio.gather(late(0, 30), late(1, 10), late(2, 1))


async def test_results_keep_their_order_when_the_first_call_finishes_last(executor: Stent) -> None:
    run_id = await executor.dispatch(slowest_first)
    assert [0, 1, 2] == (await executor.wait_for(run_id, expiry=10)).unwrap()
    finished = [event.call for event in await executor.history_of(run_id) if isinstance(event, CallCompleted)]
    scheduled = [event.call for event in await executor.history_of(run_id) if isinstance(event, CallScheduled)]
    assert list(reversed(scheduled)) == finished


async def test_gather_works_at_top_level_too(executor: Stent) -> None:
    assert [processed("x"), processed("y")] == await asyncio.gather(process_item("x"), process_item("y"))


@Stent.durable
async def look_before_awaiting(item_ids: list[str]) -> list[dict[str, Any]]:
    tasks = [process_item(item_id) for item_id in item_ids]
    await Stent.sleep(PAUSE)
    assert all(task.done() for task in tasks), "they ran while the program waited for something else"
    return await asyncio.gather(*tasks)


async def test_a_call_begins_at_the_call_and_not_at_the_await(executor: Stent) -> None:
    assert [processed("a"), processed("b")] == await look_before_awaiting(["a", "b"])


# -- "Handling Failures" and "Error Handling in Parallel" --------------------------------------------------------------


@Stent.durable
async def workflow_fail_fast(items: list[str]) -> list[dict[str, Any]]:
    tasks = [process_item(item) for item in items]

    try:
        results = await asyncio.gather(*tasks)
        return results  # noqa: RET504  # as printed
    except Exception as e:
        # One task failed - other tasks may still be running
        return [{"class": type(e) is OutOfStockError, "message": str(e), "args": e.args}]


async def test_the_except_block_sees_the_class_and_the_message_that_were_raised(executor: Stent) -> None:
    message = "no bad-1 left"
    caught = [{"class": True, "message": message, "args": (message,)}]
    assert caught == await workflow_fail_fast(["a", "bad-1", "b"])


@Stent.durable
async def fail_fast_workflow(items: list[str]) -> list[dict[str, Any]]:
    tasks = [process_item(item) for item in items]

    # First exception cancels gather and raises
    results = await asyncio.gather(*tasks)
    return results  # noqa: RET504  # as printed


async def test_a_failure_that_nobody_catches_fails_the_run_with_it(executor: Stent) -> None:
    with pytest.raises(OutOfStockError, match=r"^no bad left$"):
        await fail_fast_workflow(["a", "bad"])
    [run] = await executor.list_executions(function=fail_fast_workflow)
    assert "failed" == run.state
    result = await executor.result_of(run.execution_id)
    assert not result.ok
    assert OutOfStockError is type(result.error)


@Stent.durable
async def finish_after_a_failure() -> str:
    slow = late(7, 40)
    try:
        await asyncio.gather(slow, process_item(FAILING))
    except OutOfStockError:
        was_done = slow.done()
    assert not was_done, "gather raised at the first failure"
    return f"the other gave {await slow}"


async def test_gather_fails_at_the_first_failure_and_the_others_go_on_and_are_recorded(executor: Stent) -> None:
    run_id = await executor.dispatch(finish_after_a_failure)
    assert "the other gave 7" == (await executor.wait_for(run_id, expiry=10)).unwrap()
    outcomes = [
        type(event) for event in await executor.history_of(run_id) if isinstance(event, CallCompleted | CallFailed)
    ]
    assert [CallFailed, CallCompleted] == outcomes


@Stent.durable
async def workflow_partial_success(items: list[str]) -> dict[str, Any]:
    tasks = [process_item(item) for item in items]

    results = await asyncio.gather(*tasks, return_exceptions=True)

    successes = []
    failures = []

    for item, result in zip(items, results, strict=True):
        if isinstance(result, Exception):
            failures.append({"item": item, "error": str(result)})
        else:
            successes.append(result)

    return {
        "succeeded": len(successes),
        "failed": len(failures),
        "results": successes,
        "errors": failures,
    }


async def test_return_exceptions_puts_the_failures_where_the_results_would_be(executor: Stent) -> None:
    expected = {
        "succeeded": 2,
        "failed": 2,
        "results": [processed("a"), processed("b")],
        "errors": [
            {"item": "bad-1", "error": "no bad-1 left"},
            {"item": "bad-2", "error": "no bad-2 left"},
        ],
    }
    assert expected == await workflow_partial_success(["bad-1", "a", "bad-2", "b"])


@Stent.durable
async def collect_all_workflow(items: list[str]) -> dict[str, Any]:
    tasks = [process_item(item) for item in items]

    # Collects all results, including exceptions
    results = await asyncio.gather(*tasks, return_exceptions=True)

    succeeded = [r for r in results if not isinstance(r, Exception)]
    failed = [r for r in results if isinstance(r, Exception)]

    return {
        "succeeded": succeeded,
        "failed": [str(e) for e in failed],
    }


async def test_all_results_can_be_collected(executor: Stent) -> None:
    expected = {"succeeded": [processed("a"), processed("c")], "failed": ["no bad left"]}
    assert expected == await collect_all_workflow(["a", "bad", "c"])


tries: dict[str, int] = {}


@Stent.durable
async def flaky_item(item: str) -> str:
    tries[item] = tries.get(item, 0) + 1
    if item.startswith("never") or (item.startswith("later") and tries[item] == 1):
        raise OutOfStockError(f"{item} failed")
    return f"{item} done"


@Stent.durable
async def retry_failed_workflow(items: list[str]) -> dict[str, Any]:
    results = await asyncio.gather(*[flaky_item(item) for item in items], return_exceptions=True)

    # Collect failures
    failed_items = [item for item, result in zip(items, results, strict=True) if isinstance(result, Exception)]

    if failed_items:
        # Wait and retry failed items
        await Stent.sleep(PAUSE)
        retry_results = await asyncio.gather(*[flaky_item(item) for item in failed_items], return_exceptions=True)

        # Update results
        retry_idx = 0
        for i, result in enumerate(results):
            if isinstance(result, Exception):
                results[i] = retry_results[retry_idx]
                retry_idx += 1

    return {
        "results": [r for r in results if not isinstance(r, Exception)],
        "still_failed": [str(r) for r in results if isinstance(r, Exception)],
    }


async def test_failed_items_can_be_tried_again_after_a_pause(executor: Stent) -> None:
    tries.clear()
    expected = {"results": ["a done", "later done", "b done"], "still_failed": ["never failed"]}
    assert expected == await retry_failed_workflow(["a", "later", "never", "b"])
    assert {"a": 1, "later": 2, "never": 2, "b": 1} == tries


async def test_the_same_program_runs_as_plain_coroutines_with_nothing_configured() -> None:
    assert [processed("a")] == await parallel_workflow(["a"])
    assert 1 == (await workflow_partial_success(["bad", "a"]))["failed"]

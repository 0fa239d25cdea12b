"""The mission document's patterns: fan-out and fan-in, batches by hand, sub-workflows, mixed, streaming."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from stent import Stent
from stent.history.events import CallScheduled, TimerFired, TimerStarted

PAUSE = "10ms"  # where the document waits for seconds


# -- "Fan-Out/Fan-In Pattern" ------------------------------------------------------------------------------------------


class HttpClient:
    async def download(self, url: str, path: str) -> None:
        await asyncio.sleep(0)


class ImageProcessor:
    async def analyze(self, path: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"path": path, "category": "cat" if "cat" in path else "dog"}


http_client = HttpClient()
image_processor = ImageProcessor()


@Stent.durable
async def download_image(url: str) -> str:
    # Download and return local path
    path = f"/tmp/{url.rpartition('/')[2]}"
    await http_client.download(url, path)
    return path


@Stent.durable
async def process_image(path: str) -> dict[str, Any]:
    # Process image and return metadata
    return await image_processor.analyze(path)


@Stent.durable
async def aggregate_results(results: list[dict[str, Any]]) -> dict[str, Any]:
    # Combine all results
    return {
        "total": len(results),
        "categories": sorted({r["category"] for r in results}),
    }


@Stent.durable
async def image_pipeline(urls: list[str]) -> dict[str, Any]:
    # Fan-out: Download all images in parallel
    download_tasks = [download_image(url) for url in urls]
    paths = await asyncio.gather(*download_tasks)

    # Fan-out: Process all images in parallel
    process_tasks = [process_image(path) for path in paths]
    results = await asyncio.gather(*process_tasks)

    # Fan-in: Aggregate results
    summary = await aggregate_results(results)

    return summary  # noqa: RET504  # as printed


async def test_the_image_pipeline(executor: Stent) -> None:
    urls = ["https://a/cat-1.jpg", "https://a/dog-1.jpg", "https://a/cat-2.jpg"]
    assert {"total": 3, "categories": ["cat", "dog"]} == await image_pipeline(urls)


# -- "Manual Batching" -------------------------------------------------------------------------------------------------


@Stent.durable
async def process_item(item: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {**item, "processed": True}


@Stent.durable
async def controlled_parallel(items: list[dict[str, Any]], batch_size: int = 10) -> list[dict[str, Any]]:
    all_results = []

    # Process in batches
    for i in range(0, len(items), batch_size):
        batch = items[i : i + batch_size]
        tasks = [process_item(item) for item in batch]
        results = await asyncio.gather(*tasks)
        all_results.extend(results)

        # Optional: Add delay between batches
        if i + batch_size < len(items):
            await Stent.sleep(PAUSE)

    return all_results


async def test_batches_by_hand_wait_between_each_other(executor: Stent) -> None:
    items = [{"id": number} for number in range(7)]
    run_id = await executor.dispatch(controlled_parallel, items, batch_size=3)
    result = (await executor.wait_for(run_id, expiry=10)).unwrap()
    assert [{"id": number, "processed": True} for number in range(7)] == result
    history = await executor.history_of(run_id)
    fired = [event for event in history if isinstance(event, TimerFired)]
    started = {event.call: event for event in history if isinstance(event, TimerStarted)}
    assert 2 == len(fired)
    assert all(event.at_us >= started[event.call].due_us for event in fired), "never early"
    kinds = [type(event) for event in history if isinstance(event, CallScheduled | TimerFired)]
    assert [CallScheduled] * 3 + [TimerFired] + [CallScheduled] * 3 + [TimerFired] + [CallScheduled] == kinds


# -- "Parallel Sub-Workflows" ------------------------------------------------------------------------------------------


@Stent.durable
async def validate_for_region(region: str, data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "region": region}


@Stent.durable
async def process_in_region(region: str, validated: dict[str, Any]) -> dict[str, Any]:
    assert validated["region"] == region
    return {"count": len(region) + validated["base"]}


@Stent.durable
async def finalize_region(region: str, processed: dict[str, Any]) -> dict[str, Any]:
    return {**processed, "final": True}


@Stent.durable
async def process_region(region: str, data: dict[str, Any]) -> dict[str, Any]:
    # This is itself an orchestrator with multiple steps
    validated = await validate_for_region(region, data)
    processed = await process_in_region(region, validated)
    return await finalize_region(region, processed)


@Stent.durable
async def multi_region_workflow(data: dict[str, Any]) -> dict[str, Any]:
    regions = ["us-east", "us-west", "eu-west", "ap-south"]

    # Run sub-workflows in parallel
    tasks = [process_region(region, data) for region in regions]
    results = await asyncio.gather(*tasks)

    # Combine results from all regions
    return {
        "regions": dict(zip(regions, results, strict=True)),
        "total_processed": sum(r["count"] for r in results),
    }


async def test_orchestrators_call_orchestrators_in_parallel(executor: Stent) -> None:
    run_id = await executor.dispatch(multi_region_workflow, {"base": 10})
    result = (await executor.wait_for(run_id, expiry=10)).unwrap()
    assert 17 + 17 + 17 + 18 == result["total_processed"]
    assert {"count": 18, "final": True} == result["regions"]["ap-south"]
    assert ["us-east", "us-west", "eu-west", "ap-south"] == list(result["regions"])
    children = await executor.list_executions(parent=run_id)
    assert [("process_region", "completed")] * 4 == [(child.name, child.state) for child in children]


# -- "Mixed Sequential and Parallel" -----------------------------------------------------------------------------------

effects: list[str] = []


@Stent.durable
async def validate_order(order: dict[str, Any]) -> bool:
    if order["amount"] <= 0:
        raise ValueError(f"order {order['id']} is for nothing")
    return True


@Stent.durable
async def process_order(order: dict[str, Any]) -> dict[str, Any]:
    effects.append(f"begin {order['id']}")
    await asyncio.sleep(0.001)
    effects.append(f"end {order['id']}")
    return {"customer_id": order["customer"], "order_id": order["id"]}


@Stent.durable
async def send_notification(customer_id: str, order_id: int) -> None:
    effects.append(f"told {customer_id} of {order_id}")


@Stent.durable
async def complex_workflow(orders: list[dict[str, Any]]) -> dict[str, Any]:
    # Step 1: Validate all orders in parallel
    validation_tasks = [validate_order(order) for order in orders]
    validated = await asyncio.gather(*validation_tasks, return_exceptions=True)

    # Filter out failed validations
    valid_orders = [order for order, result in zip(orders, validated, strict=True) if not isinstance(result, Exception)]

    # Step 2: Process valid orders sequentially (for consistency)
    results = []
    for order in valid_orders:
        # Must be sequential due to inventory constraints
        result = await process_order(order)
        results.append(result)

    # Step 3: Send notifications in parallel
    notification_tasks = [send_notification(result["customer_id"], result["order_id"]) for result in results]
    await asyncio.gather(*notification_tasks)

    return {
        "processed": len(results),
        "failed_validation": len(orders) - len(valid_orders),
    }


async def test_sequential_and_parallel_parts_mix(executor: Stent) -> None:
    effects.clear()
    orders = [{"id": number, "amount": number % 3, "customer": f"c{number}"} for number in range(5)]
    assert {"processed": 3, "failed_validation": 2} == await complex_workflow(orders)
    in_turn = [f"{what} {number}" for number in (1, 2, 4) for what in ("begin", "end")]
    assert in_turn == effects[:6], "one after the other"
    assert {"told c1 of 1", "told c2 of 2", "told c4 of 4"} == set(effects[6:])


# -- "Memory Usage" ----------------------------------------------------------------------------------------------------

stored: list[int] = []


def chunks(items: Sequence[int], size: int) -> Iterator[list[int]]:
    remaining = iter(items)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk


@Stent.durable
async def process_number(number: int) -> int:
    return number * number


@Stent.durable
async def store_results(results: list[int]) -> None:
    stored.extend(results)


@Stent.durable
async def streaming_workflow(items: list[int]) -> int:
    processed = 0

    for batch in chunks(items, 100):
        results = await asyncio.gather(*[process_number(i) for i in batch])

        # Process results immediately, don't accumulate
        await store_results(results)
        processed += len(results)

    return processed


async def test_streaming_in_chunks_stores_each_chunk_once_and_in_order(executor: Stent) -> None:
    stored.clear()
    assert 250 == await streaming_workflow(list(range(250)))
    assert [number * number for number in range(250)] == stored

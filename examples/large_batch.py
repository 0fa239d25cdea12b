"""Thousands of items by one event: `Stent.map`, with some items that fail.

In this folder:

    stent --db batch.db run large_batch:large_batch '[1000]'
    stent --db batch.db history @last | head
"""

from __future__ import annotations

import asyncio

from stent import Stent


@Stent.durable
async def process_item(number: int) -> int:
    await asyncio.sleep(0.001)
    if number % 100 == 13:
        raise ValueError(f"{number} brings bad luck")
    return number * number


@Stent.durable
async def large_batch(count: int) -> dict[str, int]:
    results: list[int | BaseException] = [*await Stent.map(process_item, range(count), return_exceptions=True)]
    failed = [each for each in results if isinstance(each, Exception)]
    return {"processed": len(results) - len(failed), "failed": len(failed)}

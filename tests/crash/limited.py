"""Functions for tests of `max_concurrent`: every body leaves its begin and its end in the ledger."""

from __future__ import annotations

import asyncio
from typing import Any

from stent import Stent
from tests.crash.place import ledger

MAX_CONCURRENT = 5


@Stent.durable(max_concurrent=MAX_CONCURRENT)
async def rate_limited_api_call(data: dict[str, Any]) -> dict[str, Any]:
    # Max 5 concurrent calls across ALL workers
    with ledger().body():
        await asyncio.sleep(0.01)
    return {**data, "called": True}


@Stent.durable
async def workflow(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # Even though we schedule all at once, only 5 run at a time
    tasks = [rate_limited_api_call(item) for item in items]
    return await asyncio.gather(*tasks)


@Stent.durable
async def mapping_workflow(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return await Stent.map(rate_limited_api_call, items)

"""Functions that hang in the first process that runs them, so that it can be killed, stopped or drained meanwhile."""

from __future__ import annotations

import asyncio

from stent import Stent
from tests.crash.place import ledger


async def hang_in_the_first_process(what: str, seconds: float) -> str:
    """Hang if no body of this call has begun before."""
    key = Stent.context().idempotency_key
    is_first = not [line for line in ledger().read() if line.key == key]
    with ledger().body(what):
        await asyncio.sleep(seconds if is_first else 0)
    return what


@Stent.durable
async def hang(what: str, seconds: float = 3600) -> str:
    return await hang_in_the_first_process(what, seconds)


@Stent.durable(max_concurrent=1)
async def hang_alone(what: str, seconds: float = 3600) -> str:
    return await hang_in_the_first_process(what, seconds)


@Stent.durable
async def quick(what: str) -> str:
    with ledger().body(what):
        return what


@Stent.durable
async def hanging_flow(seconds: float = 3600) -> list[str]:
    """One call done, one that hangs, one after it."""
    return [await quick("before"), await hang("hanging", seconds), await quick("after")]


@Stent.durable
async def limited_flow() -> list[str]:
    return await asyncio.gather(hang_alone("hanging"), hang_alone("after", 0))


@Stent.durable
async def mapping_flow() -> list[str]:
    return await hang.starmap([("before", 0), ("hanging", 3600), ("after", 0)])


@Stent.durable
async def signal_flow() -> list[str]:
    return [await quick("before"), await Stent.wait_for_signal("go")]

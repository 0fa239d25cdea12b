"""The lease of a worker, and the limits of its functions: written down before their calls are claimed."""

from __future__ import annotations

import asyncio

from tests.worker.world import World


async def test_the_limit_of_a_function_that_was_defined_later_holds_too(world: World) -> None:
    """The worker had written down its limits when there was none."""
    running, most = 0, 0
    await world.node.work(slots=10)
    await asyncio.sleep(0.02)

    @world.durable(max_concurrent=2)
    async def careful(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return number

    @world.durable
    async def fan_out(count: int) -> int:
        return sum(await asyncio.gather(*[careful(number) for number in range(count)]))

    assert 66 == await world.call(fan_out, 12)
    assert 2 == most

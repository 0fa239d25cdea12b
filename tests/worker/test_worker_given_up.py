"""A worker that its peers have given up, though it lives: it begins anew."""

from __future__ import annotations

import asyncio

from stent.history.operations import ReapWorkers
from tests.worker.world import World

LEASE_US = 30_000


async def test_a_worker_that_was_given_up_registers_anew_and_takes_on_work(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    worker = await world.node.work(lease_us=LEASE_US)
    client = world.new_node()
    await client.link.commit(ReapWorkers((worker.worker_id,)))
    run_id = await world.start(double, 4, node=client)
    await world.until(lambda: client.store.terminal_row(run_id) is not None, tick_us=LEASE_US // 3)
    assert [worker.worker_id] == [row.worker_id for row in client.store.list_workers()]


async def test_what_others_do_by_now_is_stopped_here(world: World) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @world.durable(role="activity")
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    worker = await world.node.work(lease_us=LEASE_US)
    await world.start(endless)
    await world.until(begun.is_set)
    await world.new_node().link.commit(ReapWorkers((worker.worker_id,)))
    await world.until(stopped.is_set, tick_us=LEASE_US // 3)

"""The lease of a worker, and the limits of its functions: written down before their calls are claimed."""

from __future__ import annotations

import asyncio
import os

from stent.worker.leases import DEAD_LOOK_US
from stent.worker.link import WATCH_INTERVAL_US
from stent.worker.polling import PEERS_US
from stent.worker.worker import Worker
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


async def test_the_death_of_a_peer_is_seen_within_a_tenth_of_a_second_though_it_changes_nothing(world: World) -> None:
    """Nothing is written by a death, so neither the store's stamp nor anybody's hint tells of it, only its lock."""
    survivor = await world.node.work()
    dying = await world.new_node().work()
    await world.until(lambda: len(survivor._lease.peers) == 1, tick_us=WATCH_INTERVAL_US)
    for _ in range(10):  # until all news are old
        world.clock.advance(WATCH_INTERVAL_US)
        await asyncio.sleep(0.01)
    world.clock.advance(PEERS_US // 2)
    await asyncio.sleep(0.02)
    _let_go_of_lock(dying)
    world.clock.advance(DEAD_LOOK_US + 2 * WATCH_INTERVAL_US)  # far less than the next look would take
    await world.until(lambda: not survivor._lease.peers)
    assert [survivor.worker_id] == [row.worker_id for row in await world.link.read(world.link.store.list_workers)]


def _let_go_of_lock(worker: Worker) -> None:
    """As the kernel does it for a process that dies."""
    lock = worker._lease._lock
    assert lock is not None
    os.dup2(os.open(os.devnull, os.O_RDONLY), lock._descriptor)

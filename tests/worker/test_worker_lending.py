"""Work that waits for a slot here is lent to workers that have room, and comes back when nobody takes it."""

from __future__ import annotations

import asyncio
from typing import Any

from stent.durable import calls
from tests.worker.world import Node, World


def gated(world: World) -> tuple[Any, asyncio.Event, dict[int, int]]:
    """An activity that waits for a gate, and how often each of its calls began."""
    gate = asyncio.Event()
    begun: dict[int, int] = {}

    @world.durable(role="activity")
    async def work(number: int) -> int:
        begun[number] = begun.get(number, 0) + 1
        await gate.wait()
        return number

    return work, gate, begun


async def two_workers(world: World) -> Node:
    """A worker with one slot that holds everything, and another with three."""
    await world.node.work(slots=1)
    other = world.new_node()
    await other.work(slots=3)
    return other


async def lent(world: World, begun: dict[int, int], count: int) -> None:
    """Let the first worker see that others have room, and wait until they have taken some of its work."""
    await world.until(lambda: len(begun) >= count, tick_us=50_000)


async def test_calls_of_a_gather_are_carried_out_by_whoever_has_room(world: World) -> None:
    work, gate, begun = gated(world)

    @world.durable
    async def fan() -> list[int]:
        return await asyncio.gather(*[work(number) for number in range(8)])

    await two_workers(world)
    run_id = await world.start(fan)
    await lent(world, begun, 4)
    gate.set()
    assert list(range(8)) == (await world.outcome_elsewhere(run_id))
    assert dict.fromkeys(range(8), 1) == begun


async def test_items_of_a_map_are_carried_out_by_whoever_has_room(world: World) -> None:
    work, gate, begun = gated(world)

    @world.durable
    async def batch() -> list[int]:
        return await calls.map(work, range(12))

    await two_workers(world)
    run_id = await world.start(batch)
    await lent(world, begun, 4)
    gate.set()
    assert list(range(12)) == (await world.outcome_elsewhere(run_id))
    assert dict.fromkeys(range(12), 1) == begun


async def test_what_the_borrower_dies_with_is_carried_out_again_and_nothing_else(world: World) -> None:
    work, gate, begun = gated(world)

    @world.durable
    async def batch() -> list[int]:
        return await calls.map(work, range(12))

    other = await two_workers(world)
    run_id = await world.start(batch)
    await lent(world, begun, 4)
    assert other.worker is not None
    from stent.history.operations import ReapWorkers

    await world.commit(ReapWorkers((other.worker.worker_id,)))
    gate.set()
    assert list(range(12)) == (await world.outcome_elsewhere(run_id))
    assert set(range(12)) == set(begun)


async def test_a_holder_that_begins_anew_leaves_lent_items_to_those_who_have_them(world: World) -> None:
    work, gate, begun = gated(world)

    @world.durable
    async def batch() -> list[int]:
        return await calls.map(work, range(12))

    await two_workers(world)
    run_id = await world.start(batch)
    await lent(world, begun, 4)
    taken = set(begun)
    await world.node.stop()
    await world.node.work(slots=1)
    gate.set()
    assert list(range(12)) == (await world.outcome_elsewhere(run_id))
    assert all(begun[number] <= 2 for number in taken)
    assert all(begun[number] == 1 for number in range(12) if number not in taken)


async def test_alone_nothing_is_written_down_for_others(world: World) -> None:
    work, gate, begun = gated(world)

    @world.durable
    async def fan() -> list[int]:
        return await asyncio.gather(*[work(number) for number in range(8)])

    await world.node.work(slots=2)
    run_id = await world.start(fan)
    await world.until(lambda: len(begun) == 2, tick_us=50_000)
    for _ in range(20):
        world.clock.advance(50_000)
        await asyncio.sleep(0)
    assert 0 == world.node.store.queue_depth()
    gate.set()
    assert list(range(8)) == (await world.outcome(run_id)).value


async def test_the_limit_of_a_map_holds_over_all_workers_of_another_queue(world: World) -> None:
    running, most = 0, 0

    @world.durable(role="activity", queue="mail")
    async def send(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return number

    @world.durable
    async def batch() -> list[int]:
        return await calls.map(send, range(12), limit=2)

    await world.node.work(slots=4, queues=frozenset({"default"}))
    for _ in range(2):
        await world.new_node().work(slots=4, queues=frozenset({"mail"}))
    run_id = await world.start(batch)
    assert list(range(12)) == (await world.outcome_elsewhere(run_id))
    assert 2 == most


async def test_a_call_that_another_worker_carries_out_is_stopped_when_nobody_wants_it(world: World) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @world.durable(role="activity", queue="mail")
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @world.durable
    async def caller() -> None:
        await endless()

    await world.node.work(queues=frozenset({"default"}))
    await world.new_node().work(queues=frozenset({"mail"}))
    run_id = await world.start(caller)
    await world.until(begun.is_set, tick_us=20_000)
    await world.cancel(run_id)
    await world.until(stopped.is_set, tick_us=20_000)
    await world.until(lambda: () == world.node.store.load_runs([run_id])[0].shared)

"""A worker that stops in peace: what only waits goes on waiting, and no death is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stent.durable import calls
from tests.worker.world import World


@pytest.mark.parametrize("has_work", [False, True], ids=["waits", "has a body"])
async def test_a_run_that_is_given_back_was_not_killed(world: World, has_work: bool) -> None:
    """Else a run that lives through many deploys would look like one that kills its workers."""

    @world.durable
    async def hang() -> None:
        await asyncio.Event().wait()

    @world.durable(role="orchestrator")
    async def program() -> None:
        if has_work:
            await hang()
        await calls.wait_for_signal("go")

    run_id = await world.start(program)
    for _ in range(3):
        await world.node.work()
        await world.until(lambda: {"CallScheduled", "SignalAwaited"} & set(world.types_of(run_id)) != set())
        await world.until(lambda: world.row(run_id).owner is not None or not has_work)
        await world.node.stop()
        assert (None, 0, "running") == (world.row(run_id).owner, world.row(run_id).crashes, world.row(run_id).status)


async def test_a_run_that_sleeps_is_not_ready_before_its_time_because_its_worker_stops(world: World) -> None:
    @world.durable(role="orchestrator")
    async def nap() -> None:
        await asyncio.sleep(30)

    await world.node.work()
    await world.start(nap, run_id="run")
    await world.until(lambda: "TimerStarted" in world.types_of("run"))
    await world.node.stop()
    assert 0 == world.node.store.queue_depth()
    world.clock.advance(30_000_000)
    await world.node.work()
    assert "RunCompleted" == (await world.outcome("run")).event.type


async def test_a_run_whose_body_ends_within_the_grace_was_not_killed_either(world: World) -> None:
    """Its outcome is being written when everything is given back."""
    begun, gate = asyncio.Event(), asyncio.Event()

    @world.durable(role="activity")
    async def work() -> None:
        begun.set()
        await gate.wait()

    @world.durable(role="orchestrator")
    async def program() -> None:
        await work()
        await calls.wait_for_signal("go")

    await world.node.work(grace_us=5_000_000)
    run_id = await world.start(program)
    await world.until(begun.is_set)
    stopping = asyncio.create_task(world.node.stop())
    await asyncio.sleep(0.01)
    gate.set()
    await stopping
    assert ["RunStarted", "CallScheduled", "CallCompleted", "SignalAwaited"] == world.types_of(run_id)
    assert (None, 0, "running") == (world.row(run_id).owner, world.row(run_id).crashes, world.row(run_id).status)


@pytest.mark.parametrize("options", [{}, {"max_concurrent": 5}], ids=["here", "under a claim"])
async def test_items_that_end_within_the_grace_are_not_carried_out_again(world: World, options: dict[str, Any]) -> None:
    """Their outcomes wait a moment to be written together: there is no later any more."""
    begun: list[int] = []
    gates = [asyncio.Event() for _ in range(5)]

    @world.durable(role="activity", **options)
    async def work(number: int) -> int:
        begun.append(number)
        await gates[number].wait()
        return number

    @world.durable(role="orchestrator")
    async def work_all() -> list[int]:
        return await calls.map(work, range(5))

    await world.node.work(slots=5, grace_us=50_000)
    run_id = await world.start(work_all)
    await world.until(lambda: 5 == len(begun))
    stopping = asyncio.create_task(world.node.stop())
    await asyncio.sleep(0.01)
    for gate in gates[:3]:
        gate.set()
    await stopping
    gates[3].set()
    gates[4].set()
    await world.node.work(slots=5)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=20_000)
    assert [0, 1, 2, 3, 3, 4, 4] == sorted(begun)

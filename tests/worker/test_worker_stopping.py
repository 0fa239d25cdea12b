"""A worker that stops in peace: what only waits goes on waiting, and no death is counted."""

from __future__ import annotations

import asyncio

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

"""A worker that works until there is nothing left to do: for it, whatever there may be for others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from stent.history.operations import FinishCall, Operation, Outcome
from stent.history.sql.sqlite import SQLiteStore
from tests.worker.world import World

SECOND_US = 1_000_000
MAIL = {"queues": frozenset({"mail"})}
GPU = {"tags": frozenset({"gpu"})}


def works(world: World) -> tuple[Any, Any]:
    """A function that a worker of MAIL and of GPU takes, and one that it does not."""

    @world.durable(role="activity", queue="mail", tags=("gpu",))
    async def mine() -> str:
        return "mine"

    @world.durable(role="activity", queue="other", tags=("cpu",))
    async def theirs() -> str:
        return "theirs"

    return mine, theirs


async def ended(world: World) -> None:
    """The worker of the world's node has ended by itself."""
    working = world.node.working
    assert working is not None
    await asyncio.wait_for(working, 5)


@pytest.mark.parametrize("serves", [MAIL, GPU], ids=["queues", "tags"])
@pytest.mark.parametrize("delay_us", [None, 60 * SECOND_US])
async def test_it_ends_when_the_rest_is_for_others(world: World, serves: Any, delay_us: int | None) -> None:
    mine, theirs = works(world)
    own, other = await world.start(mine), await world.start(theirs, delay_us=delay_us)
    await world.node.work(until_idle=True, **serves)
    await ended(world)
    assert ("completed", "pending") == (world.row(own).status, world.row(other).status)


@pytest.mark.parametrize("serves", [MAIL, GPU, {}], ids=["queues", "tags", "all"])
async def test_it_waits_for_what_is_due_later_and_is_for_it(world: World, serves: Any) -> None:
    mine, _ = works(world)
    own = await world.start(mine, delay_us=60 * SECOND_US)
    await world.node.work(until_idle=True, **serves)
    await asyncio.sleep(0.05)
    assert world.node.working is not None
    assert not world.node.working.done()
    world.clock.advance(60 * SECOND_US)
    await ended(world)
    assert "completed" == world.row(own).status


class Late(SQLiteStore):
    """Takes its time to write that a shared call is finished."""

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        if any(isinstance(operation, FinishCall) for operation in operations):
            time.sleep(0.1)
        return super().commit(operations)


async def test_it_waits_until_what_it_has_done_for_others_is_written_for_that_may_make_more_work(world: World) -> None:
    mine, _ = works(world)

    @world.durable(role="orchestrator", queue="runs")
    async def flow() -> str:
        return str(await mine())

    run_id = await world.start(flow)
    await world.node.work(until_idle=True, queues=frozenset({"runs"}))
    await ended(world)
    assert "running" == world.row(run_id).status, "the call is for others"
    node = world.new_node(Late(world.path, durability="relaxed", clock=world.clock))
    await node.work(until_idle=True)
    assert node.working is not None
    await asyncio.wait_for(node.working, 5)
    assert "completed" == world.row(run_id).status

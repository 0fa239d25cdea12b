"""What a worker does when nothing tells it anything: it looks, seldom enough, and finds what there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stent.durable import calls
from stent.history.operations import Capabilities, ClaimRuns, ReapWorkers, RegisterWorker
from stent.history.sql.sqlite import SQLiteStore
from stent.worker.link import WATCH_INTERVAL_US
from tests.worker.world import DAY_US, Node, World

SECOND_US = 1_000_000
TICK_US = 100_000


class Quiet(SQLiteStore):
    """Is deaf where that is asked of it, and counts its answers."""

    is_deaf = True

    def changed(self) -> bool:
        return super().changed() and not self.is_deaf

    def count(self) -> list[str]:
        """From here on, the questions that are asked."""
        asked: list[str] = []
        for question in ("glance", "list_workers", "stalled_runs", "possessions", "commit"):
            setattr(self, question, _counted(getattr(self, question), question, asked))
        return asked


def _counted(method: Callable[..., Any], name: str, asked: list[str]) -> Callable[..., Any]:
    def counted(*args: Any) -> Any:
        asked.append(name)
        return method(*args)

    return counted


@pytest.fixture
async def quiet(world: World) -> Node:
    """A node that hears of nothing."""
    return world.new_node(Quiet(world.path, durability="relaxed", clock=world.clock))


async def pass_time(world: World, duration_us: int) -> None:
    """Let time pass in small parts, and everything happen that it brings."""
    for _ in range(duration_us // TICK_US):
        world.clock.advance(TICK_US)
        await asyncio.sleep(0.002)


def simple(world: World) -> tuple[Any, list[int]]:
    begun_us: list[int] = []

    @world.durable(role="activity")
    async def work() -> str:
        begun_us.append(world.clock.now_us())
        return "done"

    return work, begun_us


async def abandoned(world: World, run_id: str, worker_id: str, lease_us: int) -> None:
    """A run that is held by a worker of which nothing will be heard."""
    await world.commit(RegisterWorker(worker_id, "elsewhere", 1, lease_us))
    claimed = await world.commit(ClaimRuns(worker_id, Capabilities(world.registry.names()), 1, 1))
    assert [run_id] == [run.run_id for run in claimed.runs]


@pytest.mark.parametrize("interval_us", [100_000, 1_000_000, 3_000_000])
async def test_a_lost_hint_costs_a_poll_interval_at_most(world: World, quiet: Node, interval_us: int) -> None:
    work, begun_us = simple(world)
    await quiet.work(poll_interval_us=interval_us)
    await world.start(work)
    world.clock.advance(interval_us - 1)
    await asyncio.sleep(0.02)
    assert [] == begun_us, "the hint was lost"
    world.clock.advance(1)
    await world.until(lambda: bool(begun_us))


@pytest.mark.parametrize("interval_us", [1_000_000, 60_000_000])
async def test_a_lease_that_has_run_out_is_noticed_within_a_second(world: World, quiet: Node, interval_us: int) -> None:
    work, begun_us = simple(world)
    run_id = await world.start(work)
    await abandoned(world, run_id, "stopped", 3 * SECOND_US)
    await quiet.work(poll_interval_us=interval_us)
    await pass_time(world, 3 * SECOND_US)
    await asyncio.sleep(0.02)
    assert [] == begun_us, "the lease is not over"
    world.clock.advance(SECOND_US)
    await world.until(lambda: bool(begun_us))


@pytest.mark.slow
@pytest.mark.parametrize(("has_peer", "most_a_second"), [(False, 1.1), (True, 1.3)])
async def test_an_idle_worker_asks_little(world: World, quiet: Node, has_peer: bool, most_a_second: float) -> None:
    if has_peer:
        await world.commit(RegisterWorker("idle too", "elsewhere", 1, DAY_US))
    await quiet.work()
    await pass_time(world, SECOND_US)
    assert isinstance(quiet.store, Quiet)
    asked = quiet.store.count()
    await pass_time(world, 10 * SECOND_US)
    assert 9 <= asked.count("glance")
    assert len(asked) <= 10 * most_a_second, asked


async def test_a_peer_that_takes_the_place_of_another_is_seen(world: World, quiet: Node) -> None:
    await world.commit(RegisterWorker("first", "elsewhere", 1, DAY_US))
    worker = await quiet.work()
    assert ["first"] == [peer.worker_id for peer in worker._lease.peers]
    await world.commit(ReapWorkers(("first",)))
    await world.commit(RegisterWorker("second", "elsewhere", 1, DAY_US))
    await world.until(lambda: ["second"] == [peer.worker_id for peer in worker._lease.peers], tick_us=TICK_US)


async def test_a_stalled_run_is_tried_again_as_soon_as_its_code_is_put_right(world: World, quiet: Node) -> None:
    def deploy(first_s: float) -> Any:
        """Code whose history begins with a timer; with another body it does not fit."""

        @world.durable(role="orchestrator")
        async def program() -> str:
            if first_s:
                await asyncio.sleep(first_s)
            else:
                await calls.wait_for_signal("go")
            return "done"

        return program

    run_id = await world.start(deploy(first_s=1))
    await world.node.work()
    await world.until(lambda: "TimerStarted" in world.types_of(run_id))
    await world.node.stop()
    deploy(first_s=0)
    await quiet.work(poll_interval_us=DAY_US)
    world.clock.advance(SECOND_US)
    await world.until(lambda: world.row(run_id).status == "stalled")
    deploy(first_s=1)
    world.clock.advance(2 * WATCH_INTERVAL_US)
    await world.until(lambda: world.row(run_id).status == "completed")

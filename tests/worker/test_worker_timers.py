"""When timers are due: from when the program asked for it, whoever carries the run out, never early, and for good."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from stent.durable import calls
from stent.history.events import SignalReceived, TimerFired, TimerStarted
from stent.history.operations import Operation, Outcome, ReapWorkers
from stent.history.records import Message
from stent.history.sql.sqlite import SQLiteStore
from stent.retry import RetryPolicy
from tests.worker.desk import payload
from tests.worker.world import World

SECOND_US = 1_000_000
NAP_US = 30 * SECOND_US


class Unhurried(SQLiteStore):
    """Time goes on while it commits."""

    takes_us = 0

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        outcomes = super().commit(operations)
        self._clock.advance(self.takes_us)  # type: ignore[attr-defined]  # a manual clock
        return outcomes


def napper(world: World) -> Any:
    """A program that sleeps first of all, and then waits for nothing."""

    @world.durable(role="orchestrator")
    async def nap() -> str:
        await asyncio.sleep(30)
        return "rested"

    return nap


def due_of(world: World, run_id: str) -> int:
    (started,) = [event for event in world.history(run_id) if isinstance(event, TimerStarted)]
    return started.due_us


async def until_it_sleeps(world: World, run_id: str) -> int:
    """The time at which it wakes."""
    await world.until(lambda: "TimerStarted" in world.types_of(run_id))
    return due_of(world, run_id)


async def settled(world: World, run_id: str) -> None:
    """Whatever the worker was about to do for a run is done."""
    worker = world.node.worker
    assert worker is not None
    await asyncio.sleep(0.02)
    held = worker.runs.held.get(run_id)
    await world.until(lambda: held is None or held.is_dropped or not (held.is_committing or held.deliveries))


async def assert_wakes_just_at(world: World, run_id: str, due_us: int) -> None:
    """Not a microsecond early, though everybody looks; and then at once."""
    world.clock.advance(due_us - 1 - world.clock.now_us())
    worker = world.node.worker
    assert worker is not None
    worker._on_news(True)
    worker.runs.wake_due()
    await settled(world, run_id)
    assert "TimerFired" not in world.types_of(run_id)
    world.clock.advance(1)
    assert "rested" == (await world.outcome(run_id)).value
    (fired,) = [event for event in world.history(run_id) if isinstance(event, TimerFired)]
    assert (due_us, due_us) == (fired.at_us, due_of(world, run_id))


async def test_a_first_sleep_counts_from_when_a_worker_began_the_run(world: World) -> None:
    """And not from when it was dispatched, an hour before there was one."""
    run_id = await world.start(napper(world))
    world.clock.advance(3_600 * SECOND_US)
    began_us = world.clock.now_us()
    await world.node.work()
    due_us = await until_it_sleeps(world, run_id)
    assert began_us + NAP_US == due_us
    await assert_wakes_just_at(world, run_id, due_us)


async def test_the_first_sleep_of_a_child_counts_from_when_it_was_begun(world: World) -> None:
    """It is held from birth, but begins only when its parent's append has been written."""
    store = Unhurried(world.path, durability="relaxed", clock=world.clock)
    world.new_node(store)
    world.nodes.reverse()  # it is the one that the test works with
    nap = napper(world)

    @world.durable(role="orchestrator")
    async def parent() -> str:
        return str(await nap.options(id="child")())

    await world.node.work()
    store.takes_us = SECOND_US
    await world.start(parent, run_id="parent")
    due_us = await until_it_sleeps(world, "child")
    store.takes_us = 0
    started, timer = world.history("child")[:2]
    assert started.at_us + SECOND_US == timer.at_us == due_us - NAP_US


@pytest.mark.parametrize("away_s", [0, 15, 45], ids=["at once", "shortly before it is due", "long after"])
@pytest.mark.parametrize("ends", ["well", "by a crash"])
async def test_a_due_time_outlives_the_worker(world: World, ends: str, away_s: int) -> None:
    first = await world.node.work()
    run_id = await world.start(napper(world))
    due_us = await until_it_sleeps(world, run_id)
    world.clock.advance(10 * SECOND_US)
    if ends == "by a crash":
        await world.commit(ReapWorkers((first.worker_id,)))  # given up: nothing that it still writes counts
    await world.node.stop()
    world.clock.advance(away_s * SECOND_US)
    now_us = world.clock.now_us()
    await world.node.work()
    if now_us < due_us:
        await settled(world, run_id)
        await assert_wakes_just_at(world, run_id, due_us)
    else:
        assert "rested" == (await world.outcome(run_id)).value, "what is overdue comes at once"
        assert now_us == world.history(run_id)[2].at_us
    assert due_us == due_of(world, run_id), "it was recorded once"


async def test_whatever_wakes_a_run_does_not_bring_its_timer_forward(world: World) -> None:
    @world.durable(role="orchestrator")
    async def listen() -> list[str]:
        sleeping = asyncio.ensure_future(asyncio.sleep(30, "rested"))
        return [str(await calls.wait_for_signal("go")), await sleeping]

    await world.node.work()
    run_id = await world.start(listen)
    due_us = await until_it_sleeps(world, run_id)
    world.clock.advance(due_us - 1 - world.clock.now_us())
    await world.tell(Message(run_id, "k", SignalReceived(0, 0, "go", payload("went"), "k")))
    await world.until(lambda: "SignalReceived" in world.types_of(run_id))
    await settled(world, run_id)
    assert "TimerFired" not in world.types_of(run_id)
    world.clock.advance(1)
    assert ["went", "rested"] == (await world.outcome(run_id)).value


def trying(world: World, flow: str, tries: list[int]) -> Any:
    """A program whose work fails at first, and is tried again later; meanwhile it listens."""

    @world.durable(retry_policy=RetryPolicy(max_attempts=2, initial_delay=30.0, jitter=0.0))
    async def shaky(name: str) -> str:
        tries.append(world.clock.now_us())
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return name

    @world.durable
    async def program() -> list[str]:
        work = asyncio.ensure_future(shaky("done") if flow == "a call" else calls.map(shaky, ["done"]))
        await calls.wait_for_signal("go")
        found = await work
        return [found] if isinstance(found, str) else found

    return program


@pytest.mark.parametrize("flow", ["a call", "an item"])
async def test_whatever_wakes_a_run_does_not_bring_a_retry_forward(world: World, flow: str) -> None:
    tries: list[int] = []
    worker = await world.node.work()
    run_id = await world.start(trying(world, flow, tries))
    await world.until(lambda: "CallAttemptFailed" in world.types_of(run_id))
    began_us = tries[0]
    world.clock.advance(began_us + NAP_US - 1 - world.clock.now_us())
    await world.tell(Message(run_id, "k", SignalReceived(0, 0, "go", payload("went"), "k")))
    await world.until(lambda: "SignalReceived" in world.types_of(run_id))
    held = worker.runs.held.get(run_id)
    assert held is not None
    worker.runs._wake(held)  # as whatever else falls due in this moment does
    await settled(world, run_id)
    assert [began_us] == tries
    world.clock.advance(1)
    await world.until(lambda: len(tries) == 2)
    assert [began_us, began_us + NAP_US] == tries
    await world.until(
        lambda: "RunCompleted" in world.types_of(run_id), tick_us=5_000
    )  # outcomes of items wait a little
    assert ["done"] == (await world.outcome(run_id)).value


@pytest.mark.parametrize("flow", ["a call", "an item"])
async def test_a_retry_keeps_its_time_when_its_run_is_read_again(world: World, flow: str) -> None:
    """Another worker takes it on before that time, because a signal has come."""
    tries: list[int] = []
    await world.node.work()
    run_id = await world.start(trying(world, flow, tries))
    await world.until(lambda: "CallAttemptFailed" in world.types_of(run_id))
    began_us = tries[0]
    await world.node.stop()
    await world.tell(Message(run_id, "k", SignalReceived(0, 0, "go", payload("went"), "k")))
    await world.node.work()
    await world.until(lambda: "SignalReceived" in world.types_of(run_id))
    await settled(world, run_id)
    world.clock.advance(began_us + NAP_US - 1 - world.clock.now_us())
    await settled(world, run_id)
    assert [began_us] == tries
    world.clock.advance(1)
    await world.until(lambda: len(tries) == 2)
    assert [began_us, began_us + NAP_US] == tries


async def test_a_run_is_not_timed_out_before_its_deadline(world: World) -> None:
    @world.durable(role="orchestrator")
    async def wait() -> None:
        await asyncio.sleep(3_600)

    worker = await world.node.work()
    run_id = await world.start(wait, max_duration_us=5 * SECOND_US)  # soon: the run is not given back before
    await world.until(lambda: "DeadlineSet" in world.types_of(run_id))
    deadline_us = world.history(run_id)[0].at_us + 5 * SECOND_US
    world.clock.advance(deadline_us - 1 - world.clock.now_us())
    held = worker.runs.held.get(run_id)
    assert held is not None
    worker.runs._wake(held)
    await settled(world, run_id)
    assert "RunTimedOut" not in world.types_of(run_id)
    world.clock.advance(1)
    event = (await world.outcome(run_id)).event
    assert ("RunTimedOut", deadline_us) == (event.type, event.at_us)

"""A worker as a whole: it takes on, carries out, and lets go. In-process news must do: time stands still here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from stent.durable import calls
from stent.errors import RunCancelledError, RunTimedOutError, StoreUnavailableError
from stent.history.operations import ReapWorkers
from stent.history.records import LoadedRun
from stent.history.sql.sqlite import SQLiteStore
from stent.retry import RetryPolicy
from tests.worker.world import World


async def test_an_activity_runs_and_its_outcome_is_recorded_once(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    await world.node.work()
    run_id = await world.start(double, 4)
    assert 8 == (await world.outcome(run_id)).value
    assert ["RunStarted", "RunCompleted"] == world.types_of(run_id)


async def test_an_orchestrator_calls_activities_and_orchestrators(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    @world.durable
    async def add_doubles(count: int) -> int:
        return sum(await asyncio.gather(*[double(number) for number in range(count)]))

    @world.durable
    async def both(count: int) -> list[int]:
        return list(await asyncio.gather(add_doubles(count), add_doubles(count + 1)))

    await world.node.work()
    assert [12, 20] == await world.call(both, 4)


async def test_more_calls_than_slots_all_get_their_turn(world: World) -> None:
    running, most = 0, 0

    @world.durable
    async def count_neighbours(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    @world.durable
    async def fan_out() -> int:
        return sum(await asyncio.gather(*[count_neighbours(number) for number in range(50)]))

    await world.node.work(slots=3)
    assert sum(range(50)) == await world.call(fan_out)
    assert 3 == most


async def test_a_retry_waits_for_its_time_and_the_worker_does_not_go_round_while_it_runs(world: World) -> None:
    tries: list[int] = []
    may_finish = asyncio.Event()

    @world.durable(retry_policy=RetryPolicy(max_attempts=3, initial_delay=60.0, jitter=0.0))
    async def shaky() -> str:
        tries.append(world.clock.now_us())
        if len(tries) == 1:
            raise ConnectionError("not yet")
        await may_finish.wait()
        return "done"

    worker = await world.node.work()
    began_us = world.clock.now_us()
    run_id = await world.start(shaky)
    await world.until(lambda: "CallAttemptFailed" in world.types_of(run_id))
    world.clock.advance(59_000_000)
    await asyncio.sleep(0.01)
    assert 1 == len(tries)
    world.clock.advance(1_000_000)
    await world.until(lambda: len(tries) == 2)
    assert [began_us, began_us + 60_000_000] == tries
    alarm_us = worker.runs.alarms.next_due_us()
    assert alarm_us is None or alarm_us > world.clock.now_us()
    may_finish.set()
    assert "done" == (await world.outcome(run_id)).value


async def test_a_timer_fires_at_its_time_and_not_before(world: World) -> None:
    @world.durable(role="orchestrator")
    async def nap() -> str:
        await asyncio.sleep(30)
        return "rested"

    await world.node.work()
    run_id = await world.start(nap)
    await world.until(lambda: "TimerStarted" in world.types_of(run_id))
    world.clock.advance(29_999_999)
    await asyncio.sleep(0.01)
    assert "TimerFired" not in world.types_of(run_id)
    world.clock.advance(1)
    assert "rested" == (await world.outcome(run_id)).value


async def test_a_map_is_one_event_and_its_outcomes_are_packed(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    @world.durable
    async def double_all(count: int) -> list[int]:
        return await calls.map(double, range(count))

    await world.node.work(slots=10)
    run_id = await world.start(double_all, 300)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=5_000)
    assert [2 * number for number in range(300)] == (await world.outcome(run_id)).value
    kinds = world.types_of(run_id)
    assert 1 == kinds.count("BatchScheduled")
    assert 30 >= kinds.count("BatchItemsCompleted")


async def test_two_workers_share_a_limit(world: World) -> None:
    running, most = 0, 0

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

    await world.node.work()
    await world.new_node().work()
    run_id = await world.start(fan_out, 12)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=20_000)
    assert 66 == (await world.outcome(run_id)).value
    assert 2 == most


async def test_calls_that_a_limit_blocks_do_not_keep_others_waiting(world: World) -> None:
    """200 calls of a function that is at its limit stand in front of everything else."""
    gate = asyncio.Event()

    @world.durable(max_concurrent=1)
    async def narrow(number: int) -> int:
        await gate.wait()
        return number

    @world.durable(max_concurrent=5)
    async def other(number: int) -> int:
        return number

    @world.durable
    async def plain(number: int) -> int:
        return number

    @world.durable
    async def crowd() -> int:
        return sum(await asyncio.gather(*[narrow(number) for number in range(200)]))

    @world.durable
    async def behind() -> list[int]:
        return [await other(1), await plain(2)]

    await world.node.work(slots=4)
    crowded = await world.start(crowd)
    await world.until(lambda: "CallScheduled" in world.types_of(crowded))
    assert [1, 2] == await world.call(behind)
    gate.set()
    assert sum(range(200)) == (await world.outcome(crowded)).value


async def test_cancelling_a_run_stops_its_bodies_and_those_that_wait_for_a_slot_never_start(world: World) -> None:
    begun: list[int] = []
    stopped: list[int] = []

    @world.durable
    async def endless(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(number)

    @world.durable
    async def fan_out() -> None:
        await asyncio.gather(*[endless(number) for number in range(6)])

    @world.durable
    async def quick() -> str:
        return "done"

    await world.node.work(slots=2)
    run_id = await world.start(fan_out)
    await world.until(lambda: len(begun) == 2)
    await world.cancel(run_id)
    assert isinstance((await world.outcome(run_id)).error, RunCancelledError)
    assert "done" == await world.call(quick)
    assert [0, 1] == begun == sorted(stopped)


async def test_cancelling_a_shared_call_stops_it_at_once(world: World) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @world.durable(max_concurrent=1)
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @world.durable
    async def caller() -> None:
        await endless()

    await world.node.work()
    run_id = await world.start(caller)
    await asyncio.wait_for(begun.wait(), 5)
    await world.cancel(run_id)
    assert isinstance((await world.outcome(run_id)).error, RunCancelledError)
    await asyncio.wait_for(stopped.wait(), 5)


async def test_a_run_that_passes_its_deadline_times_out_with_its_bodies(world: World) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @world.durable
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @world.durable
    async def caller() -> None:
        await endless()

    await world.node.work()
    run_id = await world.start(caller, max_duration_us=5_000_000)
    await asyncio.wait_for(begun.wait(), 5)
    world.clock.advance(4_999_999)
    await asyncio.sleep(0.01)
    assert not stopped.is_set()
    world.clock.advance(1)
    assert isinstance((await world.outcome(run_id)).error, RunTimedOutError)
    await asyncio.wait_for(stopped.wait(), 5)


async def test_until_idle_ends_by_itself_when_all_is_done(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    @world.durable
    async def twice(number: int) -> int:
        return await double(await double(number))

    run_id = await world.start(twice, 3)
    worker = await world.node.work(until_idle=True)
    assert world.node.working is not None
    await asyncio.wait_for(world.node.working, 5)
    assert 12 == (await world.outcome(run_id)).value
    assert 0 == len(worker.runs.held)


async def test_a_stopped_worker_gives_everything_back_and_another_goes_on(world: World) -> None:
    begun: list[str] = []
    gate = asyncio.Event()

    @world.durable
    async def first() -> int:
        begun.append("first")
        return 1

    @world.durable
    async def second() -> int:
        begun.append("second")
        await gate.wait()
        return 2

    @world.durable
    async def both() -> int:
        return await first() + await second()

    await world.node.work()
    run_id = await world.start(both)
    await world.until(lambda: begun == ["first", "second"])
    await world.node.stop()
    assert None is world.row(run_id).owner
    assert [] == world.node.store.list_workers()
    gate.set()
    await world.new_node().work()
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=20_000)
    assert ["first", "second", "second"] == begun


async def test_what_bodies_finish_within_the_grace_is_recorded(world: World) -> None:
    """Outcomes of items are packed for a moment: a stop must not lose them."""
    done: list[int] = []
    may_finish, never = asyncio.Event(), asyncio.Event()

    @world.durable
    async def work(number: int) -> int:
        await (may_finish if number < 3 else never).wait()
        done.append(number)
        return number

    @world.durable
    async def work_all() -> list[int]:
        return await calls.map(work, range(5))

    await world.node.work(slots=5, grace_us=50_000)
    run_id = await world.start(work_all)
    worker = world.node.worker
    assert worker is not None
    await world.until(lambda: "BatchScheduled" in world.types_of(run_id))
    stopping = asyncio.create_task(world.node.stop())
    await asyncio.sleep(0)
    may_finish.set()
    await stopping
    recorded = [event.items for event in world.history(run_id) if event.type == "BatchItemsCompleted"]
    assert [((0, 3),)] == recorded


async def test_a_run_of_a_worker_that_was_given_up_is_not_written_by_it_any_more(world: World) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    @world.durable
    async def slow() -> str:
        begun.set()
        await gate.wait()
        return "late"

    worker = await world.node.work()
    run_id = await world.start(slow)
    await asyncio.wait_for(begun.wait(), 5)
    await world.new_node().link.commit(ReapWorkers((worker.worker_id,)))
    gate.set()
    await world.until(lambda: run_id not in worker.runs.held)
    assert ["RunStarted"] == world.types_of(run_id)


async def test_a_claimed_run_that_was_taken_away_before_it_was_read_is_not_adopted(world: World) -> None:
    """Its row shows the next holder's epoch: with that, two workers could write."""

    @world.durable(role="orchestrator")
    async def wait_long() -> None:
        await asyncio.sleep(3600)

    run_id = await world.start(wait_long)
    worker = await world.node.work()
    await world.until(lambda: run_id in worker.runs.held)
    await world.commit(ReapWorkers((worker.worker_id,)))
    worker.runs.drop_all()
    other = await world.new_node().work()
    await world.until(lambda: run_id in other.runs.held, tick_us=20_000)
    worker._claimed[run_id] = 1
    await worker._adopt_claimed()
    assert run_id not in worker.runs.held


@pytest.mark.parametrize("role", ["orchestrator", "activity"])
async def test_a_wrong_prediction_is_corrected(world: World, role: str) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    functions = Opaque(double)

    @world.durable
    async def hidden(number: int) -> int:
        """Refers to something durable only in a way that no reader of its code can see."""
        return int(await getattr(functions, "on" + "ly")(number)) if role == "orchestrator" else number

    await world.node.work()
    run_id = await world.start(hidden, 4)
    assert (8 if role == "orchestrator" else 4) == (await world.outcome(run_id)).value
    assert (role == "orchestrator") == ("RoleCorrected" in world.types_of(run_id))


class Opaque:
    def __init__(self, only: Any) -> None:
        self.only = only


@pytest.mark.slow
async def test_a_worker_goes_on_when_the_store_cannot_be_read_for_a_while(world: World) -> None:
    """What it has claimed by then it reads later: nobody else would."""

    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    node = world.new_node(Unreadable(world.path, durability="relaxed", clock=world.clock))
    run_id = await world.start(double, 4)
    await node.work()
    assert 8 == (await world.outcome_elsewhere(run_id))
    assert 3 == node.store.failures  # type: ignore[attr-defined]  # it is Unreadable


class Unreadable(SQLiteStore):
    """A store whose histories cannot be read at first."""

    failures = 0

    def load_runs(self, run_ids: Sequence[str]) -> list[LoadedRun]:
        if self.failures < 3:
            self.failures += 1
            raise StoreUnavailableError("the database cannot be reached")
        return super().load_runs(run_ids)


async def test_a_lease_that_ran_out_unseen_is_kept(world: World) -> None:
    """The machine slept: time jumped past the lease, and nobody was there to take anything."""
    gate = asyncio.Event()
    begun: list[int] = []

    @world.durable
    async def slow() -> str:
        begun.append(1)
        await gate.wait()
        return "done"

    worker = await world.node.work(lease_us=10_000_000)
    run_id = await world.start(slow)
    await world.until(lambda: begun == [1])
    for chore in world.node.threads.committer._chores:
        world.link.remove_chore(chore)  # the thread that renews leases has slept too, and is not the first to wake
    world.clock.advance(59_000_000)
    worker._on_news(True)
    await world.until(lambda: world.node.store.list_workers()[0].valid_until_us > world.clock.now_us())
    gate.set()
    assert "done" == (await world.outcome(run_id)).value
    assert [1] == begun, "nothing was given up, so nothing ran again"
    assert ["RunStarted", "RunCompleted"] == world.types_of(run_id)

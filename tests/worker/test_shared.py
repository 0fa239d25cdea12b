"""Claimed calls: outcomes reach the run once, and a claim that was taken away writes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from stent.durable import calls
from stent.history.operations import ReapWorkers
from stent.retry import RetryPolicy
from tests.worker.world import World


async def test_a_map_of_another_queue_is_carried_out_by_the_worker_that_serves_it(world: World) -> None:
    @world.durable(queue="gpu")
    async def double(number: int) -> int:
        return 2 * number

    @world.durable
    async def work_all() -> list[int]:
        return await calls.map(double, range(100))

    await world.node.work(queues=frozenset({"default"}))
    other = await world.new_node().work(queues=frozenset({"gpu"}), slots=7)
    run_id = await world.start(work_all)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=20_000)
    assert [2 * number for number in range(100)] == (await world.outcome(run_id)).value
    assert 0 == len(other._shared)


async def test_limited_items_that_fail_are_retried_each_once_a_time(world: World) -> None:
    tries: Counter[int] = Counter()

    @world.durable(max_concurrent=2, retry_policy=RetryPolicy(max_attempts=4, initial_delay=1.0, jitter=0.0))
    async def shaky(number: int) -> int:
        tries[number] += 1
        if tries[number] <= number:
            raise ConnectionError("not yet")
        return number

    @world.durable
    async def work_all() -> list[int]:
        return await calls.map(shaky, range(4))

    await world.node.work()
    run_id = await world.start(work_all)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=100_000)
    assert [0, 1, 2, 3] == (await world.outcome(run_id)).value
    assert {0: 1, 1: 2, 2: 3, 3: 4} == tries
    assert 6 == world.types_of(run_id).count("CallAttemptFailed")


async def test_a_limited_orchestrator_is_promoted_and_answers_its_call(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    class Opaque:
        only = staticmethod(double)

    @world.durable(max_concurrent=1)
    async def hidden(number: int) -> int:
        return int(await getattr(Opaque, "on" + "ly")(number))

    @world.durable
    async def caller() -> int:
        return int(await hidden(4))

    await world.node.work()
    assert 8 == await world.call(caller)


async def test_an_outcome_under_a_claim_that_was_taken_away_is_discarded(world: World) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    begun: list[int] = []

    @world.durable(max_concurrent=1)
    async def slow() -> int:
        number = len(begun)
        begun.append(number)
        await gates[number].wait()
        return number

    @world.durable
    async def caller() -> int:
        return int(await slow())

    holder = world.new_node()
    worker = await world.node.work(queues=frozenset({"default"}))
    run_id = await world.start(caller)
    await world.until(lambda: begun == [0])
    await holder.work()
    await holder.link.commit(ReapWorkers((worker.worker_id,)))
    await world.until(lambda: begun == [0, 1], tick_us=20_000)
    gates[0].set()
    await world.until(lambda: len(worker._shared) == 0, tick_us=20_000)
    gates[1].set()
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=20_000)
    assert 1 == (await world.outcome(run_id)).value
    assert 1 == world.types_of(run_id).count("CallCompleted")


async def test_an_outcome_that_was_not_written_is_not_told_to_the_run_either(world: World) -> None:
    """The claim is not there any more, and the run is held here: what is not recorded did not happen."""
    gate, begun = asyncio.Event(), asyncio.Event()

    @world.durable(max_concurrent=1)
    async def slow() -> str:
        begun.set()
        await gate.wait()
        return "done"

    @world.durable
    async def caller() -> str:
        return str(await slow())

    worker = await world.node.work()
    run_id = await world.start(caller)
    await asyncio.wait_for(begun.wait(), 5)
    (claim,) = worker._shared._claims.values()
    claim.shared = replace(claim.shared, call=99)  # as if another worker had it now
    before = world.types_of(run_id)
    gate.set()
    await world.until(lambda: len(worker._shared) == 0)
    await asyncio.sleep(0.02)
    assert before == world.types_of(run_id)


async def test_a_dropped_run_leaves_the_claims_of_its_worker_alone(world: World) -> None:
    """The call is claimed from the shared table: that its worker lost the run does not end it."""
    gate, begun = asyncio.Event(), asyncio.Event()

    @world.durable(max_concurrent=1)
    async def slow() -> str:
        begun.set()
        await gate.wait()
        return "done"

    @world.durable
    async def caller() -> str:
        return str(await slow())

    worker = await world.node.work()
    run_id = await world.start(caller)
    await asyncio.wait_for(begun.wait(), 5)
    held = worker.runs.held.get(run_id)
    assert held is not None
    worker.runs.drop(held)
    assert 1 == worker._bodies.running_count
    gate.set()
    await world.until(lambda: bool(world.node.store.load_runs([run_id])[0].inbox))
    assert ["CallCompleted"] == [row.message.event.type for row in world.node.store.load_runs([run_id])[0].inbox]
    assert 0 == len(worker._shared)


async def test_a_limit_holds_over_calls_maps_and_runs_together(world: World) -> None:
    running, most = 0, 0

    @world.durable(max_concurrent=2)
    async def careful(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    @world.durable
    async def by_map() -> list[int]:
        return await calls.map(careful, range(10))

    @world.durable
    async def by_call() -> list[int]:
        return list(await asyncio.gather(*[careful(number) for number in range(10)]))

    await world.node.work()
    run_ids = [await world.start(by_map), await world.start(by_call)]
    run_ids += [await world.start(careful, number) for number in range(5)]
    for run_id in run_ids:
        await world.until(lambda run_id=run_id: "RunCompleted" in world.types_of(run_id), tick_us=5_000)
    assert 2 == most

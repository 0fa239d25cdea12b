"""Bodies of held runs: items, their limits and their retries."""

from __future__ import annotations

import asyncio
from collections import Counter

from stent.durable import calls
from stent.retry import RetryPolicy
from tests.worker.world import World

RETRY = RetryPolicy(max_attempts=3, initial_delay=60.0, jitter=0.0)


async def test_a_limit_of_a_map_holds(world: World) -> None:
    running, most = 0, 0

    @world.durable
    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    @world.durable
    async def work_all() -> list[int]:
        return await calls.map(work, range(40), limit=3)

    await world.node.work(slots=10)
    run_id = await world.start(work_all)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=5_000)
    assert list(range(40)) == (await world.outcome(run_id)).value
    assert 3 == most


async def test_a_limited_map_of_orchestrators_runs_as_many_as_the_limit_says(world: World) -> None:
    running, most = 0, 0

    @world.durable
    async def leaf(change: int) -> None:
        nonlocal running, most
        running += change
        most = max(most, running)

    @world.durable
    async def branch(number: int) -> int:
        await leaf(1)
        await leaf(-1)
        return number

    @world.durable
    async def tree() -> list[int]:
        return await calls.map(branch, range(7), limit=2)

    await world.node.work()
    assert list(range(7)) == await world.call(tree)
    assert 2 == most


async def test_items_that_fail_are_retried_alone_and_at_their_time(world: World) -> None:
    tries: Counter[int] = Counter()

    @world.durable(retry_policy=RETRY)
    async def shaky(number: int) -> int:
        tries[number] += 1
        if number == 2 and tries[number] == 1:
            raise ConnectionError("not yet")
        return number

    @world.durable
    async def work_all() -> list[int]:
        return await calls.map(shaky, range(5))

    await world.node.work()
    run_id = await world.start(work_all)
    await world.until(lambda: "CallAttemptFailed" in world.types_of(run_id))
    world.clock.advance(59_000_000)
    await asyncio.sleep(0.01)
    assert 1 == tries[2]
    world.clock.advance(1_000_000)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=5_000)
    assert [0, 1, 2, 3, 4] == (await world.outcome(run_id)).value
    assert {0: 1, 1: 1, 2: 2, 3: 1, 4: 1} == tries


async def test_an_item_between_two_attempts_keeps_its_delay_when_its_run_moves_on(world: World) -> None:
    """Another worker reads the run from the store: neither at once nor twice, but when it is due."""
    tries: Counter[int] = Counter()
    gate = asyncio.Event()

    @world.durable(retry_policy=RETRY)
    async def shaky(number: int) -> int:
        tries[number] += 1
        if number == 1:
            if tries[number] == 1:
                raise ConnectionError("not yet")
            return number
        await gate.wait()
        return number

    @world.durable
    async def work_all() -> list[int]:
        return await calls.map(shaky, range(2))

    await world.node.work()
    run_id = await world.start(work_all)
    await world.until(lambda: "CallAttemptFailed" in world.types_of(run_id))
    await world.node.stop()
    await world.node.work()
    await world.until(lambda: tries[0] == 2)
    assert 1 == tries[1]
    world.clock.advance(60_000_000)
    gate.set()
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=5_000)
    assert {0: 2, 1: 2} == tries


async def test_an_item_that_turns_out_to_be_an_orchestrator_gets_a_run_of_its_own(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    class Opaque:
        only = staticmethod(double)

    @world.durable
    async def hidden(number: int) -> int:
        return int(await getattr(Opaque, "on" + "ly")(number))

    @world.durable
    async def work_all() -> list[int]:
        return await calls.map(hidden, range(3))

    await world.node.work()
    run_id = await world.start(work_all)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=5_000)
    assert [0, 2, 4] == (await world.outcome(run_id)).value
    assert 3 == world.types_of(run_id).count("CallPromoted")
    assert "completed" == world.row(f"{run_id}.1.2").status


async def test_a_map_whose_items_fail_raises_the_first_error_or_returns_all(world: World) -> None:
    @world.durable
    async def picky(number: int) -> int:
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number

    @world.durable
    async def work_all() -> list[str]:
        outcomes = await calls.map(picky, range(4), return_exceptions=True)
        return [f"{outcome}" for outcome in outcomes]

    await world.node.work()
    run_id = await world.start(work_all)
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=5_000)
    assert ["0", "1 is odd", "2", "3 is odd"] == (await world.outcome(run_id)).value


async def test_a_cancelled_map_starts_no_more_items(world: World) -> None:
    begun: list[int] = []

    @world.durable
    async def endless(number: int) -> None:
        begun.append(number)
        await asyncio.Event().wait()

    @world.durable
    async def work_all() -> None:
        await calls.map(endless, range(50))

    @world.durable
    async def quick() -> str:
        return "done"

    worker = await world.node.work(slots=2)
    run_id = await world.start(work_all)
    await world.until(lambda: len(begun) == 2)
    await world.cancel(run_id)
    await world.outcome(run_id)
    assert "done" == await world.call(quick)
    assert ([0, 1], 0) == (begun, worker._bodies.running_count)

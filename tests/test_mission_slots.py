"""The mission document on slots and limits: waiting costs none, and limits hold over all workers."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from stent import Stent
from stent.backends import SQLiteBackend
from stent.history.events import CallScheduled
from tests.crash import limited
from tests.crash.ledger import ends_by_key, most_at_once
from tests.crash.place import enter, ledger
from tests.crash.processes import children

PATIENCE_S = 30
NO_POLL: dict[str, Any] = {"poll_interval": "1h"}  # whoever finds work only by looking again comes too late


# -- "Both approaches release the orchestrator's worker slot while waiting" --------------------------------------------


@Stent.durable
async def work(number: int) -> int:
    await asyncio.sleep(0.001)
    return number


@Stent.durable
async def child(number: int) -> int:
    return await work(number) + await work(number)


@Stent.durable
async def parent(number: int) -> int:
    return await child(number) + 1


@Stent.durable
async def nested(depth: int) -> int:
    return 1 + await nested(depth - 1) if depth > 0 else await work(0)


@Stent.durable
async def gather_many(count: int) -> int:
    return sum(await asyncio.gather(*[work(number) for number in range(count)]))


@pytest.mark.slow
async def test_orchestrators_that_wait_for_orchestrators_hold_no_slot(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, max_concurrency=2), asyncio.timeout(PATIENCE_S):
        results = await asyncio.gather(*[parent(number) for number in range(30)])
    assert [2 * number + 1 for number in range(30)] == results


async def test_one_slot_is_enough_at_any_depth(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, max_concurrency=1), asyncio.timeout(PATIENCE_S):
        assert 12 == await nested(12)


@pytest.mark.slow
async def test_one_slot_is_enough_for_a_gather_of_five_hundred(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, max_concurrency=1), asyncio.timeout(PATIENCE_S):
        assert sum(range(500)) == await gather_many(500)


@Stent.durable
async def wait_long() -> None:
    await Stent.sleep("1h")


async def test_a_worker_full_of_waiting_orchestrators_takes_on_others(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, max_concurrency=1) as executor, asyncio.timeout(PATIENCE_S):
        waiting = [await executor.dispatch(wait_long) for _ in range(20)]
        assert 21 == await parent(10)
        assert all([await executor.state_of(run_id) == "running" for run_id in waiting])


# -- "At the Worker Level" ---------------------------------------------------------------------------------------------

running = 0
most_running = 0


@Stent.durable
async def watched(number: int) -> int:
    global running, most_running  # noqa: PLW0603  # seen by the test in the same process
    running += 1
    most_running = max(most_running, running)
    await asyncio.sleep(0.005)
    running -= 1
    return number


@Stent.durable
async def gather_watched(count: int) -> list[int]:
    return await asyncio.gather(*[watched(number) for number in range(count)])


@Stent.durable
async def map_watched(count: int) -> list[int]:
    return await Stent.map(watched, range(count))


async def test_serve_runs_at_most_as_many_bodies_as_it_was_told_and_no_fewer(backend: SQLiteBackend) -> None:
    global most_running  # noqa: PLW0603  # see above
    executor = Stent(backend=backend)
    most_running = 0
    gathering = await executor.dispatch(gather_watched, 40)
    mapping = await executor.dispatch(map_watched, 40)
    # Worker processes max 10 tasks at a time
    serving = asyncio.create_task(executor.serve(max_concurrency=10))
    for run_id in (gathering, mapping):
        assert list(range(40)) == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    executor.request_worker_drain()
    await serving
    await executor.shutdown()
    assert 10 == most_running


async def test_what_has_no_slot_waits_as_pending(backend: SQLiteBackend) -> None:
    release = gate["open"] = asyncio.Event()
    async with Stent.bootstrap(backend, max_concurrency=2) as executor, asyncio.timeout(PATIENCE_S):
        first = [await executor.dispatch(gated) for _ in range(2)]
        rest = [await executor.dispatch(gated) for _ in range(3)]
        assert ["running"] * 2 == [await executor.state_of(run_id) for run_id in first]
        assert ["pending"] * 3 == [await executor.state_of(run_id) for run_id in rest]
        assert 3 == await executor.queue_depth()
        release.set()
        for run_id in first + rest:
            assert (await executor.wait_for(run_id)).ok


gate: dict[str, asyncio.Event] = {}


@Stent.durable
async def gated() -> None:
    await gate["open"].wait()


# -- "At the Function Level" -------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_max_concurrent_holds_over_several_worker_processes(tmp_path: Path) -> None:
    items = [{"number": number} for number in range(60)]
    executor = Stent(str(enter(tmp_path)))
    async with children() as started:
        workers = [await started.start("tests.crash.worker", tmp_path) for _ in range(3)]
        for worker in workers:
            await worker.said("ready")
        runs = [await executor.dispatch(limited.workflow, items) for _ in range(2)]
        runs.append(await executor.dispatch(limited.mapping_workflow, items))
        for run_id in runs:
            expected = [{**item, "called": True} for item in items]
            assert expected == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
        for worker in workers:
            worker.send(signal.SIGTERM)
        assert [0, 0, 0] == [await worker.ended() for worker in workers]
    calls = [
        event for run_id in runs[:2] for event in await executor.history_of(run_id) if isinstance(event, CallScheduled)
    ]
    await executor.shutdown()
    lines = ledger().read("rate_limited_api_call")
    assert 120 == len(calls)
    assert limited.MAX_CONCURRENT == most_at_once(lines), "never more, and no fewer either"
    assert {1} == set(ends_by_key(lines).values()), "each call once"
    assert 180 == len(ends_by_key(lines))
    assert len({line.process_id for line in lines}) > 1, "several processes took part"


@pytest.mark.slow
async def test_max_concurrent_holds_within_one_worker_and_room_is_taken_at_once(tmp_path: Path) -> None:
    items = [{"number": number} for number in range(15)]
    async with Stent.bootstrap(str(enter(tmp_path)), max_concurrency=10, **NO_POLL):
        async with asyncio.timeout(PATIENCE_S):
            await limited.workflow(items)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*[limited.rate_limited_api_call(item) for item in items])
    assert limited.MAX_CONCURRENT == most_at_once(ledger().read())

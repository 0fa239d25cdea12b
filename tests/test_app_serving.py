"""Workers through the public API: begin, end, hand-over, and several of them on one database."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from stent import Stent
from stent.backends import SQLiteBackend
from stent.errors import NotConfiguredError, OptionError
from tests.crash.processes import until

PATIENCE_S = 10
LESS_THAN_A_POLL_S = 4  # whoever finds work only by looking again takes 5 s for it

seen: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_was_seen() -> None:
    seen.clear()


@Stent.durable
async def note(text: str) -> str:
    seen.append(text)
    return text


@Stent.durable
async def work(seconds: float) -> str:
    seen.append("begun")
    await asyncio.sleep(seconds)
    seen.append("ended")
    return "worked"


@Stent.durable
async def wait_for_go(text: str) -> list[str]:
    return [await note(text), await Stent.wait_for_signal("go")]


@Stent.durable
async def wait_for_child(text: str) -> list[str]:
    return await wait_for_go.options()(text)


@Stent.durable
async def sleep_long() -> None:
    await Stent.sleep("1h")


@Stent.durable
async def wait_for_work(seconds: float) -> str:
    return await work(seconds)


async def value(executor: Stent, run_id: str) -> Any:
    return (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_the_block_ends_within_a_second_however_many_orchestrators_wait(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend) as executor:
        for number in range(30):
            await executor.dispatch(wait_for_child, str(number))
            await executor.dispatch(sleep_long)
        await until(lambda: len(seen) == 30)
        before = time.monotonic()
    assert time.monotonic() - before < 1


async def test_another_block_goes_on_with_what_waited(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend) as executor:
        runs = [await executor.dispatch(wait_for_child, str(number)) for number in range(5)]
        await until(lambda: len(seen) == 5)
    async with Stent.bootstrap(backend) as executor:
        for run_id in runs:
            [child] = await executor.list_executions(parent=run_id)
            await executor.send_signal(child.execution_id, "go", "went")
        assert [[str(number), "went"] for number in range(5)] == [await value(executor, run_id) for run_id in runs]
    assert 5 == len(seen), "what was recorded did not run again"


async def test_bodies_get_a_grace_and_what_ends_in_it_is_recorded(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, grace="1s") as executor:
        run_id = await executor.dispatch(wait_for_work, 0.05)
        await until(lambda: bool(seen))
    assert ["begun", "ended"] == seen
    async with Stent.bootstrap(backend) as executor:
        assert "worked" == await value(executor, run_id)
    assert ["begun", "ended"] == seen


@pytest.mark.parametrize("function", [work, wait_for_work])
async def test_what_does_not_end_in_its_grace_is_stopped_and_runs_again_elsewhere(
    backend: SQLiteBackend, function: Any
) -> None:
    async with Stent.bootstrap(backend, grace="10ms") as executor:
        run_id = await executor.dispatch(function, 0.2)
        await until(lambda: bool(seen))
        before = time.monotonic()
    assert time.monotonic() - before < 1
    async with Stent.bootstrap(backend) as executor:
        assert "worked" == await value(executor, run_id)
    assert ["begun", "begun", "ended"] == seen


async def test_an_error_in_the_block_comes_out_of_it(backend: SQLiteBackend) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Stent.bootstrap(backend):
            await asyncio.sleep(1 / 0)
    async with Stent.bootstrap(backend):
        assert "x" == await note("x")


async def test_without_a_worker_runs_wait(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, serve=False) as executor:
        run_id = await executor.dispatch(note, "x")
        await asyncio.sleep(0.05)
        assert "pending" == await executor.state_of(run_id)
        assert 1 == await executor.queue_depth()


# -- serve -------------------------------------------------------------------------------------------------------------


async def test_serve_until_idle_returns_when_nothing_is_left_to_do(backend: SQLiteBackend) -> None:
    executor = Stent(backend)
    runs = [await executor.dispatch(wait_for_work, 0.001) for _ in range(5)]
    runs.append(await executor.dispatch(note, "later", delay="50ms"))
    async with asyncio.timeout(PATIENCE_S):
        await executor.serve(until_idle=True)
    assert ["completed"] * 6 == [await executor.state_of(run_id) for run_id in runs]
    await executor.shutdown()


async def test_a_lifecycle_tells_what_its_worker_does(backend: SQLiteBackend) -> None:
    executor = Stent(backend)
    lifecycle = executor.create_worker_lifecycle("mine")
    assert "new" == lifecycle.state
    serving = asyncio.create_task(executor.serve(lifecycle=lifecycle))
    await lifecycle.wait_until_ready()
    assert "ready" == lifecycle.state
    run_id = await executor.dispatch(wait_for_go, "x")
    await until(lambda: bool(seen))
    worker_id = (await executor.state_of(run_id)).info.worker_id
    assert worker_id is not None
    assert worker_id.startswith("mine-")
    executor.request_worker_drain(lifecycle)
    async with asyncio.timeout(PATIENCE_S):
        await serving
    assert "stopped" == lifecycle.state
    assert (await executor.state_of(run_id)).info.worker_id is None
    await executor.shutdown()


async def test_cancelling_serve_ends_it_cleanly(backend: SQLiteBackend) -> None:
    executor = Stent(backend)
    serving = asyncio.create_task(executor.serve())
    await executor.wait_until_ready()
    run_id = await executor.dispatch(wait_for_go, "x")
    await until(lambda: bool(seen))
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert (await executor.state_of(run_id)).info.worker_id is None
    await executor.shutdown()


@pytest.mark.parametrize(
    "bad",
    [
        {"max_concurrency": 0},
        {"queues": "one"},
        {"lease_duration": "1ms"},
        {"poll_interval": "soon"},
        {"poll_interval": 0},
    ],
)
async def test_options_that_mean_nothing_are_an_error(backend: SQLiteBackend, bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(bad))):
        await Stent(backend).serve(**bad)


def test_an_executor_without_a_backend_is_an_error() -> None:
    with pytest.raises(NotConfiguredError):
        Stent(backend=7)  # type: ignore[arg-type]  # the point


# -- several -----------------------------------------------------------------------------------------------------------


async def test_two_workers_of_one_process_share_the_work(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, max_concurrency=1) as executor:
        second = asyncio.create_task(executor.serve(max_concurrency=1))
        await asyncio.sleep(0.02)
        async with asyncio.timeout(LESS_THAN_A_POLL_S):
            meeting = Meeting(2)
            meetings["two"] = meeting
            assert [2, 2] == await asyncio.gather(meet("two"), meet("two"))
        executor.request_worker_drain()
        await second


async def test_two_workers_on_one_file_share_the_work(backend: SQLiteBackend) -> None:
    other = Stent(SQLiteBackend(backend.path))
    async with Stent.bootstrap(backend, max_concurrency=1):
        serving = asyncio.create_task(other.serve(max_concurrency=1))
        await other.wait_until_ready()
        async with asyncio.timeout(LESS_THAN_A_POLL_S):
            meetings["three"] = Meeting(2)
            assert [2, 2] == await gather_meeting("three")
        other.request_worker_drain()
        await serving
    await other.shutdown()


class Meeting:
    """Nobody goes on before all have come."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.come = 0
        self.all_came = asyncio.Event()


meetings: dict[str, Meeting] = {}


@Stent.durable
async def meet(name: str) -> int:
    meeting = meetings[name]
    meeting.come += 1
    if meeting.come == meeting.count:
        meeting.all_came.set()
    await meeting.all_came.wait()
    return meeting.come


@Stent.durable
async def gather_meeting(name: str) -> list[int]:
    return await asyncio.gather(meet(name), meet(name))


async def test_a_client_of_another_executor_is_answered_soon(backend: SQLiteBackend, tmp_path: Path) -> None:
    other = Stent(SQLiteBackend(backend.path))
    async with Stent.bootstrap(backend):
        before = time.monotonic()
        for number in range(5):
            assert str(number) == await value(other, await other.dispatch(note, str(number)))
        assert time.monotonic() - before < 2.5, "hints, and no polls"
    await other.shutdown()

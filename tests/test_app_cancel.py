"""`cancel`: what it stops, what may still be done about it, and that nothing cancelled is ever completed.

The outcome of a run may be read from the database before its worker has had the time to stop what it carries out, so
that these tests wait for that too.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stent import RunCancelledError, Stent
from stent.backends import SQLiteBackend
from tests.worker.desk import until

PATIENCE_S = 10

seen: list[str] = []
begun: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def _nothing_was_seen() -> None:
    seen.clear()
    begun.clear()


def has_begun(name: str) -> asyncio.Event:
    return begun.setdefault(name, asyncio.Event())


@Stent.durable
async def work_until_stopped(name: str) -> str:
    has_begun(name).set()
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        seen.append(f"{name} stopped")
        raise
    return name


@Stent.durable
async def note(text: str) -> str:
    has_begun(text).set()
    seen.append(text)
    return text


@Stent.durable
async def child() -> str:
    return await work_until_stopped("in the child")


@Stent.durable
async def parent() -> list[str]:
    return await asyncio.gather(work_until_stopped("a"), work_until_stopped("b"), child(), note("c"))


@Stent.durable
async def wait_long() -> str:
    await Stent.sleep("1h")
    return "woken"


async def outcome(executor: Stent, run_id: str) -> BaseException | None:
    return (await executor.wait_for(run_id, expiry=PATIENCE_S)).error


async def test_a_pending_run_is_cancelled_and_never_begins(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    run_id = await client.dispatch(note, "begun")
    later = await client.dispatch(note, "begun later", delay="1h")
    assert await client.cancel(run_id, "changed my mind")
    assert await client.cancel(later)
    async with Stent.bootstrap(backend) as executor:
        for each in (run_id, later):
            assert RunCancelledError is type(await outcome(executor, each))
            assert "cancelled" == await executor.state_of(each)
    await client.shutdown()
    assert [] == seen


async def test_a_running_activity_is_stopped(executor: Stent) -> None:
    run_id = await executor.dispatch(work_until_stopped, "it")
    await has_begun("it").wait()
    assert await executor.cancel(run_id)
    assert RunCancelledError is type(await outcome(executor, run_id))
    await until(lambda: ["it stopped"] == seen)


async def test_a_waiting_orchestrator_stops_with_all_that_it_waits_for(executor: Stent) -> None:
    run_id = await executor.dispatch(parent)
    for name in ("a", "b", "in the child", "c"):
        await has_begun(name).wait()
    assert await executor.cancel(run_id, "enough")
    error = await outcome(executor, run_id)
    assert RunCancelledError is type(error)
    assert "enough" in str(error)
    [below] = await executor.list_executions(parent=run_id)
    assert RunCancelledError is type(await outcome(executor, below.execution_id))
    await until(lambda: {"c", "a stopped", "b stopped", "in the child stopped"} == set(seen))
    assert [] == await executor.list_executions(state=["pending", "running", "completed"])


async def test_a_sleeping_orchestrator_is_cancelled_at_once(executor: Stent) -> None:
    run_id = await executor.dispatch(wait_long)
    await asyncio.sleep(0.01)
    await executor.cancel(run_id)
    assert RunCancelledError is type(await outcome(executor, run_id))


async def test_cancelling_twice_is_cancelling_once(executor: Stent) -> None:
    run_id = await executor.dispatch(wait_long)
    assert [True, True] == await asyncio.gather(executor.cancel(run_id, "one"), executor.cancel(run_id, "two"))
    await outcome(executor, run_id)
    assert 1 == [event.type for event in await executor.history_of(run_id)].count("CancelRequested")
    assert await executor.cancel(run_id) is False


@Stent.durable
async def clean_up_for_long() -> None:
    try:
        await work_until_stopped("main")
    finally:
        await work_until_stopped("cleaning up")


async def test_a_second_cancel_interrupts_the_cleanup(executor: Stent) -> None:
    """The first one was read, so that this is another."""
    run_id = await executor.dispatch(clean_up_for_long)
    for name in ("main", "cleaning up"):
        async with asyncio.timeout(PATIENCE_S):
            await has_begun(name).wait()
        assert await executor.cancel(run_id)
    assert RunCancelledError is type(await outcome(executor, run_id))
    await until(lambda: ["main stopped", "cleaning up stopped"] == seen)


@Stent.durable
async def clean_up_durably() -> None:
    try:
        await work_until_stopped("main")
    except asyncio.CancelledError:
        await note("cleaned up")
        await Stent.sleep("1ms")
        await note("and once more")
        raise


async def test_durable_calls_may_be_awaited_while_cleaning_up(executor: Stent) -> None:
    run_id = await executor.dispatch(clean_up_durably)
    await has_begun("main").wait()
    await executor.cancel(run_id)
    assert RunCancelledError is type(await outcome(executor, run_id))
    assert ["main stopped", "cleaned up", "and once more"] == seen
    assert "cancelled" == await executor.state_of(run_id)


@Stent.durable
async def swallow_it() -> str:
    try:
        await work_until_stopped("main")
    except asyncio.CancelledError:
        return "finished anyway"
    return "never cancelled"


async def test_a_program_that_swallows_its_cancellation_is_cancelled_all_the_same(executor: Stent) -> None:
    run_id = await executor.dispatch(swallow_it)
    await has_begun("main").wait()
    await executor.cancel(run_id)
    assert RunCancelledError is type(await outcome(executor, run_id))
    assert "cancelled" == await executor.state_of(run_id)


@Stent.durable
async def cancel_a_call() -> str:
    call = asyncio.ensure_future(work_until_stopped("the call"))
    await Stent.sleep("20ms")
    call.cancel()
    try:
        await call
    except asyncio.CancelledError:
        return "the call was cancelled, the run goes on"
    return "?"


async def test_an_orchestrator_may_cancel_a_call_of_its_own(executor: Stent) -> None:
    assert "the call was cancelled, the run goes on" == await cancel_a_call()
    await until(lambda: ["the call stopped"] == seen)


@Stent.durable
async def give_up_waiting() -> str:
    try:
        async with asyncio.timeout(0.02):
            await work_until_stopped("slow")
    except TimeoutError:
        return "gave up"
    return "?"


async def test_a_timeout_around_a_call_stops_it(executor: Stent) -> None:
    assert "gave up" == await give_up_waiting()
    await until(lambda: ["slow stopped"] == seen)


@pytest.mark.parametrize("function", [wait_long, child])
async def test_a_cancel_sent_while_no_worker_is_there_is_kept(backend: SQLiteBackend, function: Any) -> None:
    async with Stent.bootstrap(backend, grace=0) as executor:
        run_id = await executor.dispatch(function)
        await asyncio.sleep(0.02)
    client = Stent(backend)
    assert await client.cancel(run_id)
    await client.shutdown()
    async with Stent.bootstrap(backend) as executor:
        assert RunCancelledError is type(await outcome(executor, run_id))


async def test_whoever_only_waits_does_not_cancel_the_run(executor: Stent) -> None:
    waiting = asyncio.ensure_future(work_until_stopped.options(id="goes-on")("it"))
    await has_begun("it").wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert "running" == await executor.state_of("goes-on")


@pytest.mark.slow
async def test_of_a_cancel_and_a_completion_that_race_one_wins_and_stays(executor: Stent) -> None:
    runs = [await executor.dispatch(parent_of_a_quick_call) for _ in range(60)]
    answers = await asyncio.gather(*[executor.cancel(run_id) for run_id in runs])
    for run_id, was_in_time in zip(runs, answers, strict=True):
        result = await executor.wait_for(run_id, expiry=PATIENCE_S)
        history = await executor.history_of(run_id)
        ends = [event.type for event in history if event.is_terminal]
        if was_in_time:
            assert ["RunCancelled"] == ends, "asked in time, never completed"
            assert RunCancelledError is type(result.error)
        else:
            assert ["RunCompleted"] == ends
        assert ends == [history[-1].type]


@Stent.durable
async def parent_of_a_quick_call() -> str:
    return await note("quick")

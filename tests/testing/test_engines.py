"""The engine in a test: virtual time, doubles, crashes, and errors where a test would hang."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import stent.testing
from stent import DivergenceError, ExpiryError, RetryPolicy, Stent
from stent.errors import ArgumentError, ForbiddenInOrchestratorError, RunTimedOutError, UnregisteredFunctionError
from stent.history.events import CallCompleted
from stent.testing.engines import StuckError

START = datetime(2026, 1, 1, tzinfo=UTC)


@Stent.durable(retry_policy=RetryPolicy(max_attempts=3, initial_delay=60.0, jitter=0.0))
async def charge(order: int) -> str:
    return f"charged {order}"


@Stent.durable
async def double(number: int) -> int:
    return 2 * number


@Stent.durable(max_concurrent=1)
async def alone(number: int) -> int:
    await asyncio.sleep(0)
    return number


@Stent.durable
def in_a_thread(number: int) -> int:
    return number + 1


@Stent.durable
async def monthly(order: int) -> str:
    await Stent.sleep("30d")
    return await charge(order)


@Stent.durable
async def approved(_: int) -> str:
    try:
        return str(await Stent.wait_for_signal("approve", timeout="1d"))
    except TimeoutError:
        return "too late"


@Stent.durable
async def in_time() -> str:
    try:
        async with asyncio.timeout(30):
            return await charge(1)
    except TimeoutError:
        return "gave up"


async def test_a_sleep_of_thirty_days_passes_by_itself() -> None:
    async with stent.testing.engine() as engine:
        assert "charged 7" == await monthly(7)
        assert START + timedelta(days=30) == engine.now


async def test_time_stands_still_while_nobody_waits_for_a_run() -> None:
    async with stent.testing.engine() as engine:
        run = await engine.dispatch(approved, 1)
        for _ in range(100):
            await asyncio.sleep(0)
        assert await engine.send_signal(run, "approve", "yes")
        assert "yes" == (await engine.wait_for(run)).unwrap()
        assert engine.now == START


async def test_a_signal_that_nobody_sends_times_out_in_virtual_time() -> None:
    async with stent.testing.engine() as engine:
        assert "too late" == await approved(1)
        assert START + timedelta(days=1) == engine.now


async def test_a_signal_is_not_overtaken_by_time_when_a_task_waits_for_the_run() -> None:
    async with stent.testing.engine() as engine:
        run = await engine.dispatch(approved, 1)
        waiting = asyncio.create_task(engine.wait_for(run))
        await asyncio.sleep(0)
        await engine.send_signal(run, "approve", "yes")
        assert "yes" == (await waiting).unwrap()


async def test_advance_reaches_what_is_due_and_no_more() -> None:
    async with stent.testing.engine(skips_time=False) as engine:
        run = await engine.dispatch(monthly, 7)
        await engine.advance("29d")
        assert await engine.state_of(run) == "running"
        await engine.advance(timedelta(days=1))
        assert await engine.state_of(run) == "completed"
        assert START + timedelta(days=30) == engine.now


async def test_advance_rings_one_alarm_after_the_other() -> None:
    """What a timer sets off has its own time: ten sleeps of a day each are over on the tenth day, not on the first."""

    @Stent.durable
    async def daily() -> list[str]:
        days = []
        for _ in range(10):
            await Stent.sleep("1d")
            days.append(f"{Stent.now():%d}")
        return days

    async with stent.testing.engine(skips_time=False) as engine:
        run = await engine.dispatch(daily)
        await engine.advance("10d")
        assert [f"{day:02}" for day in range(2, 12)] == (await engine.wait_for(run)).unwrap()


async def test_retries_wait_in_virtual_time() -> None:
    async with stent.testing.engine() as engine:
        engine.fail(charge, ConnectionError("away"), times=2)
        assert "charged 7" == await charge(7)
        assert START + timedelta(seconds=60 + 60) == engine.now
        assert [((7,), {})] * 3 == engine.calls(charge)


async def test_an_activity_that_always_fails_is_out_of_attempts() -> None:
    async with stent.testing.engine() as engine:
        engine.fail(charge, ConnectionError, times=None)
        with pytest.raises(ConnectionError):
            await monthly(7)
        assert 3 == len(engine.calls(charge))


async def test_the_deadline_of_a_run_and_the_expiry_of_a_wait_are_virtual() -> None:
    async with stent.testing.engine() as engine:
        run = await engine.dispatch(monthly, 7, expiry="2d")
        with pytest.raises(ExpiryError):
            await engine.wait_for(run, expiry="1d")
        assert START + timedelta(days=1) == engine.now
        with pytest.raises(RunTimedOutError):
            (await engine.wait_for(run)).unwrap()
        assert START + timedelta(days=2) == engine.now


async def test_a_run_that_is_to_begin_later_begins_later() -> None:
    async with stent.testing.engine() as engine:
        run = await engine.executor.schedule("6h", double, 2)
        assert 4 == (await engine.wait_for(run)).unwrap()
        assert START + timedelta(hours=6) == engine.now


async def test_results_are_replaced_for_a_time_or_for_good() -> None:
    async with stent.testing.engine() as engine:
        engine.result(double, 100, times=1)
        assert [100, 4] == [await double(2), await double(2)]
        engine.result(double, 7)
        assert [7, 7] == await Stent.map(double, [1, 2])
        engine.restore(double)
        assert 4 == await double(2)
        engine.replace(double, lambda number: number * 10)
        assert 20 == await double(2)
        engine.result(in_a_thread, 5, times=1)
        assert [5, 2] == [await in_a_thread(1), await in_a_thread(1)]


async def test_an_activity_that_hangs_lets_time_pass() -> None:
    async with stent.testing.engine() as engine:
        engine.hang(charge)
        assert "gave up" == await in_time()
        assert START + timedelta(seconds=30) == engine.now


async def test_an_activity_that_really_waits_holds_time() -> None:
    @Stent.durable
    async def slow() -> str:
        await asyncio.sleep(0.02)
        return "done"

    @Stent.durable
    async def patient() -> str:
        async with asyncio.timeout(0.001):
            return await slow()

    async with stent.testing.engine() as engine:
        assert "done" == await patient()
        assert engine.now == START


async def test_what_cannot_be_replaced_says_so() -> None:
    async with stent.testing.engine() as engine:
        with pytest.raises(ValueError, match="orchestrator"):
            engine.result(monthly, "x")
        with pytest.raises(ValueError, match="times"):
            engine.fail(charge, ValueError, times=0)
        with pytest.raises(ValueError, match="plain def"):
            engine.hang(in_a_thread)
        with pytest.raises(UnregisteredFunctionError):
            engine.calls(print)  # type: ignore[arg-type]


async def test_limits_maps_threads_and_arguments_are_those_of_the_real_engine() -> None:
    async with stent.testing.engine() as engine:
        assert [1, 2, 3] == await asyncio.gather(*[alone(number) for number in (1, 2, 3)])
        assert [2, 4, 6] == await Stent.map(double, [1, 2, 3])
        assert 3 == await in_a_thread(2)
        with pytest.raises(ArgumentError):
            await double("two")  # type: ignore[arg-type]
        assert 3 + 1 + 1 == len(engine.runs())  # a map is one run


async def test_a_crash_loses_nothing_that_was_recorded() -> None:
    """The activity that was recorded does not run again, the one that was running does."""

    @Stent.durable
    async def both() -> list[object]:
        first = await double(1)
        return [first, await charge(first)]

    async with stent.testing.engine() as engine:
        engine.hang(charge, times=1)
        run = await engine.dispatch(both)
        await engine.settle()
        await engine.crash()
        assert [2, "charged 2"] == (await engine.wait_for(run)).unwrap()
        assert (1, 2) == (len(engine.calls(double)), len(engine.calls(charge)))
        assert [again.begun.function for again in engine.doubles.repeated()] == [charge.__stent_function__.name]


async def test_a_crash_in_a_long_sleep_keeps_the_due_time() -> None:
    async with stent.testing.engine() as engine:
        run = await engine.dispatch(monthly, 1)
        await engine.advance("10d")
        await engine.crash()
        assert "charged 1" == (await engine.wait_for(run)).unwrap()
        assert START + timedelta(days=30) == engine.now


@pytest.mark.parametrize("is_after", [False, True])
async def test_a_crash_at_any_commit_gives_the_same_result(is_after: bool) -> None:
    @Stent.durable
    async def several() -> list[object]:
        numbers = await asyncio.gather(double(1), double(2))
        mapped = await Stent.map(double, numbers)
        await Stent.sleep("1h")
        return [*mapped, await charge(1), await in_time()]

    async with stent.testing.engine() as engine:
        expected = await several()
        commits = engine.commit_count
    assert commits > 5
    for number in range(1, commits + 1):
        async with stent.testing.engine() as engine:
            engine.crash_at(number, is_after=is_after)
            assert expected == await several()
            assert 1 == engine.crash_count


async def test_every_event_may_have_a_commit_of_its_own() -> None:
    @Stent.durable
    async def three() -> list[int]:
        return await asyncio.gather(double(1), double(2), double(3))

    async with stent.testing.engine() as engine:
        assert [2, 4, 6] == await three()
        together = engine.commit_count
    async with stent.testing.engine(commits_singly=True) as engine:
        assert [2, 4, 6] == await three()
        assert together + 2 == engine.commit_count, "the three results have come together"
        assert 3 == engine.ends.count


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("is_plain", [False, True])
async def test_a_crash_at_the_end_of_a_body_finds_it_done_and_not_recorded(number: int, is_plain: bool) -> None:
    """No commit comes between the ends of bodies that run side by side."""
    ended: list[int] = []

    async def end(number: int) -> int:
        ended.append(number)
        return number

    def end_plainly(number: int) -> int:
        ended.append(number)
        return number

    @Stent.durable
    async def three() -> list[int]:
        if is_plain:
            return [await in_a_thread(each) for each in (1, 2, 3)]
        return await asyncio.gather(double(1), double(2), double(3))

    async with stent.testing.engine(commits_singly=True) as engine:
        engine.replace(double, end)
        engine.replace(in_a_thread, end_plainly)
        engine.crash_at_end(number)
        assert [1, 2, 3] == await three()
        assert 1 == engine.crash_count
    expected = sorted([1, 2, 3, number]) if is_plain else [*range(1, number + 1), 1, 2, 3]
    assert expected == ended, "whatever ran beside it had not ended"


async def test_every_test_is_the_same_test() -> None:
    """Ids, times and events: two engines on the same program record the same histories."""

    async def recorded() -> list[object]:
        async with stent.testing.engine(seed=3) as engine:
            engine.fail(charge, OSError("away"), times=1)
            await monthly(1)
            await asyncio.gather(*[double(number) for number in range(5)])
            return [engine.history(run) for run in engine.runs()]

    first = await recorded()
    assert first == await recorded()
    assert 6 == len(first)


async def test_engines_know_nothing_of_each_other() -> None:
    async with stent.testing.engine() as outer:
        await double(1)
        async with stent.testing.engine() as inner:
            await double(2)
            assert 1 == len(inner.runs())
        await double(3)
        assert 2 == len(outer.runs())
    assert 8 == await double(4)  # nothing is configured any more: a plain coroutine


async def test_the_engine_has_no_threads_and_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    threads = set(threading.enumerate())
    async with stent.testing.engine():
        await monthly(1)
        assert threads == set(threading.enumerate())
    assert [] == os.listdir(tmp_path)


async def test_a_wait_for_what_never_comes_is_an_error_that_says_what_for() -> None:
    @Stent.durable
    async def forgotten() -> object:
        return await Stent.wait_for_signal("never")

    async with stent.testing.engine(patience_s=0.01) as engine:
        with pytest.raises(StuckError, match="never"):
            await forgotten()
        assert 1 == len(engine.runs())


async def test_a_run_whose_code_does_not_fit_is_an_error_with_the_report() -> None:
    values = [1, 2]

    @Stent.durable
    async def unstable() -> str:
        await double(values[0])
        return str(await Stent.wait_for_signal("go"))

    async with stent.testing.engine() as engine:
        run = await engine.dispatch(unstable)
        await engine.settle()
        values.reverse()
        await engine.crash()
        with pytest.raises(DivergenceError, match="double"):
            await engine.wait_for(run)


async def test_an_orchestrator_may_not_use_the_executor_of_the_test() -> None:
    @Stent.durable
    async def dispatches() -> str:
        await double(1)
        return await executor.dispatch(double, 2)

    async with stent.testing.engine() as engine:
        executor = engine.executor
        with pytest.raises(ForbiddenInOrchestratorError, match="uses an executor"):
            await dispatches()
        assert 1 == len(engine.runs())


async def test_the_history_can_be_read_at_any_time() -> None:
    async with stent.testing.engine() as engine:
        run = await engine.dispatch(monthly, 7)
        await engine.settle()
        assert ["RunStarted", "TimerStarted"] == [event.type for event in engine.history(run)]
        await engine.wait_for(run)
        assert [2] == [event.call for event in engine.history(run) if isinstance(event, CallCompleted)]


async def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        async with stent.testing.engine(start=datetime(2026, 1, 1)):  # noqa: DTZ001 - that is what is refused
            pass


def hidden_clock() -> float:
    """The clock, where no reading of the code finds it."""
    clock: float = getattr(time, "monotonic")()  # noqa: B009  # that is the point
    return clock


@pytest.mark.parametrize("crashes", [0, 1])
@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_what_would_not_replay_is_refused_at_the_first_execution_whoever_woke_the_worker(
    turns: int, crashes: int
) -> None:
    """In the first turn or a later one; begun by the test, a task of it, a signal, time; after a crash too."""

    @Stent.durable
    async def hides(turns: int) -> str:
        for number in range(turns):
            await (Stent.sleep("1h") if number % 2 else double(number))
        await Stent.wait_for_signal("go")
        hidden_clock()
        return await charge(1)

    async with stent.testing.engine() as engine:
        run = await asyncio.create_task(engine.dispatch(hides, turns))
        await engine.advance("5h")
        for _ in range(crashes):
            await engine.crash()
        await asyncio.get_running_loop().create_task(engine.send_signal(run, "go"), context=contextvars.Context())
        result = await engine.wait_for(run)
    with pytest.raises(
        ForbiddenInOrchestratorError, match=r"time\.monotonic at .*test_engines\.py:\d+ in hidden_clock"
    ):
        result.unwrap()


async def test_an_engine_can_do_without_the_watch() -> None:
    @Stent.durable
    async def hides() -> str:
        hidden_clock()
        return await charge(1)

    async with stent.testing.engine(watch=False):
        assert "charged 1" == await hides()

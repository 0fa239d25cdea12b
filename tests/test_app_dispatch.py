"""`dispatch`: ids, deadlines, delays, priorities, queues and tags, through the public API."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from stent import RetryPolicy, Stent, UnregisteredFunctionError
from stent.backends import SQLiteBackend
from stent.errors import ArgumentError, OptionError, RunConflictError, RunTimedOutError
from stent.history.events import RunStarted

PATIENCE_S = 10

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_was_seen() -> None:
    seen.clear()


@Stent.durable
async def note(value: Any) -> Any:
    seen.append(value)
    return value


@Stent.durable
async def double(number: int) -> int:
    return number * 2


@Stent.durable
async def doubled(number: int) -> int:
    return await double(number)


@Stent.durable
async def wait_long() -> None:
    await Stent.sleep("1h")


@Stent.durable
async def work_long() -> None:
    await asyncio.sleep(3600)


# -- ids ---------------------------------------------------------------------------------------------------------------


async def test_a_dispatched_run_has_a_long_random_id(executor: Stent) -> None:
    first, second = [await executor.dispatch(double, 1) for _ in range(2)]
    assert first != second
    assert len(first) >= 26, "128 bits and more"


async def test_an_id_asked_for_twice_is_one_run(executor: Stent) -> None:
    ids = [await executor.dispatch(note, "x", id="order-1") for _ in range(3)]
    assert ["order-1"] * 3 == ids
    assert "x" == (await executor.wait_for("order-1", expiry=PATIENCE_S)).unwrap()
    assert "order-1" == await executor.dispatch(note, "x", id="order-1"), "also when it has ended"
    assert ["x"] == seen


async def test_an_id_taken_by_another_call_is_an_error(executor: Stent) -> None:
    await executor.dispatch(note, "x", id="order-1")
    with pytest.raises(RunConflictError, match="order-1"):
        await executor.dispatch(note, "y", id="order-1")
    with pytest.raises(RunConflictError, match="order-1"):
        await executor.dispatch(double, 1, id="order-1")


async def test_clients_that_race_for_an_id_start_one_run(executor: Stent) -> None:
    await asyncio.gather(*[executor.dispatch(note, "x", id="race") for _ in range(20)])
    await executor.wait_for("race", expiry=PATIENCE_S)
    assert ["x"] == seen


async def test_a_direct_call_with_an_id_gets_the_run_that_is_there(executor: Stent) -> None:
    assert 6 == await doubled.options(id="six")(3)
    assert 6 == await doubled.options(id="six")(3)
    assert 1 == len(await executor.list_executions(function=doubled))


@pytest.mark.parametrize("bad", ["", "a\nb", "x" * 201, 7])
async def test_an_id_that_is_no_printable_text_is_refused(executor: Stent, bad: Any) -> None:
    with pytest.raises(OptionError, match="id="):
        await executor.dispatch(double, 1, id=bad)
    assert [] == await executor.list_executions()


# -- deadlines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [wait_long, work_long])
@pytest.mark.parametrize("option", ["expiry", "max_duration"])
async def test_a_run_that_passes_its_deadline_has_timed_out(executor: Stent, function: Any, option: str) -> None:
    run_id = await executor.dispatch(function, **{option: "50ms"})
    result = await executor.wait_for(run_id, expiry=PATIENCE_S)
    assert RunTimedOutError is type(result.error)
    assert "timed_out" == await executor.state_of(run_id)
    with pytest.raises(TimeoutError):
        result.unwrap()


async def test_expiry_counts_also_while_no_worker_is_there(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    run_id = await client.dispatch(note, "too late", expiry="1ms")
    await asyncio.sleep(0.005)
    async with Stent.bootstrap(backend) as executor:
        result = await executor.wait_for(run_id, expiry=PATIENCE_S)
    await client.shutdown()
    assert RunTimedOutError is type(result.error)
    assert [] == seen


async def test_max_duration_counts_from_when_a_worker_begins(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    run_id = await client.dispatch(note, "in time", max_duration="200ms")
    await asyncio.sleep(0.22)
    async with Stent.bootstrap(backend) as executor:
        assert "in time" == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    await client.shutdown()


@Stent.durable(timeout="50ms")
async def impatient() -> None:
    await Stent.sleep("1h")


async def test_the_timeout_of_an_orchestrator_bounds_its_run(executor: Stent) -> None:
    with pytest.raises(RunTimedOutError):
        await impatient()


# -- delays ------------------------------------------------------------------------------------------------------------


async def test_a_delayed_run_does_not_begin_early(executor: Stent) -> None:
    before = time.monotonic()
    delayed = await executor.dispatch(double, 4, delay="60ms")
    scheduled = await executor.schedule(timedelta(milliseconds=60), doubled, 4)
    assert "pending" == await executor.state_of(delayed)
    for run_id in (delayed, scheduled):
        assert 8 == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    assert time.monotonic() - before >= 0.06


async def test_the_expiry_of_a_delayed_run_counts_from_when_it_is_due(executor: Stent) -> None:
    run_id = await executor.dispatch(double, 4, delay="60ms", expiry="1s")
    assert 8 == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


# -- priority, queue, tags ---------------------------------------------------------------------------------------------


async def test_what_waits_for_a_slot_gets_it_by_priority(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    runs = [await client.dispatch(note, priority, priority=priority) for priority in (0, 5, -3, 9, 1)]
    async with Stent.bootstrap(backend, max_concurrency=1) as executor:
        for run_id in runs:
            await executor.wait_for(run_id, expiry=PATIENCE_S)
    await client.shutdown()
    assert [9, 5, 1, 0, -3] == seen


async def test_of_equal_priority_the_older_one_goes_first(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    runs = [await client.dispatch(note, number) for number in range(6)]
    async with Stent.bootstrap(backend, max_concurrency=1) as executor:
        for run_id in runs:
            await executor.wait_for(run_id, expiry=PATIENCE_S)
    await client.shutdown()
    assert list(range(6)) == seen


async def test_a_worker_takes_only_the_queues_it_serves(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, queues=["mail"]) as executor:
        other = await executor.dispatch(note, "default")
        mail = await executor.dispatch(note, "mail", queue="mail")
        assert "mail" == (await executor.wait_for(mail, expiry=PATIENCE_S)).unwrap()
        assert "pending" == await executor.state_of(other)
        assert 1 == await executor.queue_depth()
        assert 0 == await executor.queue_depth("mail")
    async with Stent.bootstrap(backend) as executor:
        assert "default" == (await executor.wait_for(other, expiry=PATIENCE_S)).unwrap()


async def test_a_worker_takes_only_the_tags_it_serves(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, tags=["gpu"]) as executor:
        untagged = await executor.dispatch(note, "untagged")
        gpu = await executor.dispatch(note, "gpu", tags=["big", "gpu"])
        assert "gpu" == (await executor.wait_for(gpu, expiry=PATIENCE_S)).unwrap()
        assert "pending" == await executor.state_of(untagged)
        assert ("big", "gpu") == (await executor.state_of(gpu)).info.tags


@Stent.durable
async def call_mail() -> str:
    return await note.options(queue="mail", tags=["slow"])("from a call")


async def test_a_call_goes_to_its_own_queue(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend, queues=["default"]) as executor:
        run_id = await executor.dispatch(call_mail)
        await asyncio.sleep(0.05)
        assert [] == seen
        mailer = asyncio.create_task(executor.serve(queues=["mail"]))
        assert "from a call" == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
        executor.request_worker_drain()
        await mailer


# -- what is dispatched ------------------------------------------------------------------------------------------------


@Stent.durable
async def has_such_parameters(id: str, delay: int, tags: list[str]) -> str:
    return f"{id} {delay} {tags}"


async def test_a_parameter_of_the_function_comes_before_an_option_of_its_name(executor: Stent) -> None:
    run_id = await executor.dispatch(has_such_parameters, id="mine", delay=7, tags=["t"])
    assert "mine" != run_id
    assert "mine 7 ['t']" == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    assert "theirs" == await executor.dispatch(has_such_parameters.options(id="theirs"), "mine", 7, [])


async def test_a_function_can_be_dispatched_by_its_name(executor: Stent) -> None:
    run_id = await executor.dispatch(double.__stent_function__.name, 21)
    assert 42 == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


async def test_an_unknown_name_is_an_error_that_says_what_was_meant(executor: Stent) -> None:
    with pytest.raises(UnregisteredFunctionError, match=r"did you mean .*test_app_dispatch:double"):
        await executor.dispatch(double.__stent_function__.name + "s", 21)


async def undecorated(number: int) -> int:
    return number


async def test_an_undecorated_function_is_an_error_that_says_what_to_do(executor: Stent) -> None:
    with pytest.raises(UnregisteredFunctionError, match=r"decorate it: @Stent\.durable above undecorated"):
        await executor.dispatch(undecorated, 1)  # type: ignore[arg-type]  # the point


async def test_arguments_that_do_not_fit_are_an_error_before_anything_is_written(executor: Stent) -> None:
    for args, kwargs in (((), {}), ((1, 2), {}), ((), {"numbers": 1}), (("three",), {})):
        with pytest.raises(ArgumentError, match="number"):
            await executor.dispatch(double, *args, **kwargs)
    assert [] == await executor.list_executions()


async def test_options_are_recorded_with_the_run(executor: Stent) -> None:
    policy = RetryPolicy(max_attempts=4)
    run_id = await executor.dispatch(double.options(retry_policy=policy, timeout="7s"), 1, priority=3, tags=["a"])
    started = (await executor.history_of(run_id))[0]
    assert isinstance(started, RunStarted)
    assert (7_000_000, 3, ("a",)) == (started.options.timeout_us, started.options.priority, started.options.tags)
    assert policy.to_record() == started.options.retry

"""`send_signal` and `Stent.wait_for_signal`: nothing lost, nothing twice, in order, by name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from stent import SerializationError, Stent
from stent.backends import SQLiteBackend
from stent.errors import OptionError, PlaceError
from stent.history.events import SignalReceived

PATIENCE_S = 10


@Stent.durable
async def collect(name: str, count: int) -> list[Any]:
    return [await Stent.wait_for_signal(name) for _ in range(count)]


@Stent.durable
async def two_names() -> list[Any]:
    second = await Stent.wait_for_signal("second")
    return [second, await Stent.wait_for_signal("first"), await Stent.wait_for_signal("first")]


async def value(executor: Stent, run_id: str) -> Any:
    return (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


async def test_a_waiting_run_gets_the_signal(executor: Stent) -> None:
    run_id = await executor.dispatch(collect, "approve", 1)
    await asyncio.sleep(0.01)
    assert await executor.send_signal(run_id, "approve", {"by": "ann"})
    assert [{"by": "ann"}] == await value(executor, run_id)


async def test_signals_sent_before_the_run_begins_are_kept(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    run_id = await client.dispatch(collect, "number", 3)
    for number in range(3):
        await client.send_signal(run_id, "number", number)
    async with Stent.bootstrap(backend) as executor:
        assert [0, 1, 2] == await value(executor, run_id)
    await client.shutdown()


async def test_each_name_has_a_queue_of_its_own(executor: Stent) -> None:
    run_id = await executor.dispatch(two_names)
    for name, sent in (("first", 1), ("first", 2), ("second", 3)):
        await executor.send_signal(run_id, name, sent)
    assert [3, 1, 2] == await value(executor, run_id)


@pytest.mark.slow
async def test_a_flood_arrives_whole_and_in_order(executor: Stent) -> None:
    run_id = await executor.dispatch(collect, "number", 300)
    for number in range(300):
        await executor.send_signal(run_id, "number", number)
    assert list(range(300)) == await value(executor, run_id)


async def test_a_signal_with_the_same_key_is_the_same_signal(executor: Stent) -> None:
    run_id = await executor.dispatch(collect, "paid", 2)
    assert await executor.send_signal(run_id, "paid", 1, key="invoice-1")
    assert not await executor.send_signal(run_id, "paid", 1, key="invoice-1")
    await asyncio.sleep(0.05)  # it has become an event
    assert not await executor.send_signal(run_id, "paid", 1, key="invoice-1")
    assert await executor.send_signal(run_id, "paid", 2, key="invoice-2")
    assert [1, 2] == await value(executor, run_id)
    received = [event for event in await executor.history_of(run_id) if isinstance(event, SignalReceived)]
    assert 2 == len(received)


async def test_clients_that_race_with_one_key_send_it_once(executor: Stent) -> None:
    run_id = await executor.dispatch(collect, "paid", 2)
    sent = await asyncio.gather(*[executor.send_signal(run_id, "paid", 1, key="k") for _ in range(20)])
    assert 1 == sum(sent)
    await executor.send_signal(run_id, "paid", 2)
    assert [1, 2] == await value(executor, run_id)


@Stent.durable
async def wait_twice() -> list[Any]:
    found: list[Any] = []
    for _ in range(2):
        try:
            found.append(await Stent.wait_for_signal("go", timeout="40ms"))
        except TimeoutError:
            found.append("timeout")
    found.append(await Stent.wait_for_signal("go"))
    return found


async def test_a_wait_may_end_by_its_timeout_and_the_signal_is_kept_for_the_next_one(executor: Stent) -> None:
    run_id = await executor.dispatch(wait_twice)
    await asyncio.sleep(0.15)
    await executor.send_signal(run_id, "go", "late")
    assert ["timeout", "timeout", "late"] == await value(executor, run_id)


@Stent.durable
async def wait_patiently() -> Any:
    return await Stent.wait_for_signal("go", timeout="1h")


async def test_a_signal_in_time_beats_its_timeout(executor: Stent) -> None:
    run_id = await executor.dispatch(wait_patiently)
    await executor.send_signal(run_id, "go", "in time")
    assert "in time" == await value(executor, run_id)
    assert "TimerCancelled" in [event.type for event in await executor.history_of(run_id)]


@Stent.durable
async def wait_for_any() -> Any:
    waits = [asyncio.ensure_future(Stent.wait_for_signal(name)) for name in ("yes", "no")]
    done, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    return [wait.result() for wait in done]


async def test_several_signals_may_be_awaited_together(executor: Stent) -> None:
    run_id = await executor.dispatch(wait_for_any)
    await executor.send_signal(run_id, "no", "not today")
    assert ["not today"] == await value(executor, run_id)


async def test_a_run_that_nobody_holds_is_woken_by_a_signal(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(collect, "wake", 1)
        await asyncio.sleep(0.01)
    client = Stent(backend)
    await client.send_signal(run_id, "wake", "up")
    await client.shutdown()
    async with Stent.bootstrap(backend) as executor:
        assert ["up"] == await value(executor, run_id)


@dataclass
class Approval:
    by: str
    at: datetime


async def test_the_type_of_a_value_survives(executor: Stent) -> None:
    approval = Approval("ann", datetime(2026, 1, 2, tzinfo=UTC))
    run_id = await executor.dispatch(collect, "approve", 1)
    await executor.send_signal(run_id, "approve", approval)
    assert [approval] == await value(executor, run_id)


async def test_what_cannot_be_sent_is_an_error_that_names_the_place(executor: Stent) -> None:
    run_id = await executor.dispatch(collect, "x", 1)
    with pytest.raises(SerializationError, match=r"signal 'x'.*\['a'\]\[1\]"):
        await executor.send_signal(run_id, "x", {"a": [1, object()]})
    with pytest.raises(OptionError, match="name"):
        await executor.send_signal(run_id, "", 1)


async def test_only_orchestrators_wait_for_signals() -> None:
    with pytest.raises(PlaceError, match="wait_for_signal"):
        await Stent.wait_for_signal("x")


async def test_signals_from_several_processes_arrive_in_the_order_in_which_they_were_sent(
    executor: Stent, backend: SQLiteBackend
) -> None:
    other = Stent(SQLiteBackend(backend.path))  # as far from the worker as another process
    run_id = await executor.dispatch(collect, "number", 6)
    await other.send_signal(run_id, "number", -1)
    for number in range(5):
        await (other if number % 2 else executor).send_signal(run_id, "number", number)
    assert [-1, 0, 1, 2, 3, 4] == await value(executor, run_id)
    await other.shutdown()


@pytest.mark.parametrize("wrong", ["", "\ud800", "a\nb", "x" * 201, 5])
async def test_a_name_or_key_that_is_no_printable_text_is_refused(executor: Stent, wrong: Any) -> None:
    run_id = await executor.dispatch(collect, "approve", 1)
    with pytest.raises(OptionError, match="name="):
        await executor.send_signal(run_id, wrong, 1)
    with pytest.raises(OptionError, match="key="):
        await executor.send_signal(run_id, "approve", 1, key=wrong)

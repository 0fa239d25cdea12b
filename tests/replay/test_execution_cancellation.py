"""A cancelled run cancels what it waits for, may clean up, and never ends as completed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from stent.durable import calls as ask
from stent.history.events import CancelRequested
from stent.replay.execution import Execution
from tests.replay.driver import Drive, check_replays, completion, durable, start, told


@durable
async def pay(amount: int) -> int:
    return amount


@durable
async def ship(order: Any = None) -> Any:
    return order


def test_cancelling_a_run_cancels_what_it_awaits_and_ends_it() -> None:
    @durable
    async def order() -> None:
        await asyncio.gather(pay(1), asyncio.sleep(60), ship(2))

    drive = Drive(order)
    assert ["1 pay(1)", "2 ship(2)", "3 timer"] == drive.start()
    assert ["cancel 1", "cancel 2", "cancel timer 3", "cancelled too late"] == drive.cancel("too late")
    check_replays(drive.function, drive.history)


def test_a_cancelled_program_may_clean_up_with_durable_calls() -> None:
    @durable
    async def order() -> None:
        try:
            await pay(1)
        finally:
            await ship("back")

    drive = start(order)
    assert ["cancel 1", "2 ship('back')"] == drive.cancel("no")
    assert ["cancelled no"] == drive.complete(2)
    check_replays(drive.function, drive.history)


def test_a_program_that_swallows_its_cancellation_ends_as_cancelled_all_the_same() -> None:
    @durable
    async def order() -> str:
        try:
            await pay(1)
        except asyncio.CancelledError:
            await ship("instead")
        return "I go on"

    drive = start(order)
    assert ["cancel 1", "2 ship('instead')"] == drive.cancel("stop")
    assert ["cancelled stop"] == drive.complete(2)
    check_replays(drive.function, drive.history)


def test_a_cancelled_program_does_not_go_on_as_a_new_run() -> None:
    @durable
    async def order() -> None:
        try:
            await pay(1)
        finally:
            ask.continue_as_new()

    drive = start(order)
    assert ["cancel 1", "cancelled stop"] == drive.cancel("stop")
    check_replays(drive.function, drive.history)


def test_an_error_while_being_cancelled_is_a_failure() -> None:
    @durable
    async def order() -> None:
        try:
            await pay(1)
        finally:
            raise ValueError("cleanup")

    drive = start(order)
    assert ["cancel 1", "raise ValueError('cleanup')"] == drive.cancel()


def test_a_second_cancellation_interrupts_the_cleanup() -> None:
    @durable
    async def order() -> None:
        try:
            await pay(1)
        finally:
            await ship("back")

    drive = start(order)
    drive.cancel("first")
    assert ["cancel 2", "cancelled second"] == drive.cancel("second")
    check_replays(drive.function, drive.history)


def test_a_shielded_call_goes_on_when_the_run_is_cancelled() -> None:
    @durable
    async def order() -> None:
        paid = pay(1)
        try:
            await asyncio.shield(paid)
        except asyncio.CancelledError:
            await paid
            raise

    drive = start(order)
    assert [] == drive.cancel()
    assert ["cancelled"] == drive.complete(1)
    check_replays(drive.function, drive.history)


def test_a_run_that_is_cancelled_before_it_began_never_runs() -> None:
    @durable
    async def order() -> None:
        raise AssertionError("never run")

    drive = Drive(order)
    execution = Execution(drive.function)
    assert [] == execution.apply(drive.record(drive.started), (), is_open=False)
    assert ["cancelled no"] == told(execution.apply(drive.record(CancelRequested(0, 0, "no"))))


def test_the_answer_for_a_cancelled_call_changes_nothing() -> None:
    @durable
    async def order() -> str:
        call = asyncio.create_task(pay(1))
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        return str(await ship(2))

    drive = Drive(order)
    assert ["1 pay(1)", "cancel 1", "2 ship(2)"] == drive.start()
    assert [] == drive.execution.apply(completion(1, "late"))
    assert ["return 'x'"] == drive.complete(2, "x")

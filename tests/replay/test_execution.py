"""One event in, new commands out: calls, timers, signals, endings, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from stent.durable import calls as ask
from stent.errors import (
    ActivityError,
    RoleError,
)
from stent.history.events import SignalReceived
from stent.replay.execution import Execution
from stent.replay.replayer import replay
from tests.replay.driver import START_US, Drive, check_replays, completion, durable, finish, record, start, told


@durable
async def pay(amount: int) -> int:
    return amount


@durable
async def ship(order: Any = None) -> Any:
    return order


def test_a_call_is_a_command_and_its_result_goes_on() -> None:
    @durable
    async def order(amount: int) -> int:
        paid = await pay(amount)
        return int(await ship(paid)) + 1

    drive = Drive(order, 7)
    assert ["1 pay(7)"] == drive.start()
    assert ["2 ship(8)"] == drive.complete(1, 8)
    assert ["return 10"] == drive.complete(2, 9)
    check_replays(drive.function, drive.history)


def test_a_call_takes_its_number_when_it_is_called_not_when_it_is_awaited() -> None:
    @durable
    async def order() -> list[int]:
        first = pay(1)
        second = pay(2)
        await asyncio.sleep(60)
        return [await second, await first]

    drive = Drive(order)
    assert ["1 pay(1)", "2 pay(2)", "3 timer"] == drive.start()
    assert [] == drive.complete(2, "b")
    assert [] == drive.fire(3)
    assert ["return ['b', 'a']"] == drive.complete(1, "a")
    check_replays(drive.function, drive.history)


def test_a_call_that_nobody_awaits_is_made_and_its_outcome_changes_nothing() -> None:
    @durable
    async def order() -> int:
        pay(1)
        return int(await pay(2))

    drive = Drive(order)
    assert ["1 pay(1)", "2 pay(2)"] == drive.start()
    assert [] == drive.fail(1, ValueError("nobody looks"))
    assert ["return 5"] == drive.complete(2, 5)
    check_replays(drive.function, drive.history)


def test_a_failed_call_raises_its_error_where_it_is_awaited() -> None:
    @durable
    async def order() -> str:
        try:
            await pay(1)
        except ValueError as error:
            return f"caught {error}"
        return "no error"

    drive = start(order)
    assert ["return 'caught too much'"] == drive.fail(1, ValueError("too much"))


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration(5)]
)
def test_an_error_that_would_end_more_than_the_call_arrives_as_an_activity_error(error: BaseException) -> None:
    @durable
    async def order() -> str:
        try:
            await pay(1)
        except ActivityError as caught:
            return str(caught.type_name)
        return "no error"

    drive = start(order)
    assert [f"return '{type(error).__module__}:{type(error).__name__}'"] == drive.fail(1, error)
    check_replays(drive.function, drive.history)


def test_arguments_that_do_not_fit_are_the_callers_error_and_take_no_number() -> None:
    @durable
    async def order() -> int:
        with contextlib.suppress(TypeError):
            pay("much")
        return int(await pay(2))

    assert ["1 pay(2)"] == Drive(order).start()


def test_errors_of_a_program_end_its_run_as_failed() -> None:
    @durable
    async def order() -> None:
        await pay(1)
        raise ValueError("no stock")

    drive = start(order)
    assert ["raise ValueError('no stock')"] == drive.complete(1)
    check_replays(drive.function, drive.history)


def test_groups_of_errors_are_kept_as_groups() -> None:
    @durable
    async def order() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(pay(1))
            group.create_task(pay(2))

    drive = start(order)
    assert ["cancel 2", "raise ExceptionGroup('unhandled errors in a TaskGroup', [ValueError('x')])"] == drive.fail(
        1, ValueError("x")
    )
    check_replays(drive.function, drive.history)


def test_a_result_that_cannot_be_stored_fails_the_run() -> None:
    @durable
    async def order() -> object:
        return object()

    (text,) = Drive(order).start()
    assert text.startswith("raise SerializationError"), text
    assert "the result of order()" in text


def test_the_end_of_a_program_is_the_last_command() -> None:
    @durable
    async def order() -> str:
        others = [asyncio.create_task(asyncio.sleep(5)), asyncio.create_task(ship(1))]
        await asyncio.sleep(0)
        return f"done, {len(others)} left"

    drive = Drive(order)
    assert ["1 ship(1)", "2 timer", "return 'done, 2 left'"] == drive.start()
    assert [] == drive.complete(1)
    drive.close()


def test_a_program_may_exit_and_only_its_run_fails() -> None:
    @durable
    async def order() -> None:
        await pay(1)
        raise SystemExit(3)

    drive = start(order)
    assert ["raise ActivityError('SystemExit: 3')"] == drive.complete(1)


def test_a_plain_def_with_the_role_of_an_orchestrator_is_refused() -> None:
    @durable(role="orchestrator")
    def order() -> None:
        raise AssertionError("never called")

    drive = start(order)
    with pytest.raises(RoleError, match="make it an async def"):
        _ = drive.result


def test_arguments_that_no_longer_fit_the_body_fail_the_run() -> None:
    @durable
    async def order(amount: int) -> None: ...

    @durable(name="shop:order")
    async def order_of_today(amount: int, currency: str) -> None: ...

    drive = Drive(order, 7)
    event = drive.record(drive.started)
    execution = Execution(record(order_of_today))
    (command,) = execution.apply(event)
    assert "currency" in repr(command)


def test_continue_as_new_ends_the_run_with_the_arguments_of_the_next() -> None:
    @durable
    async def order(count: int) -> None:
        await pay(count)
        ask.continue_as_new(count + 1)

    drive = start(order, 1)
    assert ["continue(2)"] == drive.complete(1)
    check_replays(drive.function, drive.history)


def test_continue_as_new_with_arguments_that_do_not_fit_fails_the_run() -> None:
    @durable
    async def order(count: int) -> None:
        ask.continue_as_new(wrong=1)

    (text,) = Drive(order, 1).start()
    assert text.startswith("raise ArgumentError")


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_timer_has_an_absolute_due_time_from_the_last_event() -> None:
    @durable
    async def order() -> None:
        await asyncio.sleep(1.5)
        await asyncio.sleep(0.07)

    drive = start(order)
    assert {1: START_US + 1_500_000} == drive.state.timers
    drive.fire(1)
    assert {2: START_US + 1_500_000 + 70_000} == drive.state.timers


def test_the_loop_clock_is_the_time_of_the_last_event_since_the_start() -> None:
    @durable
    async def order() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        await asyncio.sleep(2)
        times.append(loop.time())
        await pay(1)
        return [*times, loop.time()]

    drive = start(order)
    drive.fire(1)
    assert ["return [0.0, 2.0, 2.001]"] == drive.complete(2)


def test_a_timer_keeps_its_recorded_due_time_whatever_the_code_says_now() -> None:
    def program(seconds: float) -> Any:
        @durable
        async def order() -> None:
            await asyncio.sleep(seconds)

        return order

    drive = start(program(60))
    execution = Execution(record(program(3600)))
    assert [] == execution.apply(drive.history[0], drive.history[1:])
    assert execution.mismatch is None
    assert START_US + 60_000_000 == execution._awaited.timers[1].due_us
    assert 60.0 == execution._awaited.timers[1].when()


def test_waiting_for_ever_is_a_very_long_timer() -> None:
    @durable
    async def order() -> None:
        await asyncio.sleep(float("inf"))

    drive = start(order)
    assert 900 * 366 * 86_400 * 1_000_000 < drive.state.timers[1] - START_US < 1 << 62


def test_now_is_the_time_of_the_last_event() -> None:
    @durable
    async def order() -> str:
        await asyncio.sleep(86_400)
        return ask.now().isoformat()

    drive = start(order)
    assert ["return '2025-06-16T15:06:40+00:00'"] == drive.fire(1)


# -- signals -----------------------------------------------------------------------------------------------------------


def test_a_signal_that_came_before_the_wait_is_kept() -> None:
    @durable
    async def order() -> list[Any]:
        await pay(1)
        return [await ask.wait_for_signal("go"), await ask.wait_for_signal("go")]

    drive = start(order)
    assert [] == drive.signal("go", "first")
    assert [] == drive.signal("go", "second")
    assert ["2 signal go", "3 signal go", "return ['first', 'second']"] == drive.complete(1)
    check_replays(drive.function, drive.history)


def test_signals_that_nobody_has_asked_for_are_known_in_the_order_in_which_they_came() -> None:
    @durable
    async def order() -> None:
        await ask.wait_for_signal("go")
        await pay(1)

    drive = start(order)
    for name, value in (("b", 1), ("a", 2), ("go", 3), ("b", 4), ("go", 5)):
        drive.signal(name, value)
    unread = drive.execution.unread_signals()
    received = [event for event in drive.history if isinstance(event, SignalReceived)]
    assert [received[place] for place in (0, 1, 3, 4)] == unread
    drive.complete(2)
    assert unread == drive.execution.unread_signals(), "after its end, too"


def test_signals_go_to_those_who_wait_longest_and_names_do_not_mix() -> None:
    @durable
    async def order() -> list[Any]:
        waits = [ask.wait_for_signal("go"), ask.wait_for_signal("stop"), ask.wait_for_signal("go")]
        return list(await asyncio.gather(*waits))

    drive = start(order)
    drive.signal("go", 1)
    drive.signal("go", 2)
    assert ["return [1, 3, 2]"] == drive.signal("stop", 3)


def test_a_signal_that_comes_after_its_wait_has_timed_out_is_for_the_next_wait() -> None:
    @durable
    async def order() -> Any:
        try:
            await ask.wait_for_signal("go", timeout=5)
        except TimeoutError:
            await pay(1)
        return await ask.wait_for_signal("go")

    drive = Drive(order)
    assert ["1 signal go", "2 timer"] == drive.start()
    assert ["3 pay(1)"] == drive.fire(2)
    assert [] == drive.signal("go", "late")
    assert ["4 signal go", "return 'late'"] == drive.complete(3)
    check_replays(drive.function, drive.history)


# -- chance and patches ------------------------------------------------------------------------------------------------


def test_chance_is_the_same_on_every_replay_and_another_in_another_run() -> None:
    @durable
    async def order() -> list[Any]:
        return [ask.random().random(), str(ask.uuid4())]

    drives = [start(order, run_id=run_id) for run_id in ("a", "a", "b")]
    assert drives[0].result == drives[1].result
    assert drives[0].result != drives[2].result


def test_a_patch_is_recorded_for_new_runs_and_refused_for_old_ones() -> None:
    @durable(name="shop:order")
    async def before() -> int:
        return int(await pay(1))

    @durable(name="shop:order")
    async def after() -> int:
        if ask.patched("ship-first"):
            await ship(0)
        return int(await pay(1))

    new = Drive(after)
    assert ["patch ship-first", "1 ship(0)"] == new.start()
    finish(new)
    check_replays(new.function, new.history)
    old = start(before)
    old.complete(1, 5)
    check_replays(record(after), old.history)


def test_the_answer_about_a_patch_stays_for_the_whole_run() -> None:
    @durable(name="shop:order")
    async def before() -> None:
        await pay(1)
        await pay(2)

    @durable(name="shop:order")
    async def after() -> bool:
        ask.patched("x")
        await pay(1)
        await pay(2)
        return ask.patched("x")

    drive = start(before)
    drive.complete(1)
    execution = replay(record(after), drive.history).execution
    assert ["return False"] == told(execution.apply(drive.record(completion(2))))


def test_a_run_that_passed_a_place_long_ago_can_take_a_patch_further_on() -> None:
    @durable(name="shop:order")
    async def before() -> None:
        await pay(1)
        await pay(2)

    @durable(name="shop:order")
    async def after() -> None:
        await pay(1)
        if ask.patched("ship"):
            await ship(0)
        await pay(2)

    drive = start(before)
    execution = replay(record(after), drive.history).execution
    assert ["patch ship", "2 ship(0)"] == told(execution.apply(drive.record(completion(1))))

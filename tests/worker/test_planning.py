"""A turn, decided: what is delivered becomes one append, and effects that follow it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stent.codec import encode_exception, join
from stent.durable import calls
from stent.history.events import (
    BatchItemsCompleted,
    CallAttemptFailed,
    CallCompleted,
    CallFailed,
    CallPromoted,
    CancelRequested,
    Event,
    RoleCorrected,
    RunTimedOut,
    SignalReceived,
    TimerFired,
)
from stent.history.operations import Release
from stent.retry import RetryPolicy
from stent.worker.adoption import Resumed
from stent.worker.effects import Adopt, Arm, Ended, StartCall, StartItems, StopBodies, Tell
from stent.worker.held import Delivery, HeldRun
from stent.worker.items import ItemOutcome
from stent.worker.outcomes import items_event
from tests.worker.desk import NOW_US, Desk, events_of, payload, types_of, value

SECOND_US = 1_000_000


class Stage:
    """Functions that the programs below call."""

    def __init__(self, **desk: Any) -> None:
        self.desk = Desk(**desk)

        async def double(number: int) -> int:
            return 2 * number

        async def limited(number: int) -> int:
            return number

        self.double = self.desk.durable(double, retry_policy=RetryPolicy(max_attempts=3))
        self.limited = self.desk.durable(limited, max_concurrent=1)

        async def nested(number: int) -> int:
            return await self.double(number)

        self.nested = self.desk.durable(nested, role="orchestrator")

    def begin(self, program: Any, *args: Any, **options: Any) -> Resumed:
        durable = self.desk.durable(program)
        return self.desk.begin(durable, *args, role="orchestrator", **options)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def deliver(held: HeldRun, *events: Event) -> None:
    for event in events:
        held.deliver(Delivery(event))


def completed(call: int, of: Any) -> CallCompleted:
    return CallCompleted(0, 0, call, payload(of))


# -- calls ---------------------------------------------------------------------------------------------------------


def test_a_call_is_recorded_and_then_started_here(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert ["CallScheduled"] == types_of(plan.append)
    assert [StartCall(resumed.held.state.calls[1])] == plan.effects
    assert ("run", 1, ()) == (plan.append.run_id, plan.append.epoch, plan.append.shared)
    assert None is stage.desk.plan(resumed.held)


def test_deliveries_are_taken_one_by_one_each_followed_by_what_it_provoked(stage: Stage) -> None:
    """Log order is delivery, its commands, the next delivery: never two deliveries before the first one's commands."""

    async def program() -> int:
        async def chain(number: int) -> int:
            return await stage.double(await stage.double(number))

        return sum(await asyncio.gather(chain(1), chain(2)))

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, completed(2, 4), completed(1, 2))
    plan = stage.desk.turn(resumed.held)
    assert ["CallCompleted", "CallScheduled", "CallCompleted", "CallScheduled"] == types_of(plan.append)
    assert [4, 5, 6, 7] == [event.seq for event in events_of(plan.append)]


def test_the_end_of_a_program_is_written_with_the_delivery_that_brought_it_and_gives_the_run_back(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program, parent=("up", 3, None))
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, completed(1, 8))
    plan = stage.desk.turn(resumed.held)
    assert ["CallCompleted", "RunCompleted"] == types_of(plan.append)
    assert ("completed", Release()) == (plan.append.status, plan.append.release)
    ended, told = plan.effects
    assert isinstance(ended, Ended)
    assert isinstance(told, Tell)
    assert plan.append.messages == (told.message,)
    assert ("up", "answer-3") == (told.message.run_id, told.message.key)


def test_a_run_that_ends_with_work_left_is_kept_until_that_is_recorded(stage: Stage) -> None:
    async def program() -> int:
        left = asyncio.ensure_future(stage.double(1))
        assert left
        return await stage.double(2)

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, completed(2, 4))
    plan = stage.desk.turn(resumed.held)
    assert ["CallCompleted", "RunCompleted"] == types_of(plan.append)
    assert None is plan.append.release
    deliver(resumed.held, completed(1, 2))
    plan = stage.desk.turn(resumed.held)
    assert (["CallCompleted"], Release(), None) == (types_of(plan.append), plan.append.release, plan.append.status)


def test_a_limited_call_is_offered_to_all_workers(stage: Stage) -> None:
    async def program() -> int:
        return await stage.limited(4)

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    (shared,) = plan.append.shared
    assert ("run", 1, 2, 1, shared.function) == (shared.run_id, shared.call, shared.seq, shared.size, shared.limit_key)
    assert [] == plan.effects
    assert resumed.held.has_begun(1)


def test_an_offer_made_between_two_turns_is_written_with_the_next_one(stage: Stage) -> None:
    async def program() -> int:
        return await stage.limited(4)

    resumed = stage.begin(program)
    first = stage.desk.turn(resumed.held, resumed.commands)
    resumed.held.offer(first.append.shared[0])
    plan = stage.desk.turn(resumed.held)
    assert ((), first.append.shared) == (plan.append.rows, plan.append.shared)
    assert None is stage.desk.plan(resumed.held)


def test_a_call_of_another_queue_is_offered_too() -> None:
    stage = Stage(queues=frozenset({"gpu"}))

    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert ([1], []) == ([shared.call for shared in plan.append.shared], plan.effects)


def test_a_child_orchestrator_is_written_with_its_call_and_held_from_birth(stage: Stage) -> None:
    async def program() -> int:
        return await stage.nested(4)

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    (child,) = plan.append.children
    assert ("run.1", "me", "run", 1) == (child.run_id, child.owner, child.parent_run, child.parent_call)
    (adopt,) = plan.effects
    assert isinstance(adopt, Adopt)
    assert (child, [4]) == (adopt.run, value(adopt.started.arguments))
    assert "run.1" == resumed.held.state.calls[1].child_run


def test_a_failed_attempt_is_recorded_and_its_time_remembered(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    error = encode_exception(OSError("gone"), stage.desk.registry.types)
    deliver(resumed.held, CallAttemptFailed(0, 0, 1, 1, NOW_US + SECOND_US, error))
    plan = stage.desk.turn(resumed.held)
    assert (["CallAttemptFailed"], [Arm(NOW_US + SECOND_US)]) == (types_of(plan.append), plan.effects)
    assert 2 == resumed.held.state.calls[1].attempt


# -- deliveries that mean nothing any more -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stale",
    [
        completed(1, 99),
        CallFailed(0, 0, 1, payload("x")),
        CallAttemptFailed(0, 0, 1, 1, NOW_US, payload("x")),
        CallAttemptFailed(0, 0, 2, 2, NOW_US, payload("x")),
        CallPromoted(0, 0, 1, "run.1"),
        CallPromoted(0, 0, 7, "run.7", 3),
        TimerFired(0, 0, 5),
        BatchItemsCompleted(0, 0, 8, ((0, 1),), join([payload(1)])),
    ],
    ids=lambda event: event.type,
)
def test_what_nobody_waits_for_is_consumed_and_leaves_no_event(stage: Stage, stale: Event) -> None:
    async def program() -> int:
        return await stage.double(await stage.double(4))

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, completed(1, 8))
    stage.desk.turn(resumed.held)
    resumed.held.deliver(Delivery(stale, "key"))
    plan = stage.desk.turn(resumed.held)
    assert ((), ("key",), []) == (plan.append.rows, plan.append.consumed, plan.effects)


def test_a_second_answer_in_the_same_turn_is_dropped(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, completed(1, 8), completed(1, 9))
    assert ["CallCompleted", "RunCompleted"] == types_of(stage.desk.turn(resumed.held).append)


def test_a_signal_sent_twice_under_one_key_is_one_signal(stage: Stage) -> None:
    async def program() -> list[int]:
        return [await calls.wait_for_signal("go"), await calls.wait_for_signal("go")]

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, SignalReceived(0, 0, "go", payload(1), "a"))
    stage.desk.turn(resumed.held)
    deliver(resumed.held, SignalReceived(0, 0, "go", payload(2), "a"), SignalReceived(0, 0, "go", payload(3), "b"))
    plan = stage.desk.turn(resumed.held)
    assert ["SignalReceived", "RunCompleted"] == types_of(plan.append)
    assert [1, 3] == value(events_of(plan.append)[-1].result)  # type: ignore[attr-defined]  # it is a RunCompleted


def test_a_cancel_that_was_read_too_late_and_came_twice_is_one_cancel(stage: Stage) -> None:
    """Another one, which somebody sent during the clean-up, interrupts that."""

    async def program() -> None:
        try:
            await calls.wait_for_signal("go")
        finally:
            await calls.wait_for_signal("cleaned up")

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    first, second = CancelRequested(0, 0, "enough", "p"), CancelRequested(0, 0, "now", "q")
    deliver(resumed.held, first)
    assert ["CancelRequested", "SignalAwaited"] == types_of(stage.desk.turn(resumed.held).append)
    resumed.held.deliver(Delivery(first, "cancel"))
    plan = stage.desk.turn(resumed.held)
    assert ([], ("cancel",)) == (types_of(plan.append), plan.append.consumed)
    deliver(resumed.held, second)
    assert ["CancelRequested", "RunCancelled"] == types_of(stage.desk.turn(resumed.held).append)


def test_an_ended_run_takes_its_messages_and_records_nothing(stage: Stage) -> None:
    async def program() -> int:
        return 1

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    resumed.held.deliver(Delivery(CancelRequested(0, 0, "late"), "cancel"))
    plan = stage.desk.turn(resumed.held)
    assert ((), ("cancel",), Release()) == (plan.append.rows, plan.append.consumed, plan.append.release)


# -- batches -------------------------------------------------------------------------------------------------------


def test_a_map_is_one_event_and_its_items_are_started_here(stage: Stage) -> None:
    async def program() -> list[int]:
        return await calls.map(stage.double, range(100))

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert ["BatchScheduled"] == types_of(plan.append)
    assert [StartItems(resumed.held.state.batches[1])] == plan.effects


def test_a_map_of_a_limited_function_is_offered_as_one_range(stage: Stage) -> None:
    async def program() -> list[int]:
        return await calls.map(stage.limited, range(100))

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    (shared,) = plan.append.shared
    assert (((0, 100),), 0, 100) == (shared.items, shared.first_item, shared.size)


def test_a_map_of_orchestrators_starts_a_run_an_item(stage: Stage) -> None:
    async def program() -> list[int]:
        return await calls.map(stage.nested, [5, 6])

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert [("run.1.0", 0), ("run.1.1", 1)] == [(run.run_id, run.parent_item) for run in plan.append.children]


def test_a_limited_map_of_orchestrators_starts_them_as_its_limit_allows(stage: Stage) -> None:
    async def program() -> list[int]:
        return await calls.map(stage.nested, [5, 6, 7], limit=2)

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert ((), [StartItems(resumed.held.state.batches[1])]) == (plan.append.children, plan.effects)
    promotion = CallPromoted(0, 0, 1, "run.1.1", 1)
    deliver(resumed.held, promotion, promotion)
    plan = stage.desk.turn(resumed.held)
    assert ["CallPromoted"] == types_of(plan.append)
    (child,) = plan.append.children
    assert ("run.1.1", 1) == (child.run_id, child.parent_item)


def test_items_are_settled_once_and_a_part_that_was_written_before_is_dropped(stage: Stage) -> None:
    async def program() -> list[int]:
        return await calls.map(stage.double, range(3))

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    first = items_event(1, [ItemOutcome(2, payload(4), False), ItemOutcome(0, payload(0), False)])
    deliver(resumed.held, first, first, items_event(1, [ItemOutcome(1, payload(2), False)]))
    plan = stage.desk.turn(resumed.held)
    assert ["BatchItemsCompleted", "BatchItemsCompleted", "RunCompleted"] == types_of(plan.append)
    assert [0, 2, 4] == value(events_of(plan.append)[-1].result)  # type: ignore[attr-defined]  # it is a RunCompleted


def test_an_items_retry_counts_only_while_it_is_the_latest_attempt(stage: Stage) -> None:
    async def program() -> list[int]:
        return await calls.map(stage.double, range(3))

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    failed = CallAttemptFailed(0, 0, 1, 1, NOW_US + 5, payload("x"), 2)
    deliver(resumed.held, failed, failed)
    plan = stage.desk.turn(resumed.held)
    assert (["CallAttemptFailed"], [Arm(NOW_US + 5)]) == (types_of(plan.append), plan.effects)
    assert {2: (2, NOW_US + 5)} == resumed.held.state.batches[1].attempts


# -- promotion and roles -------------------------------------------------------------------------------------------


def test_an_activity_that_makes_durable_calls_gets_a_run_of_its_own(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, CallPromoted(0, 0, 1, "run.1"))
    plan = stage.desk.turn(resumed.held)
    assert ["CallPromoted"] == types_of(plan.append)
    (child,) = plan.append.children
    assert ("run.1", "orchestrator", "run", 1) == (child.run_id, child.role, child.parent_run, child.parent_call)


def test_a_run_whose_body_turned_out_to_be_an_orchestrator_begins_again_as_one(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    durable = stage.desk.durable(program)
    held = stage.desk.begin(durable, role="activity").held
    deliver(held, RoleCorrected(0, 0, "orchestrator"))
    plan = stage.desk.turn(held)
    assert ["RoleCorrected", "CallScheduled"] == types_of(plan.append)
    assert [StartCall(held.state.calls[1])] == plan.effects
    assert "orchestrator" == held.function.role_hint


def test_an_orchestrator_that_waits_for_real_io_begins_again_as_an_activity(stage: Stage) -> None:
    async def program() -> None:
        await asyncio.to_thread(print)

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert ["RoleCorrected"] == types_of(plan.append)
    assert [StartCall(resumed.held.state.calls[0])] == plan.effects
    assert None is resumed.held.execution


def test_an_activity_that_is_a_run_ends_with_its_outcome(stage: Stage) -> None:
    held = stage.desk.begin(stage.double, 4, role="activity").held
    deliver(held, CallCompleted(0, 0, 0, payload(8)))
    plan = stage.desk.turn(held)
    assert ["RunCompleted"] == types_of(plan.append)
    assert ("completed", Release()) == (plan.append.status, plan.append.release)


# -- time ----------------------------------------------------------------------------------------------------------


def test_a_timer_is_recorded_armed_and_never_recorded_before_it_is_due(stage: Stage) -> None:
    async def program() -> None:
        await asyncio.sleep(5)

    resumed = stage.begin(program)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    due_us = NOW_US + 5 * SECOND_US
    assert (["TimerStarted"], [Arm(due_us)]) == (types_of(plan.append), plan.effects)
    deliver(resumed.held, TimerFired(0, 0, 1))
    plan = stage.desk.turn(resumed.held, now_us=due_us - 7)  # this worker's clock is a little behind
    assert ["TimerFired", "RunCompleted"] == types_of(plan.append)
    assert due_us == events_of(plan.append)[0].at_us


def test_time_in_a_history_never_goes_back(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, completed(1, 8))
    plan = stage.desk.turn(resumed.held, now_us=NOW_US - 99)
    assert {NOW_US} == {event.at_us for event in events_of(plan.append)}


def test_a_time_limit_counts_from_the_first_look_at_a_run(stage: Stage) -> None:
    async def program() -> int:
        return await stage.double(4)

    resumed = stage.begin(program, max_duration_us=9 * SECOND_US)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert ["CallScheduled", "DeadlineSet"] == types_of(plan.append)
    assert Arm(NOW_US + 9 * SECOND_US) in plan.effects


@pytest.mark.parametrize("is_late", [True, False])
def test_a_run_that_is_ended_from_outside_withdraws_what_it_had_open(stage: Stage, is_late: bool) -> None:
    async def program() -> int:
        return sum(await asyncio.gather(stage.double(1), stage.limited(2), stage.nested(3)))

    resumed = stage.begin(program, parent=("up", 9, 2))
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, RunTimedOut(0, 0, NOW_US) if is_late else CancelRequested(0, 0, "enough"))
    plan = stage.desk.turn(resumed.held)
    kinds = types_of(plan.append)
    assert ("RunTimedOut" if is_late else "RunCancelled") == kinds[-1]
    assert ("timed_out" if is_late else "cancelled", Release()) == (plan.append.status, plan.append.release)
    assert {StopBodies(1), StopBodies(2), StopBodies(3)} == {of for of in plan.effects if isinstance(of, StopBodies)}
    assert (2,) == plan.append.withdrawn
    told = {message.run_id: message.event for message in plan.append.messages}
    assert {"run.3", "up"} == told.keys()
    assert isinstance(told["run.3"], CancelRequested)
    assert "call 3 of run" == told["run.3"].put
    assert isinstance(told["up"], BatchItemsCompleted)


def test_a_call_that_the_program_gives_up_is_withdrawn_and_its_answer_ignored(stage: Stage) -> None:
    async def program() -> str:
        try:
            async with asyncio.timeout(5):
                return f"{await stage.double(4)}"
        except TimeoutError:
            return "gave up"

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    deliver(resumed.held, TimerFired(0, 0, 1), completed(2, 8))
    plan = stage.desk.turn(resumed.held, now_us=NOW_US + 5 * SECOND_US)
    assert ["TimerFired", "CallCancelRequested", "RunCompleted"] == types_of(plan.append)
    assert StopBodies(2) in plan.effects
    assert "gave up" == value(events_of(plan.append)[-1].result)  # type: ignore[attr-defined]  # it is a RunCompleted


def test_cancelling_an_activity_that_is_a_run_stops_it(stage: Stage) -> None:
    held = stage.desk.begin(stage.double, 4, role="activity").held
    deliver(held, CancelRequested(0, 0, "enough"))
    plan = stage.desk.turn(held)
    assert ["CancelRequested", "RunCancelled"] == types_of(plan.append)
    assert [StopBodies(0)] == [effect for effect in plan.effects if isinstance(effect, StopBodies)]


def test_continuing_as_new_writes_the_next_run_of_the_chain(stage: Stage) -> None:
    async def program(number: int) -> None:
        calls.continue_as_new(number + 1)

    resumed = stage.begin(program, 1, parent=("up", 3, None))
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert ["RunContinuedAsNew"] == types_of(plan.append)
    (run,) = plan.append.children
    assert ("run~2", "up", 3) == (run.run_id, run.parent_run, run.parent_call)
    assert () == plan.append.messages, "the parent waits for the end of the chain"
    assert (None, "run~2") == (run.owner, plan.append.next_run)
    assert not any(isinstance(effect, Adopt) for effect in plan.effects), "it is read before it begins"


def signal(name: str, of: Any, key: str) -> Delivery:
    return Delivery(SignalReceived(0, 0, name, payload(of), key), key)


def test_signals_that_were_not_read_go_to_the_next_run_and_later_ones_stay_in_the_inbox(stage: Stage) -> None:
    async def program() -> None:
        await calls.wait_for_signal("go")
        calls.continue_as_new()

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    for delivery in (signal("b", 1, "k1"), signal("a", 2, "k2"), signal("b", 3, "k3"), signal("go", 4, "k4")):
        resumed.held.deliver(delivery)
    resumed.held.deliver(signal("a", 5, "k5"))
    plan = stage.desk.turn(resumed.held)
    assert [*["SignalReceived"] * 4, "RunContinuedAsNew"] == types_of(plan.append)
    assert ("k1", "k2", "k3", "k4") == plan.append.consumed
    handed = [(message.run_id, message.key, message.event.value) for message in plan.append.messages]  # type: ignore[attr-defined]  # they are signals
    assert [("run~2", f"k{number}", payload(number)) for number in (1, 2, 3)] == handed


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_cancel_behind_a_completion_is_left_for_the_store_to_see(stage: Stage, goes_on: bool) -> None:
    async def program() -> None:
        await stage.double(1)
        if goes_on:
            calls.continue_as_new()

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    resumed.held.deliver(Delivery(completed(1, 2)))
    resumed.held.deliver(Delivery(CancelRequested(0, 0, "enough"), "cancel"))
    plan = stage.desk.turn(resumed.held)
    assert ["CallCompleted", "RunContinuedAsNew" if goes_on else "RunCompleted"] == types_of(plan.append)
    assert ((), "completed") == (plan.append.consumed, plan.append.status)
    assert [Delivery(completed(1, 2))] == plan.taken


def test_a_cancel_behind_a_failure_has_come_too_late(stage: Stage) -> None:
    async def program() -> None:
        await stage.double(1)
        raise ValueError

    resumed = stage.begin(program)
    stage.desk.turn(resumed.held, resumed.commands)
    resumed.held.deliver(Delivery(completed(1, 2)))
    resumed.held.deliver(Delivery(CancelRequested(0, 0, "enough"), "cancel"))
    plan = stage.desk.turn(resumed.held)
    assert (("cancel",), "failed") == (plan.append.consumed, plan.append.status)

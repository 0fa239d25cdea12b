"""Going on with a run: what was recorded is not done again, and what comes after is."""

from __future__ import annotations

import asyncio

import pytest

from stent.errors import CorruptHistoryError, DivergenceError
from stent.history.events import (
    CallCompleted,
    CallPromoted,
    CancelRequested,
    DeadlineSet,
    Event,
    SignalReceived,
    TimerFired,
)
from stent.history.fold import OpenBatch
from stent.history.operations import Append
from stent.history.records import Message, SharedCall, SharedRow
from stent.worker import adoption
from stent.worker.draft import Plan
from stent.worker.held import Delivery
from stent.worker.items import BatchSource
from stent.worker.slots import SINGLE, Single
from tests.worker.desk import NOW_US, Desk, events_of, function_of, loaded, payload, types_of


class Stage:
    def __init__(self) -> None:
        self.desk = Desk()

        async def double(number: int) -> int:
            return 2 * number

        async def other(number: int) -> int:
            return number

        self.double = self.desk.durable(double)
        self.other = self.desk.durable(other)

        async def program(number: int) -> int:
            return await self.double(await self.double(number))

        self.program = self.desk.durable(program)

    def recorded(self, *deliveries: Event) -> list[Event]:
        """The history of the program after these."""
        resumed = self.desk.begin(self.program, 1, role="orchestrator")
        history: list[Event] = [started_of(resumed)]
        history += events_of(self.desk.turn(resumed.held, resumed.commands).append)
        for delivery in deliveries:
            resumed.held.deliver(Delivery(delivery))
            history += events_of(self.desk.turn(resumed.held).append)
        return history


def started_of(resumed: adoption.Resumed) -> Event:
    execution = resumed.held.execution
    assert execution is not None
    assert execution.started is not None
    return execution.started


def test_a_run_goes_on_where_its_history_ends() -> None:
    stage = Stage()
    history = stage.recorded(CallCompleted(0, 0, 1, payload(2)))
    resumed = adoption.resume(loaded(history), function_of(stage.program), NOW_US)
    assert [] == resumed.commands
    assert (2, [2]) == (resumed.held.epoch, list(resumed.held.state.calls))
    resumed.held.deliver(Delivery(CallCompleted(0, 0, 2, payload(4))))
    assert ["CallCompleted", "RunCompleted"] == types_of(stage.desk.turn(resumed.held).append)


def test_kept_in_memory_or_read_again_a_run_writes_the_same() -> None:
    stage = Stage()
    kept = stage.desk.begin(stage.program, 1, role="orchestrator")
    history = [started_of(kept), *events_of(stage.desk.turn(kept.held, kept.commands).append)]
    for answer in (CallCompleted(0, 0, 1, payload(2)), CallCompleted(0, 0, 2, payload(4))):
        again = adoption.resume(loaded(history), function_of(stage.program), NOW_US)
        written = []
        for held in (kept.held, again.held):
            held.deliver(Delivery(answer))
            written.append(events_of(stage.desk.turn(held).append))
        assert written[0] == written[1]
        history += written[0]
    assert "RunCompleted" == history[-1].type


def test_a_run_that_was_started_and_not_begun_gives_its_first_commands() -> None:
    stage = Stage()
    history = stage.recorded()[:1]
    resumed = adoption.resume(loaded(history), function_of(stage.program), NOW_US)
    assert ["CallScheduled"] == types_of(stage.desk.turn(resumed.held, resumed.commands).append)


def test_a_run_that_is_cancelled_before_it_begins_never_runs_its_body() -> None:
    stage = Stage()
    history = stage.recorded()[:1]
    cancel = Message("run", "cancel", CancelRequested(0, 0, "enough"))
    resumed = adoption.resume(loaded(history, inbox=[cancel]), function_of(stage.program), NOW_US)
    plan = stage.desk.turn(resumed.held, resumed.commands)
    assert (["CancelRequested", "RunCancelled"], ("cancel",)) == (types_of(plan.append), plan.append.consumed)


def test_its_messages_wait_in_order_and_what_others_carry_out_is_known() -> None:
    stage = Stage()
    history = stage.recorded()
    inbox = [Message("run", key, SignalReceived(0, 0, "go", payload(key))) for key in "ab"]
    shared = SharedRow(SharedCall("run", 1, 2, "m:double"), claimed_by="other")
    resumed = adoption.resume(loaded(history, inbox=inbox, shared=[shared]), function_of(stage.program), NOW_US)
    assert ["a", "b"] == [delivery.key for delivery in resumed.held.deliveries]
    assert resumed.held.has_begun(1)
    assert not resumed.held.deliver(Delivery(inbox[0].event, "a"))


def test_code_that_does_not_fit_is_a_divergence_and_leaves_nothing_behind() -> None:
    stage = Stage()
    history = stage.recorded(CallCompleted(0, 0, 1, payload(2)))

    async def changed(number: int) -> int:
        return await stage.other(await stage.other(number))

    with pytest.raises(DivergenceError):
        adoption.resume(loaded(history), function_of(stage.desk.durable(changed)), NOW_US)


def test_a_damaged_history_is_refused() -> None:
    stage = Stage()
    whole = loaded(stage.recorded(CallCompleted(0, 0, 1, payload(2))))
    gap = type(whole)(whole.run, (whole.rows[0], *whole.rows[2:]), (), ())
    with pytest.raises(CorruptHistoryError):
        adoption.resume(gap, function_of(stage.program), NOW_US)


def test_a_time_limit_is_set_once() -> None:
    stage = Stage()
    begun = stage.desk.begin(stage.program, 1, role="orchestrator", max_duration_us=50)
    assert [DeadlineSet(0, 0, NOW_US + 50)] == [delivery.event for delivery in begun.held.deliveries]
    history = [started_of(begun), *events_of(stage.desk.turn(begun.held, begun.commands).append)]
    again = adoption.resume(loaded(history), function_of(stage.program), NOW_US + 40)
    assert [] == list(again.held.deliveries)
    assert NOW_US + 50 == again.held.state.deadline_us


def test_a_stalled_run_is_known_as_such() -> None:
    stage = Stage()
    resumed = adoption.resume(loaded(stage.recorded(), status="stalled"), function_of(stage.program), NOW_US)
    assert resumed.held.is_stalled


def test_an_activity_has_no_program() -> None:
    stage = Stage()
    resumed = stage.desk.begin(stage.double, 4, role="activity")
    assert (None, [], [0]) == (resumed.held.execution, resumed.commands, list(resumed.held.state.calls))


def test_an_orchestrator_that_waits_for_real_io_at_once_is_corrected() -> None:
    stage = Stage()

    async def reader() -> None:
        await asyncio.to_thread(print)

    resumed = stage.desk.begin(stage.desk.durable(reader), role="orchestrator")
    assert ["RoleCorrected"] == [delivery.event.type for delivery in resumed.held.deliveries]


# -- read again --------------------------------------------------------------------------------------------------------


def test_a_cancel_comes_before_the_messages_and_these_before_what_bodies_brought() -> None:
    stage = Stage()
    history = stage.recorded()
    held = adoption.resume(loaded(history), function_of(stage.program), NOW_US).held
    answer, fired = Delivery(CallCompleted(0, 0, 1, payload(2))), Delivery(TimerFired(0, 0, 9))
    inbox = [
        Message("run", "k", SignalReceived(0, 0, "go", payload(1), "k")),
        Message("run", "cancel", CancelRequested(0, 0, "enough")),
    ]
    again = adoption.resume(loaded(history, inbox=inbox), function_of(stage.program), NOW_US).held
    held.deliveries.append(Delivery(inbox[0].event, "k"))
    held.deliveries.append(Delivery(SignalReceived(0, 0, "go", payload(3), "l"), "l"))
    adoption.carry_over(held, Plan(Append("run", 2), [], [answer, fired]), again)
    cancel, signal, *rest = again.deliveries
    assert ("cancel", "k") == (cancel.key, signal.key)
    assert [None, "l"] == [delivery.key for delivery in rest], "a message once; of the timers the history knows"
    assert rest[0] is answer
    assert {(1, SINGLE)} == again.settling, "its call does not begin anew"


def test_bodies_and_batches_go_on_for_the_run_that_was_read_again() -> None:
    stage = Stage()
    history = stage.recorded()
    function = function_of(stage.program)
    held, again = (adoption.resume(loaded(history), function, NOW_US).held for _ in range(2))
    single = held.running[1, SINGLE] = Single(None)
    batch, same_batch = (OpenBatch(2, 2, "m:double", 5, payload([]), "activity", settled=bytearray(5)) for _ in "ab")
    held.state.batches[2], again.state.batches[2] = batch, same_batch
    source = held.batches[2] = BatchSource("run", batch, function, iter([3]), running={0, 1})
    over = held.batches[7] = BatchSource("run", batch, function, iter([]))
    lent = SharedCall("run", 2, 2, "m:double", 4, ((4, 5),))
    call, gone = SharedCall("run", 1, 2, "m:double"), SharedCall("run", 9, 2, "m:double")
    held.offer(call)
    adoption.carry_over(held, Plan(Append("run", 2, shared=(lent, gone)), []), again)
    assert (single, {}) == (again.running[1, SINGLE], held.running)
    assert {2: source} == again.batches
    assert {7: over} == held.batches, "nobody wants it any longer"
    assert source.batch is same_batch
    assert ([lent, call], {2: {4}}) == (again.offers, again.lent)
    assert {(2, 4), (1, SINGLE)} == again.shared


def test_promotions_of_a_limited_map_of_orchestrators_come_by_themselves() -> None:
    stage = Stage()
    history = stage.recorded()
    held, again = (adoption.resume(loaded(history), function_of(stage.program), NOW_US).held for _ in range(2))
    again.state.batches[2] = OpenBatch(2, 2, "m:double", 5, payload([]), "orchestrator", settled=bytearray(5))
    again.state.batches[3] = OpenBatch(3, 2, "m:double", 5, payload([]), "activity", settled=bytearray(5))
    taken = [Delivery(CallPromoted(0, 0, call, "child", 1)) for call in (2, 3)]
    adoption.carry_over(held, Plan(Append("run", 2), [], taken), again)
    assert taken[1:] == list(again.deliveries)
    assert {(3, 1)} == again.settling

"""An append in the making: events fit the history, or nothing is written."""

from __future__ import annotations

import pytest

from stent.errors import CorruptHistoryError
from stent.history.events import CallCompleted, SignalReceived
from stent.history.records import Message, SharedCall
from stent.worker.draft import EVENTS_A_TURN, Draft
from stent.worker.effects import StopBodies, Tell
from stent.worker.held import Delivery, HeldRun
from tests.worker.desk import NOW_US, TOKEN, Desk, events_of, payload


async def body(number: int) -> int:
    return number


DESK = Desk()
DURABLE = DESK.durable(body)


def held_run() -> HeldRun:
    return DESK.begin(DURABLE, 1, role="activity").held


def draft_of(held: HeldRun) -> Draft:
    return Draft(held, NOW_US, lambda: TOKEN)


def signal(number: int) -> SignalReceived:
    return SignalReceived(0, 0, "go", payload(number))


def test_nothing_to_write_is_no_append() -> None:
    held = held_run()
    assert None is draft_of(held).finish()


def test_rows_go_on_where_the_last_append_ended() -> None:
    held = held_run()
    rows = []
    for number in range(3):
        draft = draft_of(held)
        draft.record(signal(number))
        plan = draft.finish()
        assert plan is not None
        rows.extend(plan.append.rows)
    assert [2, 3, 4] == [row.seq for row in rows]
    assert held.head_hash == rows[-1].hash
    assert len({row.hash for row in rows}) == 3


def test_an_event_that_cannot_come_here_is_refused_before_anything_is_written() -> None:
    held = held_run()
    with pytest.raises(CorruptHistoryError):
        draft_of(held).record(CallCompleted(0, 0, 99, payload(1)))


def test_a_stalled_run_that_goes_on_is_running_again() -> None:
    held = held_run()
    held.is_stalled, held.status = True, "stalled"
    draft = draft_of(held)
    draft.record(signal(1))
    plan = draft.finish()
    assert plan is not None
    assert ("running", "running", False) == (plan.append.status, held.status, held.is_stalled)


def test_a_status_is_written_only_when_it_changes() -> None:
    held = held_run()
    draft = draft_of(held)
    draft.record(signal(1))
    plan = draft.finish()
    assert plan is not None
    assert None is plan.append.status


def test_messages_and_offers_go_with_the_events() -> None:
    held = held_run()
    draft = draft_of(held)
    message = Message("up", "key", signal(1))
    shared = SharedCall("run", 3, 2, "m:body")
    draft.take(Delivery(signal(2), "inbox"))
    draft.tell(message)
    held.offer(shared)
    plan = draft.finish()
    assert plan is not None
    append = plan.append
    assert (("inbox",), (message,), (shared,)) == (append.consumed, append.messages, append.shared)
    assert [Tell(message)] == plan.effects
    assert [] == held.offers


def test_what_came_as_no_message_is_kept_with_the_plan() -> None:
    held = held_run()
    for delivery in (local := Delivery(signal(1)), Delivery(signal(2), "inbox")):
        held.deliver(delivery)
    plan = DESK.turn(held)
    assert ([local], ("inbox",)) == (plan.taken, plan.append.consumed)


def test_signals_that_are_handed_on_keep_their_order_and_their_keys() -> None:
    held = held_run()
    draft = draft_of(held)
    draft.record(signal(1))
    handed = [SignalReceived(4, NOW_US, "a", payload(1), "key"), SignalReceived(7, NOW_US, "b", payload(2))]
    draft.hand_on("run~2", handed)
    plan = draft.finish()
    assert plan is not None
    assert "run~2" == plan.append.next_run
    expected = (
        Message("run~2", "key", SignalReceived(0, 0, "a", payload(1), "key")),
        Message("run~2", "signal 2 of run", SignalReceived(0, 0, "b", payload(2))),
    )
    assert expected == plan.append.messages
    assert [] == plan.effects, "nobody holds the next run"


def test_a_withdrawn_call_is_taken_back_from_all_workers_if_it_was_offered() -> None:
    held = held_run()
    held.shared = {(3, -1), (4, -1)}
    draft = draft_of(held)
    draft.withdraw(3, None, None, "why")
    draft.withdraw(5, None, None, "why")
    draft.take(Delivery(signal(2), "inbox"))
    plan = draft.finish()
    assert plan is not None
    assert ((3,), {(4, -1)}) == (plan.append.withdrawn, held.shared)
    assert [StopBodies(3), StopBodies(5)] == plan.effects


def test_a_turn_is_bounded_and_the_rest_comes_with_the_next() -> None:
    held = held_run()
    for number in range(EVENTS_A_TURN + 5):
        held.deliver(Delivery(signal(number)))
    assert EVENTS_A_TURN == len(DESK.turn(held).append.rows)
    assert 5 == len(DESK.turn(held).append.rows)


def test_the_history_that_was_written_is_read_back() -> None:
    held = held_run()
    draft = draft_of(held)
    draft.record(signal(7))
    plan = draft.finish()
    assert plan is not None
    assert [SignalReceived(2, NOW_US, "go", payload(7))] == events_of(plan.append)

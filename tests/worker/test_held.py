"""A held run knows what waits, what has begun, and when it wakes next."""

from __future__ import annotations

from stent.history.events import CallOptions, SignalReceived
from stent.history.fold import OpenBatch, OpenCall
from stent.history.records import SharedCall
from stent.worker.held import HELD_AT_MOST, Delivery, HeldRun, Holdings, retry_name
from stent.worker.items import BatchSource, ItemOutcome, Outcomes
from stent.worker.slots import SINGLE, Attempt, Single
from tests.worker.desk import Desk, function_of, payload


async def body(number: int) -> int:
    return number


DURABLE = Desk().durable(body)


def held_run(run_id: str = "run") -> HeldRun:
    return Desk().begin(DURABLE, 1, role="activity", run_id=run_id).held


def open_call(call: int, retry_at_us: int | None = None, role: str = "activity") -> OpenCall:
    arguments = payload([1])
    opened = OpenCall(call, 2, "m:body", arguments, "activity" if role == "activity" else "orchestrator")
    opened.retry_at_us = retry_at_us
    return opened


def open_batch(call: int, **attempts: int) -> OpenBatch:
    packed, count = function_of(DURABLE).pack_rows([(number,) for number in range(4)])
    batch = OpenBatch(call, 2, "m:body", count, packed, "activity", settled=bytearray(count))
    batch.attempts = {int(name.removeprefix("item")): (2, due_us) for name, due_us in attempts.items()}
    return batch


def single(call: int) -> Single:
    return Single(Attempt("run", call, SINGLE, function_of(DURABLE), 1, CallOptions()))


def test_a_message_is_delivered_once_however_often_it_is_read() -> None:
    held = held_run()
    event = SignalReceived(0, 0, "go", payload(1))
    assert held.deliver(Delivery(event, "key"))
    assert not held.deliver(Delivery(event, "key"))
    assert held.deliver(Delivery(event))
    assert 2 == len(held.deliveries)


def test_it_wakes_for_the_earliest_timer_retry_or_deadline() -> None:
    held = held_run()
    held.state.calls.clear()
    assert None is held.next_due_us()
    held.state.timers = {1: 500, 2: 400}
    held.state.deadline_us = 450
    assert 400 == held.next_due_us()
    held.state.calls[3] = open_call(3, retry_at_us=300)
    held.state.batches[4] = open_batch(4, item1=250)
    assert 250 == held.next_due_us()
    assert 450 == held.next_due_us(after_us=400)


def test_a_retry_that_has_begun_is_not_waited_for() -> None:
    """Its time stays in the state until the attempt ends: a worker that waits for it goes round and round."""
    held = held_run()
    held.state.calls = {3: open_call(3, retry_at_us=300), 5: open_call(5, retry_at_us=200)}
    held.state.batches[4] = open_batch(4, item1=250, item2=350)
    held.running[5, SINGLE] = single(5)
    held.offer(SharedCall("run", 3, 2, "m:body", attempt=2))
    held.offer(SharedCall("run", 4, 2, "m:body", first_item=1, items=((1, 2),), attempt=2))
    assert 350 == held.next_due_us()
    held.attempt_failed(3, None)
    assert 300 == held.next_due_us()
    held.attempt_failed(4, 1)
    assert 250 == held.next_due_us()


def test_an_attempt_that_has_ended_has_begun_until_that_is_recorded() -> None:
    """Whatever wakes the run meanwhile: the body would run a second time."""
    held = held_run()
    held.state.calls = {3: open_call(3, retry_at_us=300)}
    held.state.batches[4] = open_batch(4, item1=250)
    held.settling |= {(3, SINGLE), (4, 1)}
    assert [True, True, None] == [held.has_begun(3), held.has_begun(4, 1), held.next_due_us()]
    held.attempt_failed(3, None)
    held.attempt_failed(4, 1)
    assert [False, False, 250] == [held.has_begun(3), held.has_begun(4, 1), held.next_due_us()]


def test_a_local_retry_of_an_item_is_under_way_while_it_waits_for_a_slot_or_runs() -> None:
    held = held_run()
    held.state.calls.clear()
    batch = held.state.batches[4] = open_batch(4, item1=250)
    source = held.batches[4] = BatchSource("run", batch, function_of(DURABLE), iter(()))
    assert 250 == held.next_due_us()
    source.retry([1])
    assert None is held.next_due_us()
    source.next_attempt()
    assert None is held.next_due_us()
    source.finished(1)
    assert 250 == held.next_due_us()


def test_a_run_that_has_ended_waits_only_for_what_it_left_running() -> None:
    held = held_run()
    held.state.phase = "ended"
    held.state.timers = {1: 500}
    held.state.deadline_us = 450
    held.state.calls = {3: open_call(3, retry_at_us=900), 6: open_call(6, retry_at_us=700, role="orchestrator")}
    assert 900 == held.next_due_us()


def test_a_retry_has_a_name_that_no_first_offer_has() -> None:
    assert {retry_name(item) for item in range(100)}.isdisjoint({SINGLE, *range(100)})


def test_it_is_quiet_when_only_time_or_others_can_bring_anything() -> None:
    held = held_run()
    assert held.is_quiet
    held.running[1, SINGLE] = single(1)
    assert not held.is_quiet
    held.stop_bodies()
    assert held.is_quiet
    held.deliver(Delivery(SignalReceived(0, 0, "go", payload(1))))
    assert not held.is_quiet


def test_a_batch_that_waits_for_runs_or_retries_leaves_its_run_quiet() -> None:
    held = held_run()
    source = held.batches[4] = BatchSource("run", open_batch(4, item1=250), function_of(DURABLE), iter([0]))
    assert not held.is_quiet
    source.next_attempt()
    source.next_attempt()
    assert not held.is_quiet
    source.finished(0)
    assert held.is_quiet


def test_stopping_a_call_empties_its_sources_and_forgets_its_outcomes_and_no_others() -> None:
    held = held_run()
    first, second = single(1), single(2)
    held.running = {(1, SINGLE): first, (2, SINGLE): second}
    source = held.batches[4] = BatchSource("run", open_batch(4), function_of(DURABLE), iter([0]))
    held.outcomes[4] = Outcomes([ItemOutcome(0, payload(1), False)])
    held.stop_bodies(4)
    assert (True, {}) == (source.is_stopped, held.outcomes)
    held.stop_bodies(1)
    assert (None, False) == (first.next_attempt(), second.is_empty())
    held.stop_bodies()
    assert second.is_empty()
    assert {} == held.running


def test_holdings_forget_a_run_only_if_it_is_the_one_they_have() -> None:
    holdings = Holdings()
    earlier, later = held_run(), held_run()
    holdings.add(earlier)
    holdings.add(later)
    holdings.remove(earlier)
    assert later is holdings.get("run")
    holdings.remove(later)
    assert ("run" in holdings, len(holdings)) == (False, 0)


def test_holdings_may_change_while_they_are_gone_through() -> None:
    holdings = Holdings()
    for name in "abc":
        holdings.add(held_run(name))
    for held in holdings:
        holdings.remove(held)
    assert 0 == len(holdings)


def test_holdings_have_room_until_they_are_full_or_closing() -> None:
    holdings = Holdings()
    held = held_run()
    for number in range(HELD_AT_MOST):
        held.run_id = f"{number}"
        holdings.add(held)
    assert not holdings.has_room
    holdings.remove(held)
    assert holdings.has_room
    holdings.is_closing = True
    assert not holdings.has_room

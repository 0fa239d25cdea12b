"""Why a run waits: one sentence for each thing that can move it, with a person's next move in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from stent.history.events import (
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallOptions,
    CancelRequested,
    DeadlineSet,
    Event,
    RunCancelled,
    RunCompleted,
    SignalAwaited,
    SignalReceived,
    TimerStarted,
)
from stent.history.records import InboxRow, LoadedRun, Message, RunRow, SharedCall, SharedRow, WorkerRow
from stent.inspect.waiting import Surroundings, signals_waited_for, why
from stent.testing.strategies.histories import Model, modelled_histories
from tests.inspect.literals import SECOND_US, SITE, START_US, at, call, error, history, payload, start

NOW_US = START_US + 100 * SECOND_US
RUN = RunRow(
    *("order-1", "shop:order", "orchestrator", "running", None, 0, (), None, None, None, None, 1, "w1"),
    *(START_US, START_US, None, None, 0),
)
ALIVE = WorkerRow("w1", "host", 1, START_US, NOW_US + SECOND_US, None, 3)
DEAD = replace(ALIVE, valid_until_us=NOW_US - SECOND_US)


def told(
    *events: Event,
    run: RunRow = RUN,
    workers: tuple[WorkerRow, ...] = (ALIVE,),
    inbox: tuple[InboxRow, ...] = (),
    shared: tuple[SharedRow, ...] = (),
    children: tuple[RunRow, ...] = (),
) -> str:
    """The sentences behind the first one."""
    text = why(
        LoadedRun(run, (), inbox, shared), history(*events) if events else history(*NOTHING), around(workers, children)
    )
    return text.removeprefix("Run order-1 of order() is running. ")


def around(workers: tuple[WorkerRow, ...], children: tuple[RunRow, ...] = ()) -> Surroundings:
    return Surroundings(NOW_US, workers, children)


NOTHING = (SignalAwaited(0, 0, 1, "ok"), SignalReceived(0, 0, "ok", payload(1)))


def batch(done: int, **more: Any) -> list[Event]:
    scheduled = BatchScheduled(0, START_US, 1, "shop:pay", 1000, payload([]), "activity", "0", SITE, **more)
    return [scheduled, BatchItemsCompleted(0, START_US, 1, ((0, done),), payload([]))]


def test_a_call_in_the_hands_of_a_live_worker() -> None:
    assert "It waits for pay() (call 1, for 1m30s); worker w1 carries it out." == told(at(10, call(1)))


def test_a_call_whose_worker_is_gone() -> None:
    assert (
        "It waits for pay() (call 1, for 1m30s); worker w1, which carried it out, is gone: no worker is alive, so "
        "start one: stent worker APP."
    ) == told(at(10, call(1)), workers=(DEAD,))


def test_a_call_that_no_worker_has_taken_names_what_a_worker_needs() -> None:
    scheduled = replace(call(1), options=CallOptions(queue="gpu", tags=("big",)))
    shared = SharedRow(SharedCall("order-1", 1, 2, "shop:pay", queue="gpu"), None)
    text = told(at(10, scheduled), shared=(shared,))
    assert "which no worker has taken. 1 worker is alive with 3 free slots; one that knows pay(), serves" in text
    assert "`stent worker shop --queue gpu --tag big`" in text


def test_a_call_between_two_attempts() -> None:
    failed = CallAttemptFailed(0, 0, 1, 1, NOW_US + 20 * SECOND_US, error("no"))
    assert (
        "It waits for pay() (call 1, for 1m30s), attempt 1 failed with ValueError('no'); attempt 2 begins in 20s."
    ) == told(at(10, call(1)), at(20, failed))


def test_a_call_with_a_run_of_its_own_leads_there() -> None:
    child = replace(RUN, run_id="order-1.1", status="stalled")
    assert (
        "It waits for pay() (call 1, for 1m30s), a run of its own, which is stalled: `stent why order-1.1`."
    ) == told(at(10, call(1, child="order-1.1")), children=(child,))


def test_many_calls_are_summed_up() -> None:
    text = told(*[at(10, call(number)) for number in range(1, 11)])
    assert 3 == text.count("It waits for")
    assert text.endswith("So it is with 7 more calls.")


def test_a_map_says_how_far_it_is() -> None:
    assert "It waits for map(pay) (call 1, for 1m40s): 400 of 1,000 items have an outcome." == told(*batch(400))


def test_a_map_whose_items_no_worker_takes() -> None:
    part = SharedRow(SharedCall("order-1", 1, 2, "shop:pay", 400, ((400, 1000),)), None)
    text = told(*batch(400), shared=(part,), workers=())
    assert "400 of 1,000 items have an outcome, 600 wait for a worker. No worker is alive: start one with" in text


def test_a_map_with_items_that_are_stalled_runs_names_one() -> None:
    children = tuple(
        replace(
            RUN, run_id=f"order-1.1.{item}", status="stalled", parent_run="order-1", parent_call=1, parent_item=item
        )
        for item in (401, 402)
    )
    text = told(*batch(400), children=children)
    assert text.endswith("400 of 1,000 items have an outcome, 2 are runs that are stalled (`stent why order-1.1.401`).")


def test_an_activity_that_is_a_run_waits_for_its_own_body() -> None:
    assert "It waits for its own body (for 1m40s); worker w1 carries it out." == told(start("activity"))


def test_a_timer_says_how_long_and_where() -> None:
    timer = TimerStarted(0, 0, 1, NOW_US + 26 * 3600 * SECOND_US, "0", SITE)
    assert "It sleeps until 2025-06-16 17:08:20 UTC, for 1d2h more at shop.py:7 in order()." == told(timer)


def test_a_timer_that_is_due_waits_for_a_worker() -> None:
    timer = TimerStarted(0, 0, 1, NOW_US - 5 * SECOND_US)
    assert "Its timer has been due for 5s: no worker is alive, so start one: stent worker APP." == told(
        timer, workers=()
    )


def test_a_signal_says_how_to_send_it() -> None:
    assert (
        "It has listened for the signal 'ok' for 1m40s at shop.py:7 in order(); to send it: "
        "`stent signal order-1 ok JSON`."
    ) == told(SignalAwaited(0, START_US, 1, "ok", "0", SITE))


def test_a_message_that_nobody_has_drained() -> None:
    message = InboxRow(1, Message("order-1", "k", SignalReceived(0, 0, "ok", payload(1), "k")))
    assert told(inbox=(message,)).startswith(
        "Its inbox holds a signal 'ok', to be taken by the worker that holds it; worker w1 holds it."
    )


def test_a_request_to_stop_and_a_deadline_are_told() -> None:
    deadline = DeadlineSet(0, 0, NOW_US + 30 * SECOND_US)
    text = told(at(1, call(1)), deadline, at(40, CancelRequested(0, 0, "too late")))
    assert text.startswith("Somebody asked it to stop 1m ago (too late); its cleanup has not ended yet.")
    assert text.endswith("Its deadline comes in 30s.")


def test_a_run_that_nothing_keeps_is_being_run_or_wants_a_worker() -> None:
    assert "Its program is being run right now; worker w1 holds it." == told()
    assert "It is ready to go on. No worker is alive: start one with `stent worker shop`." == told(workers=())


def test_a_run_that_no_worker_has_begun() -> None:
    run = replace(RUN, status="pending", owner=None, queue="gpu")
    text = why(LoadedRun(run, (), (), ()), history(*NOTHING)[:1], around(()))
    assert (
        "Run order-1 of order() is pending. No worker has begun it since it was started 1m40s ago. No worker is alive: "
        "start one with `stent worker shop --queue gpu`."
    ) == text


@pytest.mark.parametrize(
    ("status", "ended", "what"),
    [
        ("completed", RunCompleted(0, 0, payload(3)), "it returned 3"),
        ("cancelled", RunCancelled(0, 0, "too late"), "it was cancelled: too late"),
    ],
)
def test_a_run_that_has_ended_waits_for_nothing(status: Any, ended: Event, what: str) -> None:
    run = replace(RUN, status=status, finished_at_us=NOW_US)
    text = why(LoadedRun(run, (), (), ()), history(ended), around(()))
    assert f"Run order-1 of order() is {status} 2025-06-15 15:08:20 UTC: {what}. It waits for nothing." == text


def test_a_stalled_run_prints_the_report_that_was_kept_of_it() -> None:
    run = replace(RUN, status="stalled", owner=None, stall="history  pay()\ncode     ship()")
    text = why(LoadedRun(run, (), (), ()), history(call(1)), around(()))
    assert text.startswith("Run order-1 of order() is stalled: ")
    assert text.endswith("stent cancel order-1\n\nhistory  pay()\ncode     ship()")


def test_messages_answer_the_oldest_wait_of_their_name() -> None:
    events = history(
        SignalAwaited(0, 0, 1, "a"),
        SignalAwaited(0, 0, 2, "b"),
        SignalAwaited(0, 0, 3, "a"),
        SignalReceived(0, 0, "a", payload(1)),
        SignalReceived(0, 0, "c", payload(1)),
        SignalAwaited(0, 0, 4, "c"),
    )
    assert [2, 3] == [wait.call for wait in signals_waited_for(events)]


@pytest.mark.slow
@given(modelled_histories())
def test_every_history_has_an_explanation(model: Model) -> None:
    status: Any = model.status
    assert why(LoadedRun(replace(RUN, status=status), (), (), ()), model.events, around((ALIVE,)))

"""What a timeline shows of each event, and what stands together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from stent.history.events import (
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallCancelRequested,
    CallCompleted,
    CallFailed,
    CallPromoted,
    CancelRequested,
    Event,
    PatchRecorded,
    RoleCorrected,
    RunCompleted,
    RunFailed,
    SignalAwaited,
    SignalReceived,
    TimerCancelled,
    TimerFired,
    TimerStarted,
)
from stent.inspect.entries import Entry, entries_of
from stent.testing.strategies.histories import Model, modelled_histories
from tests.inspect.literals import SECOND_US, SITE, START_US, at, call, error, history, payload, start

DONE = payload(None)
TIMER = TimerStarted(0, 0, 1, START_US + 60 * SECOND_US)
BATCH = BatchScheduled(0, 0, 1, "shop:pay", 1000, payload([]), "activity", "0", SITE)


def told(entries: Sequence[Entry], depth: int = 0) -> list[str]:
    """Entries as lines: state, label and detail, indented."""
    lines = []
    for entry in entries:
        detail = f" | {entry.detail}" if entry.detail else ""
        lines.append(f"{'  ' * depth}{entry.state} {entry.label}{detail}")
        lines += told(entry.children, depth + 1)
    return lines


def shown(*events: Event, now: float = 30.0) -> list[str]:
    return told(entries_of(history(*events), START_US + round(now * SECOND_US)))


def items(*ranges: tuple[int, int], failed: tuple[int, ...] = ()) -> BatchItemsCompleted:
    return BatchItemsCompleted(0, 0, 1, ranges, payload([]), failed)


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        ([call(1, "pay", 42)], ["running pay(42)"]),
        ([call(1), at(1, CallCompleted(0, 0, 1, DONE))], ["done pay()"]),
        ([call(1), at(1, CallFailed(0, 0, 1, error("no")))], ["failed pay() | ValueError('no')"]),
        ([call(1), at(1, CallCancelRequested(0, 0, 1))], ["cancelled pay()"]),
        (
            [call(1), at(1, CallAttemptFailed(0, 0, 1, 1, START_US + 40 * SECOND_US, error("no")))],
            ["running pay() | attempt 2, next in 10s"],
        ),
        ([at(1, TIMER)], ["waiting sleep 59s | 30s left"]),
        ([at(1, TIMER), at(60, TimerFired(0, 0, 1))], ["done sleep 59s"]),
        ([at(1, TIMER), at(2, TimerCancelled(0, 0, 1))], ["cancelled sleep 59s"]),
        ([BATCH], ["running map(pay, 1,000 items) | 0 of 1,000"]),
        ([BATCH, items((0, 400), (500, 600))], ["running map(pay, 1,000 items) | 500 of 1,000"]),
        ([BATCH, items((0, 1000))], ["done map(pay, 1,000 items) | 1,000 items"]),
        (
            [BATCH, items((0, 1000), failed=(3, 4))],
            ["failed map(pay, 1,000 items) | 1,000 items, 2 failed"],
        ),
        ([SignalAwaited(0, 0, 1, "ok")], ["waiting wait_for_signal('ok')"]),
        (
            [SignalAwaited(0, 0, 1, "ok"), SignalReceived(0, 0, "ok", payload("bob"))],
            ["done wait_for_signal('ok') | 'bob'"],
        ),
        ([SignalReceived(0, 0, "ok", payload("bob"))], ["waiting signal 'ok' kept | 'bob'"]),
        (
            [SignalReceived(0, 0, "ok", payload("bob")), SignalAwaited(0, 0, 1, "ok")],
            ["done wait_for_signal('ok') | 'bob'"],
        ),
        ([PatchRecorded(0, 0, "new")], ["done patched('new')"]),
        ([CancelRequested(0, 0, "too late")], ["done cancel requested | too late"]),
    ],
)
def test_each_kind_of_event_has_its_line(events: list[Event], lines: list[str]) -> None:
    assert lines == shown(*events)


def test_an_entry_lasts_from_its_call_to_its_answer_and_keeps_its_failed_attempts() -> None:
    (entry,) = entries_of(
        history(
            at(1, call(7)),
            at(2, CallAttemptFailed(0, 0, 7, 1, START_US, error("no"))),
            at(3, CallCompleted(0, 0, 7, DONE)),
        ),
        START_US,
    )
    assert (START_US + SECOND_US, START_US + 3 * SECOND_US) == (entry.started_us, entry.stopped_us)
    assert (START_US + 2 * SECOND_US,) == entry.attempts_us
    assert 7 == entry.call


def test_a_message_goes_to_the_oldest_wait_of_its_name() -> None:
    assert ["done wait_for_signal('a') | 1", "waiting wait_for_signal('b')", "waiting wait_for_signal('a')"] == [
        line.strip()
        for line in shown(
            SignalAwaited(0, 0, 1, "a"),
            SignalAwaited(0, 0, 2, "b"),
            SignalAwaited(0, 0, 3, "a"),
            SignalReceived(0, 0, "a", payload(1)),
        )[1:]
    ]


def test_calls_that_are_started_together_stand_together() -> None:
    assert [
        "running 2 × pay, 1 × ship | 1 of 3",
        "  done pay(1)",
        "  running pay(2)",
        "  running ship()",
        "running pay(3)",
    ] == shown(call(1, "pay", 1), call(2, "pay", 2), call(3, "ship"), CallCompleted(0, 0, 1, DONE), call(4, "pay", 3))


def test_a_group_lasts_from_its_first_start_to_its_last_answer() -> None:
    (group,) = entries_of(
        history(
            at(1, call(1)), at(1, call(2)), at(2, CallCompleted(0, 0, 1, DONE)), at(5, CallFailed(0, 0, 2, error("x")))
        ),
        START_US,
    )
    assert ("failed", START_US + SECOND_US, START_US + 5 * SECOND_US) == (
        group.state,
        group.started_us,
        group.stopped_us,
    )


def test_tasks_of_the_program_are_branches_with_their_calls() -> None:
    assert [
        "running 1 × task 0.1, 1 × pay | 0 of 2",
        "  running task 0.1 | 1 of 2",
        "    done pay('a')",
        "    running ship('a')",
        "  running pay('b')",
    ] == shown(
        call(1, "pay", "a", path="0.1"),
        call(2, "pay", "b", path="0.2"),
        CallCompleted(0, 0, 1, DONE),
        call(3, "ship", "a", path="0.1"),
    )


def test_a_task_of_a_task_hangs_below_it_though_that_made_no_call_itself() -> None:
    assert ["running task 0.1 | 0 of 2", "  running pay()", "  running ship()"] == shown(
        call(1, path="0.1.1"), CancelRequested(0, 0), call(2, "ship", path="0.1.2")
    )[:3]


def test_an_activity_of_its_own_is_one_call_that_ends_with_its_run() -> None:
    assert ["running order(42)"] == shown(start("activity"))
    assert ["done order(42)"] == shown(start("activity"), RunCompleted(0, 0, DONE))
    assert ["failed order(42)"] == shown(start("activity"), RunFailed(0, 0, error("no")))


def test_a_corrected_role_is_a_note_and_the_body_no_call_any_longer() -> None:
    assert ["done turned out to be an orchestrator", "running pay()"] == shown(
        start("activity"), RoleCorrected(0, 0, "orchestrator"), call(1)
    )


def test_what_was_waited_for_at_the_end_is_waited_for_no_longer() -> None:
    assert ["cancelled wait_for_signal('ok')"] == shown(SignalAwaited(0, 0, 1, "ok"), RunCompleted(0, 0, DONE))


def test_a_call_that_became_a_run_says_which() -> None:
    (entry,) = entries_of(history(call(1), CallPromoted(0, 0, 1, "order-1.1")), START_US)
    assert "order-1.1" == entry.child_run


@pytest.mark.slow
@given(modelled_histories())
def test_every_call_of_every_history_has_just_one_entry(model: Model) -> None:
    def calls(entries: Sequence[Entry]) -> list[int]:
        own = [entry.call for entry in entries if entry.call is not None]
        return own + [call for entry in entries for call in calls(entry.children)]

    events: list[Any] = model.events
    made = [event.call for event in events if hasattr(event, "path")]
    assert sorted(made) == sorted(calls(entries_of(model.events, model.now_us)))

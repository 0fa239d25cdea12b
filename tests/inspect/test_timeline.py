"""The timeline of a run: its head, its end, and the runs behind its calls."""

from __future__ import annotations

import pytest

from stent.history.events import (
    CallCompleted,
    Event,
    RoleCorrected,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    RunStarted,
    RunTimedOut,
    TimerStarted,
)
from stent.inspect.timeline import outcome_text, timeline_of, worked_spans
from tests.inspect.literals import SECOND_US, START_US, at, call, error, history, payload

DONE = payload(None)


def test_a_run_that_goes_on_is_drawn_up_to_now() -> None:
    timeline = timeline_of(history(at(1, call(1))), START_US + 5 * SECOND_US)
    assert ("running", None, START_US + 5 * SECOND_US) == (timeline.state, timeline.stopped_us, timeline.until_us)
    assert ("shop:order", "42", "orchestrator", 2) == (
        timeline.function,
        timeline.arguments,
        timeline.role,
        timeline.event_count,
    )


def test_a_run_that_has_ended_is_drawn_up_to_its_last_event() -> None:
    events = history(call(1), at(2, RunCompleted(0, 0, payload("ok"))), at(3, CallCompleted(0, 0, 1, DONE)))
    timeline = timeline_of(events, START_US + 60 * SECOND_US)
    assert ("completed", "returned 'ok'") == (timeline.state, timeline.outcome)
    assert (START_US + 2 * SECOND_US, START_US + 3 * SECOND_US) == (timeline.stopped_us, timeline.until_us)


def test_what_the_row_knows_better_wins() -> None:
    assert "stalled" == timeline_of(history(call(1)), START_US, state="stalled").state


def test_a_corrected_role_is_the_role() -> None:
    assert "activity" == timeline_of(history(RoleCorrected(0, 0, "activity")), START_US).role


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (RunCompleted(0, 0, payload([1])), "returned [1]"),
        (RunFailed(0, 0, error("no")), "raised ValueError('no')"),
        (RunCancelled(0, 0), "cancelled"),
        (RunCancelled(0, 0, "too late"), "cancelled: too late"),
        (RunTimedOut(0, 0, 1), "passed its deadline"),
        (RunContinuedAsNew(0, 0, "order-2", payload([43])), "continued as order-2 with 43"),
        (None, ""),
    ],
)
def test_each_end_is_told_in_one_line(ended: Event | None, text: str) -> None:
    assert text == outcome_text(ended)


def child_history() -> list[Event]:
    started = RunStarted(1, START_US + SECOND_US, "order-1.1", "shop:pay", payload([]), "orchestrator")
    return history(started, at(2, call(1, "book")), at(3, CallCompleted(0, 0, 1, DONE)))


def test_runs_behind_calls_are_drawn_inside_them() -> None:
    events = history(at(1, call(1, child="order-1.1")))
    (entry,) = timeline_of(events, START_US + 9 * SECOND_US, children={"order-1.1": child_history()}).entries
    assert ["book()"] == [child.label for child in entry.children]


def test_only_what_is_carried_out_counts_as_worked_and_a_child_run_by_what_is_in_it() -> None:
    events = history(TimerStarted(0, 0, 2, START_US + 60 * SECOND_US), at(1, call(1, child="order-1.1")))
    now_us = START_US + 9 * SECOND_US
    bare, filled = (timeline_of(events, now_us, children=each) for each in ({}, {"order-1.1": child_history()}))
    assert [(START_US + SECOND_US, now_us)] == worked_spans(bare.entries, now_us)
    assert [(START_US + 2 * SECOND_US, START_US + 3 * SECOND_US)] == worked_spans(filled.entries, now_us)

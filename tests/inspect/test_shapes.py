"""Histories of one shape differ in values, times and ids, and in nothing that a replay compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from stent.codec import Payload
from stent.history import wire
from stent.history.events import (
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallCompleted,
    CallFailed,
    CallOptions,
    CallPromoted,
    CallScheduled,
    CancelRequested,
    DeadlineSet,
    Event,
    PatchRecorded,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunStarted,
    RunTimedOut,
    SignalAwaited,
    SignalReceived,
    Site,
    TimerFired,
    TimerStarted,
)
from stent.history.records import Outline
from stent.inspect.shapes import shape_of
from stent.testing.strategies.histories import Model, modelled_histories

ONE, TWO = Payload(1, b"1"), Payload(1, b"2")
STARTED = RunStarted(1, 5, "run", "f", ONE, "orchestrator")
CALLED = CallScheduled(2, 5, 1, "g", ONE, "activity", site=Site("shop.py", 7, "f"))


def shape(*events: Event) -> bytes:
    return shape_of(outlines(events))


def outlines(events: Sequence[Event]) -> list[Outline]:
    rows = [wire.encode(event, "run", 0, b"") for event in events]
    return [(row.run_id, row.code, row.version, row.call, row.body) for row in rows]


def other(event: Event, **changed: Any) -> tuple[Event, Event]:
    return event, replace(event, **changed)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        other(STARTED, run_id="other", arguments=TWO, at_us=9, parent_run="p", parent_call=3, parent_item=1),
        other(STARTED, deadline_us=9, max_duration_us=7),
        other(CALLED, arguments=TWO),
        other(replace(CALLED, child_run="run.1"), child_run="other.1"),
        other(CallCompleted(3, 6, 1, ONE), result=TWO),
        other(CallFailed(3, 6, 1, ONE), error=TWO),
        other(TimerStarted(2, 5, 1, 100), due_us=200),
        other(SignalReceived(3, 6, "news", ONE, "key", "put"), value=TWO, key=None, put=None),
        other(CancelRequested(3, 6, "enough"), reason="other", put="put"),
        other(RunCancelled(3, 6, "enough"), reason=""),
        other(RunTimedOut(3, 6, 5), deadline_us=6),
        other(RunContinuedAsNew(3, 6, "next", ONE), next_run="other", arguments=TWO),
        other(RunCompleted(3, 6, ONE), result=TWO),
    ],
)
def test_what_differs_within_a_shape(left: Event, right: Event) -> None:
    assert left != right
    assert shape(left) == shape(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        other(STARTED, function="g"),
        other(STARTED, version="2"),
        other(STARTED, role="activity"),
        other(STARTED, flags=("new",)),
        other(CALLED, call=2),
        other(CALLED, function="h"),
        other(CALLED, role="orchestrator"),
        other(CALLED, path="0.1"),
        other(CALLED, site=Site("shop.py", 8, "f")),
        other(CALLED, options=CallOptions(timeout_us=7)),
        other(replace(CALLED, child_run="run.1"), function="h"),
        other(BatchScheduled(2, 5, 1, "g", 3, ONE, "activity"), count=4),
        other(BatchItemsCompleted(3, 6, 1, ((0, 2),), ONE), items=((1, 2), (0, 1))),
        other(BatchItemsCompleted(3, 6, 1, ((0, 2),), ONE), failed=(1,)),
        other(TimerStarted(2, 5, 1, 100), call=2),
        other(SignalAwaited(2, 5, 1, "news"), name="other"),
        other(SignalReceived(3, 6, "news", ONE), name="other"),
        other(PatchRecorded(2, 5, "change"), change="other"),
        (CallCompleted(3, 6, 1, ONE), CallFailed(3, 6, 1, ONE)),
        (TimerFired(3, 6, 1), TimerFired(3, 6, 2)),
    ],
)
def test_what_makes_another_shape(left: Event, right: Event) -> None:
    assert shape(left) != shape(right)


def test_the_order_of_answers_is_of_the_shape() -> None:
    """It decides every race."""
    one, two = CallCompleted(3, 6, 1, ONE), CallCompleted(4, 6, 2, ONE)
    assert shape(one, two) != shape(two, one)


@pytest.mark.parametrize(
    "event", [CallAttemptFailed(3, 6, 1, 1, 50, ONE), CallPromoted(3, 6, 1, "run.1"), DeadlineSet(3, 6, 9)]
)
def test_what_a_replay_passes_over_is_not(event: Event) -> None:
    assert shape(STARTED, CALLED) == shape(STARTED, event, CALLED)


@pytest.mark.parametrize("body", ['{"due_us":', '["due_us":1]', '{"due_us":' + "[" * 100_000, '["\\"due_us\\":"]'])
def test_a_damaged_body_has_a_shape_of_its_own(body: str) -> None:
    """It is replayed then, which says what is wrong with it."""
    row: Outline = ("run", 40, 1, 1, body)
    assert shape_of([row]) != shape(TimerStarted(2, 5, 1, 100))


@given(modelled_histories())
def test_each_event_that_a_replay_looks_at_counts(model: Model) -> None:
    passed_over = (CallAttemptFailed, CallPromoted, DeadlineSet)
    whole = outlines(model.events)
    for place, event in enumerate(model.events):
        rest = whole[:place] + whole[place + 1 :]
        assert isinstance(event, passed_over) == (shape_of(rest) == shape_of(whole)) or event_repeats(whole, place)


def event_repeats(whole: Sequence[Outline], place: int) -> bool:
    """Whether leaving one out is the same as leaving its neighbour out."""
    return any(whole[place] == whole[near] for near in (place - 1, place + 1) if 0 <= near < len(whole))

"""Runs, events and timelines as data and as lines of text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from stent.codec import Payload
from stent.history.events import (
    BatchItemsCompleted,
    CallFailed,
    CallOptions,
    CallScheduled,
    Event,
    RunContinuedAsNew,
    SignalReceived,
    TimerStarted,
)
from stent.history.records import RunRow
from stent.inspect.plain import event_facts, event_text, moment, payload_facts, run_facts, timeline_facts
from stent.inspect.timeline import timeline_of
from tests.history.event_samples import any_event
from tests.inspect.literals import SITE, START_US, call, error, history, payload

SCHEDULED = CallScheduled(
    2, START_US, 1, "shop:pay", payload([42]), "activity", "0", SITE, CallOptions(timeout_us=5, tags=("gpu",))
)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (SCHEDULED, "pay(42)  timeout_us=5, tags=['gpu']  shop.py:7 in order()"),
        (TimerStarted(1, START_US, 3, START_US), "due 2025-06-15T15:06:40.000000Z"),
        (CallFailed(1, START_US, 3, error("no"), 2), "ValueError('no')  attempt=2"),
        (SignalReceived(1, START_US, "ok", payload("bob"), "k"), "name=ok  'bob'  key=k"),
        (BatchItemsCompleted(1, START_US, 3, ((0, 2),), payload([1, 2]), (1,)), "items=[[0, 2]]  [1, 2]  failed=[1]"),
        (RunContinuedAsNew(1, START_US, "order-2", payload([7])), "next_run=order-2  (7)"),
    ],
)
def test_an_event_is_told_in_one_line(event: Event, text: str) -> None:
    assert text == event_text(event)


def test_an_event_as_data_has_its_payload_decoded_and_leaves_out_what_is_usual() -> None:
    assert {
        "seq": 2,
        "at": "2025-06-15T15:06:40.000000Z",
        "type": "CallScheduled",
        "call": 1,
        "function": "shop:pay",
        "arguments": [42],
        "role": "activity",
        "site": "shop.py:7 in order()",
        "options": {"timeout_us": 5, "tags": ["gpu"]},
    } == event_facts(SCHEDULED)


@given(any_event)
def test_every_event_is_data_for_json_and_a_text(event: Event) -> None:
    """Whatever it holds, times that no calendar has included."""
    json.dumps(event_facts(event))
    assert isinstance(event_text(event), str)


def test_a_payload_that_cannot_be_read_says_so() -> None:
    assert str(payload_facts(Payload(9, b"?"))).startswith("<unreadable payload")


def test_a_run_as_data() -> None:
    row = RunRow(
        *("order-1", "shop:order", "orchestrator", "running", "gpu", 3, ("a",), None, None, None, None, 1, "w1"),
        *(START_US, START_US, None, None, 0),
    )
    assert {
        "run_id": "order-1",
        "function": "shop:order",
        "state": "running",
        "role": "orchestrator",
        "queue": "gpu",
        "priority": 3,
        "tags": ["a"],
        "parent": None,
        "created_at": "2025-06-15T15:06:40.000000Z",
        "started_at": "2025-06-15T15:06:40.000000Z",
        "finished_at": None,
        "worker": "w1",
        "stall_reason": None,
    } == run_facts(row)


def test_a_timeline_as_data_is_the_tree_that_is_drawn() -> None:
    facts = timeline_facts(timeline_of(history(call(1), call(2, "ship")), START_US))
    json.dumps(facts)
    (group,) = facts["entries"]
    assert ["pay()", "ship()"] == [entry["label"] for entry in group["entries"]]
    assert ("order-1", "running", None, 3) == (facts["run_id"], facts["state"], facts["outcome"], facts["events"])


def test_a_moment_is_iso_8601_in_utc() -> None:
    assert [None, "1970-01-01T00:00:00.000001Z"] == [moment(None), moment(1)]

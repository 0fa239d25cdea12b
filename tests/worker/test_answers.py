"""What the end of a run tells those who wait for it."""

from __future__ import annotations

from stent.codec import decode_exception, encode_exception, split
from stent.errors import RunCancelledError, RunTimedOutError
from stent.history.events import (
    BatchItemsCompleted,
    CallCompleted,
    CallFailed,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunTimedOut,
)
from stent.history.records import Message
from stent.worker.answers import answer_to_parent, end_of_activity, outcome_error
from tests.worker.desk import Desk, function_of, payload

DESK = Desk()
TYPES = DESK.registry.types


async def body() -> None: ...


FUNCTION = function_of(DESK.durable(body))


def test_a_result_completes_the_call() -> None:
    expected = Message("up", "answer-4", CallCompleted(0, 0, 4, payload(7)))
    assert expected == answer_to_parent(("up", 4, None), "run", RunCompleted(9, 1, payload(7)), FUNCTION)


def test_an_error_fails_the_call_as_it_was() -> None:
    error = encode_exception(ValueError("no"), TYPES)
    expected = Message("up", "answer-4", CallFailed(0, 0, 4, error))
    assert expected == answer_to_parent(("up", 4, None), "run", RunFailed(9, 1, error), FUNCTION)


def test_the_end_of_an_item_settles_that_item() -> None:
    message = answer_to_parent(("up", 4, 9), "run", RunCompleted(9, 1, payload(7)), FUNCTION)
    assert "answer-4-9" == message.key
    assert isinstance(message.event, BatchItemsCompleted)
    assert (((9, 10),), ()) == (message.event.items, message.event.failed)
    assert [payload(7)] == list(split(message.event.results))
    failed = answer_to_parent(("up", 4, 9), "run", RunFailed(9, 1, encode_exception(ValueError(), TYPES)), FUNCTION)
    assert isinstance(failed.event, BatchItemsCompleted)
    assert (9,) == failed.event.failed


def test_a_cancelled_or_late_run_fails_its_call_with_an_error_that_says_so() -> None:
    message = answer_to_parent(("up", 4, None), "run", RunCancelled(9, 1, "enough"), FUNCTION)
    assert isinstance(message.event, CallFailed)
    error = decode_exception(message.event.error, TYPES)
    assert isinstance(error, RunCancelledError)
    assert "body() was cancelled: enough" == error.message
    late = outcome_error(RunTimedOut(9, 1, 5), "run", "body")
    assert isinstance(late, RunTimedOutError)
    assert "run" == late.facts["run_id"]


def test_an_activity_that_is_a_run_ends_with_its_one_call() -> None:
    assert RunCompleted(0, 0, payload(7)) == end_of_activity(CallCompleted(0, 0, 0, payload(7)))
    assert RunFailed(0, 0, payload("x")) == end_of_activity(CallFailed(0, 0, 0, payload("x")))

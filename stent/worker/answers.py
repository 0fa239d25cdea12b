"""What the end of a run means to those who wait for it: its parent's event, a caller's error. Pure builders."""

from __future__ import annotations

from stent.codec import Payload, encode_exception, join
from stent.errors import RunCancelledError, RunTimedOutError
from stent.history.events import (
    BatchItemsCompleted,
    CallCompleted,
    CallFailed,
    Event,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunTimedOut,
)
from stent.history.records import Message
from stent.registry import Function
from stent.worker.starting import Parent


def answer_to_parent(parent: Parent, run_id: str, event: Event, function: Function) -> Message:
    """The message that settles the call, or the item, which started a run."""
    parent_run, call, item = parent
    has_failed = not isinstance(event, RunCompleted)
    payload = event.result if isinstance(event, RunCompleted) else _error_of(event, run_id, function)
    answer: Event
    if item is not None:
        failed = (item,) if has_failed else ()
        answer = BatchItemsCompleted(0, 0, call, ((item, item + 1),), join([payload]), failed)
        return Message(parent_run, f"answer-{call}-{item}", answer)
    answer = CallFailed(0, 0, call, payload) if has_failed else CallCompleted(0, 0, call, payload)
    return Message(parent_run, f"answer-{call}", answer)


def outcome_error(event: Event, run_id: str, name: str) -> Exception:
    """The error that stands for a run that was cancelled or timed out."""
    if isinstance(event, RunTimedOut):
        return RunTimedOutError(f"{name}() did not finish before its deadline", run_id=run_id)
    assert isinstance(event, RunCancelled), "every other end has a payload"
    because = f": {event.reason}" if event.reason else ""
    return RunCancelledError(f"{name}() was cancelled{because}", run_id=run_id)


def end_of_activity(event: CallCompleted | CallFailed) -> Event:
    """A run that is an activity has one call, number 0: its outcome is the run's."""
    return RunCompleted(0, 0, event.result) if isinstance(event, CallCompleted) else RunFailed(0, 0, event.error)


def _error_of(event: Event, run_id: str, function: Function) -> Payload:
    """What the caller of a run that did not complete gets."""
    if isinstance(event, RunFailed):
        return event.error
    return encode_exception(outcome_error(event, run_id, function.display_name), function.types)

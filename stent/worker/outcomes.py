"""What becomes of an attempt that has ended: pure functions from outcome to event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from stent.codec import Payload, encode_exception, join
from stent.history.events import (
    BatchItemsCompleted,
    CallAttemptFailed,
    CallCompleted,
    CallFailed,
    CallPromoted,
    Event,
    RoleCorrected,
    RunTimedOut as TimedOut,
    TimerFired,
    ranges_of,
)
from stent.history.fold import RunState
from stent.ids import child_run_id
from stent.retry import RetryPolicy, decide
from stent.worker.items import ItemOutcome
from stent.worker.slots import SINGLE, Attempt


@dataclass(frozen=True, slots=True)
class Returned:
    """The body returned; its value is encoded."""

    result: Payload


@dataclass(frozen=True, slots=True)
class Raised:
    """The body raised."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Promoted:
    """The body made a durable call: it is an orchestrator."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The body was stopped by us; what it did counts for nothing."""


Outcome: TypeAlias = Returned | Raised | Promoted | Stopped


def event_for(attempt: Attempt, outcome: Outcome, now_us: int, unit: Callable[[], float]) -> Event | ItemOutcome:
    """What an outcome means: an event without a place yet, or the end of one item, which is written with others.

    `unit` gives a random number in [0, 1), for the jitter of a retry. A stopped body means nothing and is not asked
    for.
    """
    if type(outcome) is Returned:  # nearly all of them
        if attempt.item != SINGLE:
            return ItemOutcome(attempt.item, outcome.result, False)
        return CallCompleted(0, 0, attempt.call, outcome.result)
    match outcome:
        case Raised(error):
            return _failure_event(attempt, error, now_us, unit)
        case Promoted():
            if attempt.call == 0:
                return RoleCorrected(0, 0, "orchestrator")
            item = attempt.item if attempt.item != SINGLE else None
            return CallPromoted(0, 0, attempt.call, child_run_id(attempt.run_id, attempt.call, item), item)
        case _:
            raise AssertionError("a stopped body leaves nothing to record")


def items_event(call: int, outcomes: Sequence[ItemOutcome]) -> BatchItemsCompleted:
    """One event for the outcomes of many items, in the order of their completion."""
    return BatchItemsCompleted(
        0,
        0,
        call,
        ranges_of([outcome.item for outcome in outcomes]),
        join([outcome.payload for outcome in outcomes]),
        tuple(outcome.item for outcome in outcomes if outcome.has_failed),
    )


def _failure_event(
    attempt: Attempt, error: BaseException, now_us: int, unit: Callable[[], float]
) -> Event | ItemOutcome:
    payload = encode_exception(error, attempt.function.types)
    record = attempt.options.retry
    delay_us = decide(RetryPolicy.from_record(record), attempt.attempt, error, unit()) if record is not None else None
    item = attempt.item if attempt.item != SINGLE else None
    if delay_us is not None:
        return CallAttemptFailed(0, 0, attempt.call, attempt.attempt, now_us + delay_us, payload, item)
    if item is not None:
        return ItemOutcome(item, payload, True)
    return CallFailed(0, 0, attempt.call, payload, attempt.attempt)


def due_events(state: RunState, now_us: int) -> list[Event]:
    """What time alone has brought about: the deadline, or the timers that are due, in the order of their due times."""
    if state.is_ended:
        return []
    if state.deadline_us is not None and state.deadline_us <= now_us:
        return [TimedOut(0, 0, state.deadline_us)]
    due = sorted((due_us, call) for call, due_us in state.timers.items() if due_us <= now_us)
    return [TimerFired(0, 0, call) for _, call in due]

"""What an attempt that ended means: one event, or the end of one item."""

from __future__ import annotations

from typing import Any

import pytest

from stent.codec import decode, decode_exception, encode_exception, split
from stent.history.events import (
    DEFAULT_OPTIONS,
    BatchItemsCompleted,
    CallAttemptFailed,
    CallCompleted,
    CallFailed,
    CallOptions,
    CallPromoted,
    RoleCorrected,
    RunTimedOut,
    TimerFired,
)
from stent.history.fold import RunState
from stent.registry import Function, FunctionOptions, Registry
from stent.retry import RetryPolicy
from stent.worker import outcomes
from stent.worker.items import ItemOutcome
from stent.worker.outcomes import Promoted, Raised, Returned, Stopped
from stent.worker.slots import SINGLE, Attempt
from tests.worker.desk import payload

TYPES = Registry().types
NOW_US = 1_000
RETRY = CallOptions(retry=RetryPolicy(max_attempts=2, initial_delay=3.0, jitter=0.5, retry_for=(OSError,)).to_record())


async def body() -> None: ...


FUNCTION = Function("m:body", body, FunctionOptions(), TYPES)


def attempt(*, call: int = 4, item: int = SINGLE, number: int = 1, options: CallOptions = DEFAULT_OPTIONS) -> Attempt:
    return Attempt("run", call, item, FUNCTION, number, options)


def meaning(of: Attempt, outcome: outcomes.Outcome, unit: float = 0.5) -> Any:
    return outcomes.event_for(of, outcome, NOW_US, lambda: unit)


def test_a_value_completes_the_call() -> None:
    assert CallCompleted(0, 0, 4, payload(7)) == meaning(attempt(), Returned(payload(7)))


def test_a_value_of_an_item_is_kept_to_be_written_with_others() -> None:
    assert ItemOutcome(2, payload(7), False) == meaning(attempt(item=2), Returned(payload(7)))


def test_an_error_without_a_policy_is_the_answer() -> None:
    error = ValueError("no")
    event = meaning(attempt(number=1), Raised(error))
    assert CallFailed(0, 0, 4, encode_exception(error, TYPES), 1) == event
    assert ItemOutcome(2, encode_exception(error, TYPES), True) == meaning(attempt(item=2), Raised(error))


@pytest.mark.parametrize(("unit", "delay_us"), [(0.0, 1_500_000), (0.5, 3_000_000)])
def test_a_policy_grants_another_attempt_after_a_delay_with_jitter(unit: float, delay_us: int) -> None:
    error = OSError("gone")
    expected = CallAttemptFailed(0, 0, 4, 1, NOW_US + delay_us, encode_exception(error, TYPES), None)
    assert expected == meaning(attempt(options=RETRY), Raised(error), unit)


def test_a_retry_without_delay_is_a_retry() -> None:
    at_once = CallOptions(retry=RetryPolicy(initial_delay=0).to_record())
    event = meaning(attempt(options=at_once), Raised(OSError("gone")))
    assert isinstance(event, CallAttemptFailed)
    assert NOW_US == event.retry_at_us


def test_an_item_is_retried_alone() -> None:
    event = meaning(attempt(item=0, options=RETRY), Raised(OSError("gone")))
    assert isinstance(event, CallAttemptFailed)
    assert 0 == event.item


def test_the_last_attempt_and_a_class_that_is_not_retried_are_final() -> None:
    assert isinstance(meaning(attempt(number=2, options=RETRY), Raised(OSError())), CallFailed)
    assert isinstance(meaning(attempt(options=RETRY), Raised(ValueError())), CallFailed)


def test_a_promoted_call_gets_a_run_of_its_own_and_a_promoted_run_corrects_its_role() -> None:
    assert CallPromoted(0, 0, 4, "run.4", None) == meaning(attempt(), Promoted())
    assert CallPromoted(0, 0, 4, "run.4.0", 0) == meaning(attempt(item=0), Promoted())
    assert RoleCorrected(0, 0, "orchestrator") == meaning(attempt(call=0), Promoted())


def test_a_stopped_body_leaves_nothing() -> None:
    with pytest.raises(AssertionError):
        meaning(attempt(), Stopped())


def test_outcomes_of_items_are_packed_in_the_order_of_their_completion() -> None:
    error = encode_exception(ValueError("no"), TYPES)
    packed = outcomes.items_event(
        4,
        [ItemOutcome(2, payload("c"), False), ItemOutcome(3, error, True), ItemOutcome(0, payload("a"), False)],
    )
    assert isinstance(packed, BatchItemsCompleted)
    assert (((2, 4), (0, 1)), (3,)) == (packed.items, packed.failed)
    first, second, third = split(packed.results)
    assert ("c", "a") == (decode(first, TYPES), decode(third, TYPES))
    assert "no" == str(decode_exception(second, TYPES))


def waiting(*, deadline_us: int | None = None, **timers: int) -> RunState:
    state = RunState()
    state.phase = "open"
    state.deadline_us = deadline_us
    state.timers = {int(name.removeprefix("call")): due_us for name, due_us in timers.items()}
    return state


def test_timers_that_are_due_fire_in_the_order_of_their_times_then_of_their_calls() -> None:
    state = waiting(call1=900, call2=1_001, call3=100, call5=900, call4=1_000)
    fired = [TimerFired(0, 0, call) for call in (3, 1, 5, 4)]
    assert fired == outcomes.due_events(state, NOW_US)


def test_a_deadline_comes_before_every_timer() -> None:
    assert [RunTimedOut(0, 0, 1_000)] == outcomes.due_events(waiting(deadline_us=1_000, call1=5), NOW_US)
    assert [TimerFired(0, 0, 1)] == outcomes.due_events(waiting(deadline_us=1_001, call1=5), NOW_US)


def test_time_brings_nothing_to_a_run_that_has_ended() -> None:
    state = waiting(deadline_us=1)
    state.phase = "ended"
    assert [] == outcomes.due_events(state, NOW_US)

"""The fold: each move that is allowed, each that is not, and what is true after any history that can happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from stent.errors import CorruptHistoryError
from stent.history.events import (
    EVENT_CODES,
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallCancelRequested,
    CallCompleted,
    CallFailed,
    CallOptions,
    CallPromoted,
    CallScheduled,
    CancelRequested,
    DeadlineSet,
    Event,
    PatchRecorded,
    RoleCorrected,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    RunStarted,
    RunTimedOut,
    SignalAwaited,
    SignalReceived,
    TimerCancelled,
    TimerFired,
    TimerStarted,
)
from stent.history.fold import RUN_MOVES, TERMINAL_STATUS, IllegalMove, RunState, fold
from stent.testing.strategies.histories import NOTHING, Model, modelled_histories

KINDS = sorted(EVENT_CODES, key=lambda kind: EVENT_CODES[kind])


def name_of(kind: type[Event]) -> str:
    return kind.__name__


PHASES = ("none", "open", "cancelled", "ended")
STARTED = RunStarted(1, 10, "run", "f", NOTHING, "orchestrator")
OPEN: tuple[Event, ...] = (
    STARTED,
    CallScheduled(0, 0, 1, "g", NOTHING, "activity"),
    BatchScheduled(0, 0, 2, "g", 3, NOTHING, "activity"),
    TimerStarted(0, 0, 3, 40),
)
PREFIXES: dict[str, tuple[Event, ...]] = {
    "none": (),
    "open": OPEN,
    "cancelled": (*OPEN, CancelRequested(0, 0, "enough")),
    "ended": (*OPEN, RunFailed(0, 0, NOTHING)),
}
NEXT: dict[type[Event], Event] = {
    RunStarted: STARTED,
    RoleCorrected: RoleCorrected(0, 0, "activity"),
    CancelRequested: CancelRequested(0, 0),
    DeadlineSet: DeadlineSet(0, 0, 99),
    RunCompleted: RunCompleted(0, 0, NOTHING),
    RunFailed: RunFailed(0, 0, NOTHING),
    RunCancelled: RunCancelled(0, 0),
    RunTimedOut: RunTimedOut(0, 0, 99),
    RunContinuedAsNew: RunContinuedAsNew(0, 0, "next", NOTHING),
    CallScheduled: CallScheduled(0, 0, 4, "g", NOTHING, "activity"),
    CallPromoted: CallPromoted(0, 0, 1, "run.1"),
    CallAttemptFailed: CallAttemptFailed(0, 0, 1, 1, 99, NOTHING),
    CallCompleted: CallCompleted(0, 0, 1, NOTHING),
    CallFailed: CallFailed(0, 0, 1, NOTHING),
    CallCancelRequested: CallCancelRequested(0, 0, 1),
    BatchScheduled: BatchScheduled(0, 0, 4, "g", 1, NOTHING, "activity"),
    BatchItemsCompleted: BatchItemsCompleted(0, 0, 2, ((0, 2),), NOTHING),
    TimerStarted: TimerStarted(0, 0, 4, 99),
    TimerFired: TimerFired(0, 40, 3),
    TimerCancelled: TimerCancelled(0, 0, 3),
    SignalAwaited: SignalAwaited(0, 0, 4, "news"),
    SignalReceived: SignalReceived(0, 0, "news", NOTHING),
    PatchRecorded: PatchRecorded(0, 0, "change"),
}
ENDS = {"RunCompleted", "RunFailed", "RunCancelled", "RunTimedOut", "RunContinuedAsNew"}
LATE = {"CallPromoted", "CallAttemptFailed", "CallCompleted", "CallFailed", "BatchItemsCompleted"}
ALL = {kind.__name__ for kind in KINDS}
ALLOWED: dict[str, set[str]] = {
    "none": {"RunStarted"},
    "open": ALL - {"RunStarted"},
    "cancelled": ALL - {"RunStarted", "RunCompleted"},
    "ended": LATE,
}


def placed(*events: Event) -> list[Event]:
    return [replace(event, seq=seq, at_us=max(event.at_us, 10 * seq)) for seq, event in enumerate(events, 1)]


def state_after(*events: Event) -> RunState:
    return fold(placed(*events))


def seen(state: RunState) -> dict[str, Any]:
    """All of a state, for comparing."""
    return {name: repr(getattr(state, name)) for name in RunState.__slots__}


# -- the table of moves ----------------------------------------------------------------------------------------------


def test_every_type_is_tried() -> None:
    assert set(KINDS) == set(NEXT)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("phase", PHASES)
def test_what_may_follow_and_what_may_not(phase: str, kind: type[Event]) -> None:
    history = placed(*PREFIXES[phase], NEXT[kind])
    state = fold(history[:-1])
    assert phase == state.phase
    if kind.__name__ in ALLOWED[phase]:
        state.apply(history[-1])
        assert RUN_MOVES[phase, kind] == state.phase
        assert (len(history), history[-1].at_us) == (state.head_seq, state.last_at_us)
    else:
        before = seen(state)
        with pytest.raises(IllegalMove, match=f"has no {kind.__name__}"):
            state.apply(history[-1])
        assert before == seen(state), "what cannot be leaves no trace"


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_where_a_move_leads(kind: type[Event]) -> None:
    name = kind.__name__
    after_open = "ended" if name in ENDS else "cancelled" if name == "CancelRequested" else "open"
    assert (None if name == "RunStarted" else after_open) == RUN_MOVES.get(("open", kind))
    assert ("ended" if name in LATE else None) == RUN_MOVES.get(("ended", kind))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (RoleCorrected(0, 0, "orchestrator"), "the role is 'orchestrator' already"),
        (CallScheduled(0, 0, 3, "g", NOTHING, "activity"), "call 3 after call 3"),
        (BatchScheduled(0, 0, 2, "g", 1, NOTHING, "activity"), "call 2 after call 3"),
        (TimerStarted(0, 0, 1, 99), "call 1 after call 3"),
        (SignalAwaited(0, 0, 0, "news"), "call 0 after call 3"),
        (BatchScheduled(0, 0, 4, "g", 0, NOTHING, "activity"), "at least one item"),
        (CallCompleted(0, 0, 9, NOTHING), "call 9 is not open"),
        (CallCompleted(0, 0, 2, NOTHING), "call 2 is not open"),
        (CallFailed(0, 0, 3, NOTHING), "call 3 is not open"),
        (CallCancelRequested(0, 0, 9), "call 9 is not open"),
        (CallPromoted(0, 0, 9, "x"), "call 9 is not open"),
        (CallPromoted(0, 0, 1, "x", item=0), "batch 1 is not open"),
        (CallAttemptFailed(0, 0, 1, 2, 99, NOTHING), "attempt 2 of call 1, expected 1"),
        (CallAttemptFailed(0, 0, 9, 1, 99, NOTHING), "call 9 is not open"),
        (CallAttemptFailed(0, 0, 1, 1, 99, NOTHING, item=0), "batch 1 is not open"),
        (BatchItemsCompleted(0, 0, 1, ((0, 1),), NOTHING), "batch 1 is not open"),
        (BatchItemsCompleted(0, 0, 2, ((2, 4),), NOTHING), "item 3 of call 2 is settled twice or unknown"),
        (BatchItemsCompleted(0, 0, 2, ((-1, 1),), NOTHING), "item -1 of call 2 is settled twice or unknown"),
        (BatchItemsCompleted(0, 0, 2, ((0, 1), (0, 1)), NOTHING), "item 0 of call 2 is settled twice or unknown"),
        (TimerFired(0, 0, 1), "timer 1 is not running"),
        (TimerCancelled(0, 0, 9), "timer 9 is not running"),
    ],
)
def test_what_cannot_follow_says_why(event: Event, why: str) -> None:
    state = state_after(*OPEN)
    with pytest.raises(IllegalMove, match=why) as caught:
        state.apply(replace(event, seq=len(OPEN) + 1, at_us=99))
    assert ("run", len(OPEN) + 1) == (caught.value.run_id, caught.value.seq)
    assert isinstance(caught.value, CorruptHistoryError)


@pytest.mark.parametrize("seq", [0, 4, 6])
def test_seqs_have_no_gaps_and_no_doubles(seq: int) -> None:
    state = state_after(*OPEN)
    with pytest.raises(IllegalMove, match=f"seq {seq} after 4"):
        state.apply(PatchRecorded(seq, 99, "change"))


def test_a_timer_is_never_early() -> None:
    state = state_after(*OPEN)
    with pytest.raises(IllegalMove, match="timer 3 fired 1 us early"):
        state.apply(TimerFired(5, 39, 3))


def test_a_timer_on_time() -> None:
    state = state_after(*OPEN)
    state.apply(TimerFired(5, 40, 3))
    assert {} == state.timers


@pytest.mark.parametrize("settled", [CallCompleted(0, 0, 1, NOTHING), CallCancelRequested(0, 0, 1)])
@pytest.mark.parametrize("late", [CallCompleted(0, 0, 1, NOTHING), CallFailed(0, 0, 1, NOTHING)])
def test_a_call_has_one_outcome(settled: Event, late: Event) -> None:
    with pytest.raises(IllegalMove, match="call 1 is not open"):
        state_after(*OPEN, settled, late)


def test_an_item_has_one_outcome() -> None:
    first, again = (BatchItemsCompleted(0, 0, 2, ((1, 2),), NOTHING) for _ in range(2))
    with pytest.raises(IllegalMove, match="item 1 of call 2 is settled twice"):
        state_after(*OPEN, first, again)


def test_a_signal_with_a_key_comes_once() -> None:
    one, other, none = (SignalReceived(0, 0, "news", NOTHING, key) for key in ("k", "l", None))
    assert {"k", "l"} == state_after(*OPEN, one, other, none, none).signal_keys
    with pytest.raises(IllegalMove, match="signal 'k' is delivered twice"):
        state_after(*OPEN, one, other, one)


def test_a_cancel_of_one_put_comes_once() -> None:
    first, second = CancelRequested(0, 0, "enough", "p"), CancelRequested(0, 0, "enough", "q")
    nameless = CancelRequested(0, 0)
    assert ("p", "q") == state_after(*OPEN, first, second, nameless, nameless).cancel_puts
    with pytest.raises(IllegalMove, match="'p' put is delivered twice"):
        state_after(*OPEN, first, first)


# -- what the events say ---------------------------------------------------------------------------------------------


def test_the_first_event_says_what_is_run() -> None:
    options = CallOptions(queue="q")
    started = replace(STARTED, options=options, parent_run="p", parent_call=4, parent_item=5, deadline_us=77)
    state = state_after(started)
    assert ("run", "f", "orchestrator", NOTHING, options) == (
        *(state.run_id, state.function, state.role, state.arguments, state.options),
    )
    assert (("p", 4, 5), 77, 10, "running") == (state.parent, state.deadline_us, state.started_at_us, state.status)


def test_an_activity_is_one_open_call() -> None:
    state = state_after(replace(STARTED, role="activity"))
    assert [(0, 1, "f", "activity")] == [(c.call, c.seq, c.function, c.role) for c in state.calls.values()]
    state.apply(CallAttemptFailed(2, 20, 0, 1, 30, NOTHING))
    assert (2, 30, 30) == (state.calls[0].attempt, state.calls[0].retry_at_us, state.next_due_us())
    state.apply(RunCompleted(3, 40, NOTHING))
    assert ({}, "completed", None) == (state.calls, state.status, state.next_due_us())


def test_a_corrected_role_opens_and_closes_that_call() -> None:
    state = state_after(replace(STARTED, role="activity"), RoleCorrected(0, 0, "orchestrator"))
    assert ({}, "orchestrator", True) == (state.calls, state.role, state.role_was_corrected)
    state = state_after(STARTED, RoleCorrected(0, 0, "activity"))
    assert [(0, 2, "f", NOTHING)] == [(c.call, c.seq, c.function, c.arguments) for c in state.calls.values()]


def test_a_promoted_call_is_answered_by_a_run() -> None:
    state = state_after(*OPEN, CallPromoted(0, 0, 1, "run.1"), CallPromoted(0, 0, 2, "run.2.1", item=1))
    assert ("orchestrator", "run.1") == (state.calls[1].role, state.calls[1].child_run)
    assert {1: "run.2.1"} == state.batches[2].promoted


def test_a_batch_is_open_until_its_last_item() -> None:
    failed = CallAttemptFailed(0, 0, 2, 1, 55, NOTHING, item=1)
    state = state_after(*OPEN, failed, BatchItemsCompleted(0, 0, 2, ((2, 3), (0, 1)), NOTHING))
    batch = state.batches[2]
    assert ([1], 2, {1: (2, 55)}) == (list(batch.open_items()), batch.settled_count, batch.attempts)
    state.apply(BatchItemsCompleted(7, 70, 2, ((1, 2),), NOTHING))
    assert {} == state.batches


def test_a_retry_is_a_time_to_wake_at() -> None:
    batch = BatchScheduled(0, 0, 2, "g", 3, NOTHING, "activity")
    item, other = (CallAttemptFailed(0, 0, 2, 1, due_us, NOTHING, item=due_us % 3) for due_us in (55, 66))
    assert 55 == state_after(STARTED, batch, item, other).next_due_us()
    failed = CallAttemptFailed(0, 0, 1, 1, 77, NOTHING)
    assert 77 == state_after(STARTED, CallScheduled(0, 0, 1, "g", NOTHING, "activity"), failed).next_due_us()


def test_the_earliest_deadline_counts() -> None:
    assert 70 == state_after(STARTED, DeadlineSet(0, 0, 70), DeadlineSet(0, 0, 90)).deadline_us
    assert 60 == state_after(STARTED, DeadlineSet(0, 0, 70), DeadlineSet(0, 0, 60)).deadline_us


def test_a_cancel_keeps_its_reason() -> None:
    assert "enough" == state_after(*PREFIXES["cancelled"]).cancel_reason


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in TERMINAL_STATUS], ids=name_of)
def test_what_an_end_leaves_open(kind: type[Event]) -> None:
    """Of a cancelled or timed-out run nothing; else calls go on, for their effects, and only timers are pointless."""
    state = state_after(*OPEN, NEXT[kind])
    keeps = kind not in (RunCancelled, RunTimedOut)
    assert (TERMINAL_STATUS[kind], True, keeps, {}) == (state.status, state.is_ended, state.has_open_work, state.timers)
    assert kind is type(state.ended)


# -- any history -----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(modelled_histories())
def test_what_is_open_is_what_was_scheduled_and_not_settled(model: Model) -> None:
    state = fold(model.events)
    assert model.calls == {number: call.attempt for number, call in state.calls.items()}
    assert model.batches == {number: set(batch.open_items()) for number, batch in state.batches.items()}
    assert model.timers == state.timers
    assert (model.status, model.last_call) == (state.status, state.last_call)
    assert (len(model.events), model.events[-1].at_us) == (state.head_seq, state.last_at_us)
    assert bool(model.calls or model.batches) == state.has_open_work


@settings(max_examples=60, deadline=None)
@given(modelled_histories())
def test_the_next_time_is_the_earliest_of_all(model: Model) -> None:
    dues = [*model.retries.values()]
    if model.status == "running":
        dues += [*model.timers.values(), *([] if model.deadline_us is None else [model.deadline_us])]
    assert min(dues, default=None) == fold(model.events).next_due_us()


@settings(max_examples=60, deadline=None)
@given(modelled_histories())
def test_a_fold_in_pieces_is_the_same_fold(model: Model) -> None:
    whole = seen(fold(model.events))
    for cut in range(len(model.events) + 1):
        state = fold(model.events[:cut])
        for event in model.events[cut:]:
            state.apply(event)
        assert whole == seen(state)


@settings(max_examples=60, deadline=None)
@given(modelled_histories())
def test_an_event_taken_out_is_noticed(model: Model) -> None:
    for cut in range(len(model.events) - 1):
        with pytest.raises(IllegalMove):
            fold([*model.events[:cut], *model.events[cut + 1 :]])

"""Histories that can happen, made by chance from a small model of what is open.

Rule of this file: the model keeps what is open in the plainest way, apart from the fold that does it for the engine, so
that the one can be held against the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from stent.codec import Payload, encode_exception, join
from stent.history.events import (
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallCancelRequested,
    CallCompleted,
    CallFailed,
    CallPromoted,
    CallScheduled,
    CancelRequested,
    DeadlineSet,
    Event,
    PatchRecorded,
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
    ranges_of,
)
from stent.registry import default_registry
from stent.testing.strategies.values import payloads, scalars

EVENTS_AT_MOST = 25
NOTHING = Payload(1, b"null")
ERRORS = (ValueError, KeyError, ConnectionError, TimeoutError)


@dataclass
class Contents:
    """What the user data in events is drawn from."""

    value: st.SearchStrategy[Payload]
    arguments: st.SearchStrategy[Payload]
    error: st.SearchStrategy[Payload]


@dataclass
class Model:
    """What is open, kept in the plainest way."""

    contents: Contents
    events: list[Event] = field(default_factory=list)
    calls: dict[int, int] = field(default_factory=dict)  # call -> attempt
    batches: dict[int, set[int]] = field(default_factory=dict)  # call -> open items
    timers: dict[int, int] = field(default_factory=dict)  # call -> due
    retries: dict[tuple[int, int | None], int] = field(default_factory=dict)
    deadline_us: int | None = None
    last_call: int = 0
    now_us: int = 100
    has_cancel: bool = False
    status: str = "running"

    def add(self, event: Event) -> None:
        self.events.append(replace(event, seq=len(self.events) + 1, at_us=self.now_us))

    def number(self, gap: int = 1) -> int:
        self.last_call += gap
        return self.last_call

    def settle(self, call: int) -> None:
        del self.calls[call]
        self.retries.pop((call, None), None)


def histories(
    *,
    function: str = "shop:order",
    values: st.SearchStrategy[Any] | None = None,
    max_events: int = EVENTS_AT_MOST,
) -> st.SearchStrategy[list[Event]]:
    """Histories of an orchestrator that could be recorded: every type of event, and nothing that cannot follow.

    They fit no program: `recordings` gives those of one. `values` are what calls take and give, and signals bring;
    plain scalars by default. Times are microseconds. Failing examples shrink to few events.
    """
    value = payloads(values) if values is not None else payloads(scalars())
    arguments = payloads(st.lists(values if values is not None else scalars(), max_size=3))
    errors = st.builds(_error, st.sampled_from(ERRORS), st.text(max_size=8))
    return modelled_histories(Contents(value, arguments, errors), function, max_events).map(lambda model: model.events)


def _error(kind: type[Exception], text: str) -> Payload:
    return encode_exception(kind(text), default_registry.types)


EMPTY = Contents(st.just(NOTHING), st.just(NOTHING), st.just(NOTHING))


@st.composite
def modelled_histories(
    draw: st.DrawFn, contents: Contents = EMPTY, function: str = "f", max_events: int = EVENTS_AT_MOST
) -> Model:
    """A valid history of an orchestrator, and what is open after it."""
    model = Model(contents)
    model.add(RunStarted(0, 0, "run", function, draw(contents.arguments), "orchestrator"))
    for _ in range(draw(st.integers(0, max_events))):
        model.now_us += draw(st.integers(0, 50))
        moves = [move for move in MOVES if is_possible(move, model)]
        if not moves:
            break
        draw(st.sampled_from(moves))(model, draw)
    return model


def is_possible(move: Move, model: Model) -> bool:
    if model.status != "running" and move not in AFTERWARDS:
        return False
    needs = NEEDS.get(move)
    return needs is None or bool(needs(model))


def schedule_call(model: Model, draw: st.DrawFn) -> None:
    call = model.number(draw(st.integers(1, 2)))
    model.calls[call] = 1
    model.add(CallScheduled(0, 0, call, "g", draw(model.contents.arguments), "activity"))


def schedule_batch(model: Model, draw: st.DrawFn) -> None:
    call = model.number()
    count = draw(st.integers(1, 5))
    model.batches[call] = set(range(count))
    items = join([draw(model.contents.arguments) for _ in range(count)])
    model.add(BatchScheduled(0, 0, call, "g", count, items, "activity"))


def start_timer(model: Model, draw: st.DrawFn) -> None:
    call = model.number()
    model.timers[call] = model.now_us + draw(st.integers(0, 60))
    model.add(TimerStarted(0, 0, call, model.timers[call]))


def fail_attempt(model: Model, draw: st.DrawFn) -> None:
    call = draw(st.sampled_from(sorted(model.calls)))
    model.retries[call, None] = model.now_us + 7
    model.add(CallAttemptFailed(0, 0, call, model.calls[call], model.now_us + 7, draw(model.contents.error)))
    model.calls[call] += 1


def fail_item(model: Model, draw: st.DrawFn) -> None:
    call = draw(st.sampled_from(sorted(model.batches)))
    item = draw(st.sampled_from(sorted(model.batches[call])))
    model.retries[call, item] = model.now_us + 9
    model.add(CallAttemptFailed(0, 0, call, 1, model.now_us + 9, draw(model.contents.error), item))


def promote_call(model: Model, draw: st.DrawFn) -> None:
    model.add(CallPromoted(0, 0, draw(st.sampled_from(sorted(model.calls))), "run.child"))


def complete_call(model: Model, draw: st.DrawFn) -> None:
    call = draw(st.sampled_from(sorted(model.calls)))
    model.settle(call)
    if draw(st.booleans()):
        model.add(CallFailed(0, 0, call, draw(model.contents.error)))
    else:
        model.add(CallCompleted(0, 0, call, draw(model.contents.value)))


def complete_items(model: Model, draw: st.DrawFn) -> None:
    call = draw(st.sampled_from(sorted(model.batches)))
    left = model.batches[call]
    items = draw(st.lists(st.sampled_from(sorted(left)), min_size=1, unique=True))
    left.difference_update(items)
    for item in items:
        model.retries.pop((call, item), None)
    if not left:
        del model.batches[call]
    results = join([draw(model.contents.value) for _ in items])
    model.add(BatchItemsCompleted(0, 0, call, ranges_of(items), results))


def cancel_call(model: Model, draw: st.DrawFn) -> None:
    call = draw(st.sampled_from(sorted([*model.calls, *model.batches])))
    if call in model.calls:
        model.settle(call)
    else:
        del model.batches[call]
        model.retries = {place: due for place, due in model.retries.items() if place[0] != call}
    model.add(CallCancelRequested(0, 0, call))


def fire_timer(model: Model, draw: st.DrawFn) -> None:
    call = draw(st.sampled_from(sorted(model.timers)))
    model.now_us = max(model.now_us, model.timers.pop(call))
    model.add(TimerFired(0, 0, call))


def cancel_timer(model: Model, draw: st.DrawFn) -> None:
    call = draw(st.sampled_from(sorted(model.timers)))
    del model.timers[call]
    model.add(TimerCancelled(0, 0, call))


def await_signal(model: Model, draw: st.DrawFn) -> None:
    model.add(SignalAwaited(0, 0, model.number(), "news"))


def receive_signal(model: Model, draw: st.DrawFn) -> None:
    key = draw(st.sampled_from([None, f"key-{len(model.events)}"]))
    model.add(SignalReceived(0, 0, "news", draw(model.contents.value), key))


def record_patch(model: Model, draw: st.DrawFn) -> None:
    model.add(PatchRecorded(0, 0, "change"))


def set_deadline(model: Model, draw: st.DrawFn) -> None:
    deadline_us = model.now_us + draw(st.integers(0, 500))
    model.deadline_us = min(deadline_us, model.deadline_us or deadline_us)
    model.add(DeadlineSet(0, 0, deadline_us))


def request_cancel(model: Model, draw: st.DrawFn) -> None:
    model.has_cancel = True
    model.add(CancelRequested(0, 0, "enough"))


ENDS: dict[str, Callable[[Contents, st.DrawFn], Event]] = {
    "completed": lambda contents, draw: RunCompleted(0, 0, draw(contents.value)),
    "continued": lambda contents, draw: RunContinuedAsNew(0, 0, "next", draw(contents.arguments)),
    "failed": lambda contents, draw: RunFailed(0, 0, draw(contents.error)),
    "cancelled": lambda contents, draw: RunCancelled(0, 0),
    "timed_out": lambda contents, draw: RunTimedOut(0, 0, 5),
}


def end(model: Model, draw: st.DrawFn) -> None:
    names = [name for name in ENDS if not (model.has_cancel and name == "completed")]
    name = draw(st.sampled_from(names))
    model.status = "completed" if name == "continued" else name
    model.timers.clear()
    if name in ("cancelled", "timed_out"):
        model.calls.clear()
        model.batches.clear()
        model.retries.clear()
    model.add(ENDS[name](model.contents, draw))


Move = Callable[[Model, st.DrawFn], None]
MOVES: list[Move] = [
    *(schedule_call, schedule_batch, start_timer, fail_attempt, fail_item, promote_call, complete_call),
    *(complete_items, cancel_call, fire_timer, cancel_timer, await_signal, receive_signal, record_patch),
    *(set_deadline, request_cancel, end),
]
AFTERWARDS: list[Move] = [fail_attempt, fail_item, promote_call, complete_call, complete_items]
NEEDS: dict[Move, Callable[[Model], object]] = {
    fail_attempt: lambda model: model.calls,
    fail_item: lambda model: model.batches,
    promote_call: lambda model: model.calls,
    complete_call: lambda model: model.calls,
    complete_items: lambda model: model.batches,
    cancel_call: lambda model: model.calls or model.batches,
    fire_timer: lambda model: model.timers,
    cancel_timer: lambda model: model.timers,
}

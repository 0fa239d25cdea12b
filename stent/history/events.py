"""The recorded facts of a run: one frozen type each, named in the past tense.

Rules of this file:
- an event is never changed once recorded; a new field has a default, so that old histories still read;
- `seq` is the place in the history (1, 2, 3, no gaps), `at_us` when it was recorded (UTC microseconds);
- `call` is the call sequence number of the command behind the event, in program order;
- at most one `Payload` a type: user data, encoded, named in `PAYLOAD_FIELDS`;
- deliveries come from outside and wake the program; all others were decided by it (`DELIVERIES`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from stent.codec import Payload
from stent.history.options import (
    DEFAULT_OPTIONS as DEFAULT_OPTIONS,
    CallOptions as CallOptions,
    Role as Role,
    Site as Site,
)


@dataclass(frozen=True, slots=True)
class Event:
    """What every event has."""

    seq: int
    at_us: int

    is_delivery: ClassVar[bool] = False
    is_terminal: ClassVar[bool] = False

    @property
    def type(self) -> str:
        """Name of the event's type, such as "CallScheduled"."""
        return type(self).__name__


# -- the run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The first event of every history: what is to be run, and with what."""

    is_delivery: ClassVar[bool] = True

    run_id: str
    function: str
    arguments: Payload
    role: Role
    options: CallOptions = DEFAULT_OPTIONS
    version: str | None = None
    parent_run: str | None = None
    parent_call: int | None = None
    parent_item: int | None = None
    deadline_us: int | None = None
    max_duration_us: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleCorrected(Event):
    """The predicted role was wrong; from here on this one holds, and the body starts again from the top."""

    is_delivery: ClassVar[bool] = True

    role: Role


@dataclass(frozen=True, slots=True)
class DeadlineSet(Event):
    """A worker began the run, so that its `max_duration` counts from here."""

    deadline_us: int


@dataclass(frozen=True, slots=True)
class CancelRequested(Event):
    """Somebody outside asked the run to stop. `put` names the one put that brought it."""

    is_delivery: ClassVar[bool] = True

    reason: str = ""
    put: str | None = None


@dataclass(frozen=True, slots=True)
class RunCompleted(Event):
    is_terminal: ClassVar[bool] = True

    result: Payload


@dataclass(frozen=True, slots=True)
class RunFailed(Event):
    is_terminal: ClassVar[bool] = True

    error: Payload


@dataclass(frozen=True, slots=True)
class RunCancelled(Event):
    is_terminal: ClassVar[bool] = True

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunTimedOut(Event):
    """The run passed its deadline. Decided outside the program, so replay ends here."""

    is_terminal: ClassVar[bool] = True

    deadline_us: int


@dataclass(frozen=True, slots=True)
class RunContinuedAsNew(Event):
    """The run goes on under `next_run` with new arguments and an empty history."""

    is_terminal: ClassVar[bool] = True

    next_run: str
    arguments: Payload


# -- calls ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallScheduled(Event):
    """The program called a durable function. `child_run` is set where the callee has a history of its own."""

    call: int
    function: str
    arguments: Payload
    role: Role
    path: str = "0"
    site: Site | None = None
    options: CallOptions = DEFAULT_OPTIONS
    child_run: str | None = None


@dataclass(frozen=True, slots=True)
class CallPromoted(Event):
    """An activity turned out to be an orchestrator: `child_run` answers the call from here on."""

    call: int
    child_run: str
    item: int | None = None


@dataclass(frozen=True, slots=True)
class CallAttemptFailed(Event):
    """One attempt raised, and the retry policy grants another at `retry_at_us`."""

    call: int
    attempt: int
    retry_at_us: int
    error: Payload
    item: int | None = None


@dataclass(frozen=True, slots=True)
class CallCompleted(Event):
    is_delivery: ClassVar[bool] = True

    call: int
    result: Payload


@dataclass(frozen=True, slots=True)
class CallFailed(Event):
    """The call is over with an error: its last attempt raised, or its run did not complete."""

    is_delivery: ClassVar[bool] = True

    call: int
    error: Payload
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class CallCancelRequested(Event):
    """The program no longer wants the call; whatever still comes of it changes nothing."""

    call: int


@dataclass(frozen=True, slots=True)
class BatchScheduled(Event):
    """`Stent.map`: one event however many items. `items` packs the arguments of all of them in one document."""

    call: int
    function: str
    count: int
    items: Payload
    role: Role
    path: str = "0"
    site: Site | None = None
    options: CallOptions = DEFAULT_OPTIONS
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class BatchItemsCompleted(Event):
    """Outcomes of many items at once.

    `items` are their indexes as half-open ranges, in the order of completion; `results` packs one value an item in
    that same order; `failed` are the indexes whose value is an error.
    """

    is_delivery: ClassVar[bool] = True

    call: int
    items: tuple[tuple[int, int], ...]
    results: Payload
    failed: tuple[int, ...] = ()


# -- time, messages, decisions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TimerStarted(Event):
    call: int
    due_us: int
    path: str = "0"
    site: Site | None = None


@dataclass(frozen=True, slots=True)
class TimerFired(Event):
    is_delivery: ClassVar[bool] = True

    call: int


@dataclass(frozen=True, slots=True)
class TimerCancelled(Event):
    call: int


@dataclass(frozen=True, slots=True)
class SignalAwaited(Event):
    """The program waits for the next signal of a name."""

    call: int
    name: str
    path: str = "0"
    site: Site | None = None


@dataclass(frozen=True, slots=True)
class SignalReceived(Event):
    """A message from outside. `key` is the sender's own, for a second send to be seen as the same one.

    `put` names the one put that brought it, where others may come with the same key.
    """

    is_delivery: ClassVar[bool] = True

    name: str
    value: Payload
    key: str | None = None
    put: str | None = None


@dataclass(frozen=True, slots=True)
class PatchRecorded(Event):
    """`Stent.patched(change)` answered True here, and will on every replay."""

    change: str
    site: Site | None = None


PAYLOAD_FIELDS: dict[type[Event], str] = {
    RunStarted: "arguments",
    RunCompleted: "result",
    RunFailed: "error",
    RunContinuedAsNew: "arguments",
    CallScheduled: "arguments",
    CallAttemptFailed: "error",
    CallCompleted: "result",
    CallFailed: "error",
    BatchScheduled: "items",
    BatchItemsCompleted: "results",
    SignalReceived: "value",
}
"""Which field of a type is user data."""

EVENT_CODES: dict[type[Event], int] = {
    RunStarted: 1,
    RoleCorrected: 2,
    CancelRequested: 3,
    DeadlineSet: 9,
    RunCompleted: 4,
    RunFailed: 5,
    RunCancelled: 6,
    RunTimedOut: 7,
    RunContinuedAsNew: 8,
    CallScheduled: 20,
    CallPromoted: 21,
    CallAttemptFailed: 22,
    CallCompleted: 23,
    CallFailed: 24,
    CallCancelRequested: 25,
    BatchScheduled: 30,
    BatchItemsCompleted: 31,
    TimerStarted: 40,
    TimerFired: 41,
    TimerCancelled: 42,
    SignalAwaited: 50,
    SignalReceived: 51,
    PatchRecorded: 60,
}
"""Stored number of each type. Numbers are never reused."""

EVENT_TYPES: dict[int, type[Event]] = {code: kind for kind, code in EVENT_CODES.items()}
EVENT_TYPES_BY_NAME: dict[str, type[Event]] = {kind.__name__: kind for kind in EVENT_CODES}
DELIVERIES: frozenset[type[Event]] = frozenset(kind for kind in EVENT_CODES if kind.is_delivery)
TERMINALS: frozenset[type[Event]] = frozenset(kind for kind in EVENT_CODES if kind.is_terminal)


def put_of(event: Event) -> str | None:
    """The one put that brought an event from outside, if it has a name."""
    return event.put if isinstance(event, SignalReceived | CancelRequested) else None


def placed(event: Event, seq: int, at_us: int) -> Event:
    """The same event at another place. `dataclasses.replace` does it too, and takes five times as long."""
    if type(event) is CallCompleted:  # nearly all of them
        return CallCompleted(seq, at_us, event.call, event.result)
    kind = type(event)
    return kind(seq, at_us, *_rest_of[kind](event))


def _getter(kind: type[Event]) -> Callable[[Event], tuple[Any, ...]]:
    """What an event says beside its place, in the order of its fields."""
    names = [field.name for field in fields(kind)][2:]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda event: tuple(getattr(event, name) for name in names)


_rest_of: dict[type[Event], Callable[[Event], tuple[Any, ...]]] = {kind: _getter(kind) for kind in EVENT_CODES}


def ranges_of(indexes: list[int]) -> tuple[tuple[int, int], ...]:
    """Indexes as half-open ranges, keeping their order."""
    ranges: list[tuple[int, int]] = []
    for index in indexes:
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return tuple(ranges)


def indexes_of(ranges: tuple[tuple[int, int], ...]) -> list[int]:
    """The indexes behind half-open ranges, in order."""
    return [index for start, stop in ranges for index in range(start, stop)]


def split_ranges(
    ranges: tuple[tuple[int, int], ...], size: int
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """The first `size` indexes of half-open ranges, and the rest."""
    first: list[tuple[int, int]] = []
    rest: list[tuple[int, int]] = []
    for start, stop in ranges:
        cut = min(stop, start + size)
        if cut > start:
            first.append((start, cut))
        if stop > cut:
            rest.append((cut, stop))
        size -= cut - start
    return tuple(first), tuple(rest)


class Turn(NamedTuple):
    """One delivery and the decisions that followed it, as recorded. A tuple, for one is made with every answer."""

    delivery: Event
    decisions: tuple[Event, ...] = ()


_new_turn = tuple.__new__


def turns_of(history: Iterable[Event]) -> Iterator[Turn]:
    """The turns that the program took part in, from the first to its end.

    Events that concern only the worker (attempts, promotions) belong to no turn. One turn exists at a time: kept in a
    list, those of a long history would cost more than replaying them.
    """
    delivery: Event | None = None
    decisions: list[Event] = []
    is_over = False
    for event in history:
        if event.is_delivery:
            if delivery is not None:
                yield _new_turn(Turn, (delivery, tuple(decisions)))
                if is_over:
                    return
                decisions.clear()
            delivery = event
        elif delivery is not None and type(event) not in BOOKKEEPING:
            decisions.append(event)
            is_over = is_over or event.is_terminal
    if delivery is not None:
        yield Turn(delivery, tuple(decisions))


BOOKKEEPING: frozenset[type[Event]] = frozenset({CallAttemptFailed, CallPromoted, DeadlineSet, RunTimedOut})
"""Decided by the worker, not by the program: replay passes over them."""

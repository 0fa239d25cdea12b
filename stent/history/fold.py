"""The fold: what a history says is true now.

Rules of this file:
- `RunState.apply` is the only way to change a state; a move that the tables below do not allow is an `IllegalMove`;
- a state keeps what is still open and forgets what is settled, so that a run of any length stays small;
- nothing here knows workers or stores: the columns of a run's row are a cache of this fold, and a checker proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from stent.codec import Payload
from stent.errors import CorruptHistoryError
from stent.history.events import (
    DEFAULT_OPTIONS,
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
    Role,
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

Status: TypeAlias = Literal["pending", "running", "completed", "failed", "timed_out", "cancelled", "stalled"]
"""State of a run as users see it. "pending": no worker has begun it; "stalled": its code does not fit its history."""

TERMINAL_STATUS: dict[type[Event], Status] = {
    RunCompleted: "completed",
    RunContinuedAsNew: "completed",
    RunFailed: "failed",
    RunCancelled: "cancelled",
    RunTimedOut: "timed_out",
}

Phase: TypeAlias = Literal["none", "open", "cancelled", "ended"]

RUN_MOVES: dict[tuple[Phase, type[Event]], Phase] = {
    ("none", RunStarted): "open",
    **{("open", kind): "ended" for kind in TERMINAL_STATUS},
    **{("cancelled", kind): "ended" for kind in TERMINAL_STATUS if kind is not RunCompleted},
    ("open", CancelRequested): "cancelled",
    ("cancelled", CancelRequested): "cancelled",
    **{
        (phase, kind): phase
        for phase in ("open", "cancelled")
        for kind in (
            RoleCorrected,
            DeadlineSet,
            CallScheduled,
            CallPromoted,
            CallAttemptFailed,
            CallCompleted,
            CallFailed,
            CallCancelRequested,
            BatchScheduled,
            BatchItemsCompleted,
            TimerStarted,
            TimerFired,
            TimerCancelled,
            SignalAwaited,
            SignalReceived,
            PatchRecorded,
        )
    },
    # What a finished program left running goes on; its outcomes are recorded and change nothing.
    **{
        ("ended", kind): "ended"
        for kind in (CallPromoted, CallAttemptFailed, CallCompleted, CallFailed, BatchItemsCompleted)
    },
}
"""(phase of the run, event) -> next phase. What is not here cannot happen."""


class IllegalMove(CorruptHistoryError):
    """An event that cannot follow the ones before it."""


@dataclass(slots=True)
class OpenCall:
    """A call that has no answer yet."""

    call: int
    seq: int
    function: str
    arguments: Payload
    role: Role
    options: CallOptions = DEFAULT_OPTIONS
    child_run: str | None = None
    attempt: int = 1
    retry_at_us: int | None = None


@dataclass(slots=True)
class OpenBatch:
    """A map with items that have no outcome yet."""

    call: int
    seq: int
    function: str
    count: int
    items: Payload
    role: Role
    options: CallOptions = DEFAULT_OPTIONS
    limit: int | None = None
    settled: bytearray = field(default_factory=bytearray)
    settled_count: int = 0
    attempts: dict[int, tuple[int, int]] = field(default_factory=dict)  # item -> (next attempt, not before)
    promoted: dict[int, str] = field(default_factory=dict)  # item -> run that answers it

    def open_items(self) -> Iterator[int]:
        """Indexes without an outcome, ascending."""
        settled = self.settled
        return (index for index in range(self.count) if not settled[index])


class RunState:
    """What is true of one run after the events applied so far."""

    __slots__ = (
        "arguments",
        "batches",
        "calls",
        "cancel_puts",
        "cancel_reason",
        "deadline_us",
        "ended",
        "function",
        "head_seq",
        "last_at_us",
        "last_call",
        "options",
        "parent",
        "phase",
        "role",
        "role_was_corrected",
        "run_id",
        "signal_keys",
        "started_at_us",
        "timers",
    )

    def __init__(self) -> None:
        self.phase: Phase = "none"
        self.run_id = ""
        self.function = ""
        self.role: Role = "activity"
        self.role_was_corrected = False
        self.arguments: Payload | None = None
        self.options: CallOptions = DEFAULT_OPTIONS
        self.parent: tuple[str, int, int | None] | None = None
        self.head_seq = 0
        self.last_at_us = 0
        self.last_call = 0
        self.started_at_us = 0
        self.deadline_us: int | None = None
        self.cancel_reason: str | None = None
        self.cancel_puts: tuple[str, ...] = ()
        self.ended: Event | None = None
        self.calls: dict[int, OpenCall] = {}
        self.batches: dict[int, OpenBatch] = {}
        self.timers: dict[int, int] = {}
        self.signal_keys: set[str] | None = None

    def apply(self, event: Event) -> None:
        """Take one more event into account; IllegalMove if it cannot come here."""
        kind = type(event)
        phase = RUN_MOVES.get((self.phase, kind))
        if phase is None:
            raise self._illegal(event, f"a run that is {self.phase!r} has no {kind.__name__}")
        if event.seq != self.head_seq + 1:
            raise self._illegal(event, f"seq {event.seq} after {self.head_seq}")
        change = _CHANGES.get(kind)
        if change is not None:
            change(self, event)
        self.phase = phase
        self.head_seq = event.seq
        self.last_at_us = event.at_us

    @property
    def is_ended(self) -> bool:
        return self.phase == "ended"

    @property
    def has_open_work(self) -> bool:
        """Whether a call or an item is still without an outcome."""
        return bool(self.calls or self.batches)

    @property
    def status(self) -> Status:
        """As far as the history knows: a run without a terminal event is running once its first event is there."""
        return TERMINAL_STATUS[type(self.ended)] if self.ended is not None else "running"

    def next_due_us(self, after_us: int = -1) -> int | None:
        """The earliest time after `after_us` when something happens by itself: a timer, a retry or the deadline."""
        dues = [call.retry_at_us for call in self.calls.values() if call.retry_at_us is not None]
        dues.extend(due for batch in self.batches.values() for _, due in batch.attempts.values())
        if not self.is_ended:
            dues.extend(self.timers.values())
            if self.deadline_us is not None:
                dues.append(self.deadline_us)
        return min((due for due in dues if due > after_us), default=None)

    def _illegal(self, event: Event, why: str) -> IllegalMove:
        return IllegalMove(
            f"the history of run {self.run_id or '?'} is impossible at seq {event.seq}: {why}",
            fix="restore the database from a backup; other runs are not affected",
            run_id=self.run_id,
            seq=event.seq,
        )

    # -- one change a type of event --------------------------------------------------------------------------------

    def _run_started(self, event: RunStarted) -> None:
        self.run_id = event.run_id
        self.function = event.function
        self.role = event.role
        self.arguments = event.arguments
        self.options = event.options
        self.deadline_us = event.deadline_us
        self.started_at_us = event.at_us
        if event.parent_run is not None and event.parent_call is not None:
            self.parent = (event.parent_run, event.parent_call, event.parent_item)
        if event.role == "activity":
            self.calls[0] = OpenCall(0, event.seq, event.function, event.arguments, "activity", event.options)

    def _role_corrected(self, event: RoleCorrected) -> None:
        if event.role == self.role:
            raise self._illegal(event, f"the role is {self.role!r} already")
        self.role = event.role
        self.role_was_corrected = True
        if event.role == "orchestrator":
            self.calls.pop(0, None)
        else:
            assert self.arguments is not None, "a run has arguments from its first event on"
            self.calls[0] = OpenCall(0, event.seq, self.function, self.arguments, "activity", self.options)

    def _deadline_set(self, event: DeadlineSet) -> None:
        self.deadline_us = event.deadline_us if self.deadline_us is None else min(self.deadline_us, event.deadline_us)

    def _cancel_requested(self, event: CancelRequested) -> None:
        self.cancel_reason = event.reason
        if event.put is not None:
            if event.put in self.cancel_puts:
                raise self._illegal(event, f"the cancel that {event.put!r} put is delivered twice")
            self.cancel_puts += (event.put,)

    def _ended(self, event: Event) -> None:
        self.ended = event
        self.timers.clear()
        self.calls.pop(0, None)
        if type(event) in (RunCancelled, RunTimedOut):
            self.calls.clear()
            self.batches.clear()

    def _call_scheduled(self, event: CallScheduled) -> None:
        self._number(event, event.call)
        self.calls[event.call] = OpenCall(
            event.call, event.seq, event.function, event.arguments, event.role, event.options, event.child_run
        )

    def _call_promoted(self, event: CallPromoted) -> None:
        if event.item is not None:
            self._batch(event, event.call).promoted[event.item] = event.child_run
            return
        call = self._call(event, event.call)
        call.role = "orchestrator"
        call.child_run = event.child_run

    def _call_attempt_failed(self, event: CallAttemptFailed) -> None:
        if event.item is not None:
            self._batch(event, event.call).attempts[event.item] = (event.attempt + 1, event.retry_at_us)
            return
        call = self._call(event, event.call)
        if event.attempt != call.attempt:
            raise self._illegal(event, f"attempt {event.attempt} of call {event.call}, expected {call.attempt}")
        call.attempt += 1
        call.retry_at_us = event.retry_at_us

    def _call_settled(self, event: CallCompleted | CallFailed | CallCancelRequested) -> None:
        if event.call in self.batches and type(event) is CallCancelRequested:
            del self.batches[event.call]
            return
        self._call(event, event.call)
        del self.calls[event.call]

    def _batch_scheduled(self, event: BatchScheduled) -> None:
        self._number(event, event.call)
        if event.count < 1:
            raise self._illegal(event, "a batch has at least one item")
        self.batches[event.call] = OpenBatch(
            event.call,
            event.seq,
            event.function,
            event.count,
            event.items,
            event.role,
            event.options,
            event.limit,
            bytearray(event.count),
        )

    def _batch_items_completed(self, event: BatchItemsCompleted) -> None:
        batch = self._batch(event, event.call)
        for start, stop in event.items:
            for index in range(start, stop):
                if not 0 <= index < batch.count or batch.settled[index]:
                    raise self._illegal(event, f"item {index} of call {event.call} is settled twice or unknown")
                batch.settled[index] = 1
                batch.attempts.pop(index, None)
                batch.promoted.pop(index, None)
            batch.settled_count += stop - start
        if batch.settled_count == batch.count:
            del self.batches[event.call]

    def _timer_started(self, event: TimerStarted) -> None:
        self._number(event, event.call)
        self.timers[event.call] = event.due_us

    def _timer_settled(self, event: TimerFired | TimerCancelled) -> None:
        due_us = self.timers.pop(event.call, None)
        if due_us is None:
            raise self._illegal(event, f"timer {event.call} is not running")
        if type(event) is TimerFired and event.at_us < due_us:
            raise self._illegal(event, f"timer {event.call} fired {due_us - event.at_us} us early")

    def _signal_awaited(self, event: SignalAwaited) -> None:
        self._number(event, event.call)

    def _signal_received(self, event: SignalReceived) -> None:
        if event.key is not None:
            keys = self.signal_keys = self.signal_keys or set()
            if event.key in keys:
                raise self._illegal(event, f"signal {event.key!r} is delivered twice")
            keys.add(event.key)

    def _number(self, event: Event, call: int) -> None:
        if call <= self.last_call:
            raise self._illegal(event, f"call {call} after call {self.last_call}")
        self.last_call = call

    def _call(self, event: Event, number: int) -> OpenCall:
        call = self.calls.get(number)
        if call is None:
            raise self._illegal(event, f"call {number} is not open")
        return call

    def _batch(self, event: Event, number: int) -> OpenBatch:
        batch = self.batches.get(number)
        if batch is None:
            raise self._illegal(event, f"batch {number} is not open")
        return batch


_CHANGES: dict[type[Event], Callable[[RunState, Any], None]] = {
    RunStarted: RunState._run_started,
    RoleCorrected: RunState._role_corrected,
    DeadlineSet: RunState._deadline_set,
    CancelRequested: RunState._cancel_requested,
    **dict.fromkeys(TERMINAL_STATUS, RunState._ended),
    CallScheduled: RunState._call_scheduled,
    CallPromoted: RunState._call_promoted,
    CallAttemptFailed: RunState._call_attempt_failed,
    CallCompleted: RunState._call_settled,
    CallFailed: RunState._call_settled,
    CallCancelRequested: RunState._call_settled,
    BatchScheduled: RunState._batch_scheduled,
    BatchItemsCompleted: RunState._batch_items_completed,
    TimerStarted: RunState._timer_started,
    TimerFired: RunState._timer_settled,
    TimerCancelled: RunState._timer_settled,
    SignalAwaited: RunState._signal_awaited,
    SignalReceived: RunState._signal_received,
}


def fold(history: Iterable[Event]) -> RunState:
    """The state after a whole history."""
    state = RunState()
    for event in history:
        state.apply(event)
    return state

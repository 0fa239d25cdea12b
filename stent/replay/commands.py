"""The wishes of an orchestrator: one frozen type each, in the imperative.

Rules of this file:
- a command says what is wanted, never what happened: `event_of` makes the event that records it;
- `call` is its call sequence number; commands without one concern the run itself;
- the order in which an execution returns commands is the order in which they are recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from stent.codec import Payload
from stent.history.events import (
    BatchScheduled,
    CallCancelRequested,
    CallOptions,
    CallScheduled,
    Event,
    PatchRecorded,
    Role,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    SignalAwaited,
    Site,
    TimerCancelled,
    TimerStarted,
)
from stent.registry import Function


@dataclass(frozen=True, slots=True)
class ScheduleCall:
    """Carry out a durable function. `run_id` is set where the caller chose the id of the run behind it."""

    call: int
    function: Function
    arguments: Payload
    path: str
    site: Site | None
    options: CallOptions
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleBatch:
    """Carry out a durable function once an item."""

    call: int
    function: Function
    items: Payload
    count: int
    path: str
    site: Site | None
    options: CallOptions
    limit: int | None


@dataclass(frozen=True, slots=True)
class CancelCall:
    """Nobody waits for a call or a batch any longer."""

    call: int


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Wake the program at `due_us`."""

    call: int
    due_us: int
    path: str
    site: Site | None


@dataclass(frozen=True, slots=True)
class CancelTimer:
    call: int


@dataclass(frozen=True, slots=True)
class AwaitSignal:
    """The program waits for the next signal of a name."""

    call: int
    name: str
    path: str
    site: Site | None


@dataclass(frozen=True, slots=True)
class RecordPatch:
    """Remember that this run took the new side of a change."""

    change: str
    site: Site | None


@dataclass(frozen=True, slots=True)
class CompleteRun:
    result: Payload


@dataclass(frozen=True, slots=True)
class FailRun:
    error: Payload


@dataclass(frozen=True, slots=True)
class CancelRun:
    reason: str


@dataclass(frozen=True, slots=True)
class ContinueRunAsNew:
    """End this run and go on in a fresh one with new arguments."""

    arguments: Payload


Command: TypeAlias = (
    ScheduleCall
    | ScheduleBatch
    | CancelCall
    | StartTimer
    | CancelTimer
    | AwaitSignal
    | RecordPatch
    | CompleteRun
    | FailRun
    | CancelRun
    | ContinueRunAsNew
)


def event_of(
    command: Command, seq: int, at_us: int, *, role: Role = "activity", child_run: str | None = None, next_run: str = ""
) -> Event:
    """The event that records a command. What the worker decided about it comes with the keywords."""
    if isinstance(command, ScheduleCall):  # nearly all of them, so before the search
        name, options = command.function.name, command.options
        return CallScheduled(
            seq, at_us, command.call, name, command.arguments, role, command.path, command.site, options, child_run
        )
    match command:
        case StartTimer(call, due_us, path, site):
            return TimerStarted(seq, at_us, call, due_us, path, site)
        case CancelTimer(call):
            return TimerCancelled(seq, at_us, call)
        case CancelCall(call):
            return CallCancelRequested(seq, at_us, call)
        case ScheduleBatch(call, function, items, count, path, site, options, limit):
            return BatchScheduled(seq, at_us, call, function.name, count, items, role, path, site, options, limit)
        case AwaitSignal(call, name, path, site):
            return SignalAwaited(seq, at_us, call, name, path, site)
        case RecordPatch(change, site):
            return PatchRecorded(seq, at_us, change, site)
        case CompleteRun(result):
            return RunCompleted(seq, at_us, result)
        case FailRun(error):
            return RunFailed(seq, at_us, error)
        case CancelRun(reason):
            return RunCancelled(seq, at_us, reason)
        case ContinueRunAsNew(arguments):
            return RunContinuedAsNew(seq, at_us, next_run, arguments)

"""Holding what the program does now against what was recorded.

Rules of this file:
- within a turn commands must come in the recorded order: same kind, same number, same function, same arguments;
- lengths of timers are not compared (they may be computed from `Stent.now()`): what was recorded counts;
- commands past the recorded ones are new work at the end of a history, and a divergence anywhere else;
- recorded commands that did not come are a divergence too;
- nothing is raised into a program that does not fit: what it does from there on counts for nothing, and it is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stent.history.events import (
    BatchScheduled,
    CallCancelRequested,
    CallScheduled,
    Event,
    PatchRecorded,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    SignalAwaited,
    TimerCancelled,
    TimerStarted,
)
from stent.replay.commands import (
    AwaitSignal,
    CancelCall,
    CancelRun,
    CancelTimer,
    Command,
    CompleteRun,
    ContinueRunAsNew,
    FailRun,
    RecordPatch,
    ScheduleBatch,
    ScheduleCall,
    StartTimer,
)


class Mismatch:
    """The first command that does not fit: one of both may be missing."""

    __slots__ = ("actual", "expected")

    def __init__(self, expected: Event | None, actual: Command | None) -> None:
        self.expected = expected
        self.actual = actual


class Matcher:
    """The recorded commands of the current turn, how far the program has come among them, and what it added."""

    __slots__ = ("count", "is_open", "mismatch", "new", "position", "recorded")

    def __init__(self) -> None:
        self.recorded: tuple[Event, ...] = ()
        self.count = 0
        self.position = 0
        self.is_open = True
        self.new: list[Command] = []
        self.mismatch: Mismatch | None = None

    def begin(self, recorded: tuple[Event, ...], is_open: bool) -> None:
        """A new turn. `is_open`: the history ends with it, so that more commands may follow."""
        self.recorded = recorded
        self.count = len(recorded)
        self.position = 0
        self.is_open = is_open

    def end(self) -> list[Command]:
        """The turn is over: the commands that are new; none if the turn does not fit."""
        if self.mismatch is None and self.position < self.count:
            self.mismatch = Mismatch(self.recorded[self.position], None)
        new, self.new = self.new, []
        return new if self.mismatch is None else []

    @property
    def is_replaying(self) -> bool:
        """Whether the program is still among recorded commands."""
        return self.position < self.count or not self.is_open

    def next(self) -> Event | None:
        """The recorded command that has to come next, if one has."""
        return self.recorded[self.position] if self.position < self.count else None

    def take(self, command: Command) -> None:
        """Hold a command against the recorded ones, or add it to the new ones. The first that does not fit is kept."""
        if self.position < self.count:
            event = self.recorded[self.position]
            self.position += 1
            if self.mismatch is None and not fits(event, command):
                self.mismatch = Mismatch(event, command)
        elif self.is_open:
            self.new.append(command)
        elif self.mismatch is None:
            self.mismatch = Mismatch(None, command)


def _same_call(event: Any, command: Any) -> bool:
    return bool(
        event.call == command.call and event.function == command.function.name and event.arguments == command.arguments
    )


def _same_batch(event: Any, command: Any) -> bool:
    return bool(event.call == command.call and event.function == command.function.name and event.items == command.items)


def _same_number(event: Any, command: Any) -> bool:
    return bool(event.call == command.call)


def _same_signal(event: Any, command: Any) -> bool:
    return bool(event.call == command.call and event.name == command.name)


def _same_change(event: Any, command: Any) -> bool:
    return bool(event.change == command.change)


def _same_result(event: Any, command: Any) -> bool:
    return bool(event.result == command.result)


def _same_arguments(event: Any, command: Any) -> bool:
    return bool(event.arguments == command.arguments)


def _always(event: Any, command: Any) -> bool:
    return True  # texts of errors and reasons hold line numbers, which may change between versions


RULES: dict[type, tuple[type[Event], Callable[[Any, Any], bool]]] = {
    ScheduleCall: (CallScheduled, _same_call),
    ScheduleBatch: (BatchScheduled, _same_batch),
    CancelCall: (CallCancelRequested, _same_number),
    StartTimer: (TimerStarted, _same_number),
    CancelTimer: (TimerCancelled, _same_number),
    AwaitSignal: (SignalAwaited, _same_signal),
    RecordPatch: (PatchRecorded, _same_change),
    CompleteRun: (RunCompleted, _same_result),
    FailRun: (RunFailed, _always),
    CancelRun: (RunCancelled, _always),
    ContinueRunAsNew: (RunContinuedAsNew, _same_arguments),
}
"""Command -> the event that records it, and when the two are the same."""


def fits(event: Event, command: Command) -> bool:
    """Whether a command is the one that an event records."""
    kind, same = RULES[type(command)]
    return type(event) is kind and same(event, command)

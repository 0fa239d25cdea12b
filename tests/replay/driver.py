"""Runs an orchestrator without any store: the test says what happens, and reads what the program wants.

- `Drive` keeps the history as a worker would: a delivery, then the commands that it provoked, every event through the
  fold, so that an impossible history cannot be built by mistake;
- what a program wants is told as short texts ("1 pay(7)", "cancel 1", "return 3"), so that tests are literals;
- `check_replays` is the promise behind everything: from every prefix of the history the same commands come again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stent.codec import TypeRegistry, decode, decode_exception, describe_arguments, encode, encode_exception, join
from stent.durable.function import Durable
from stent.history.events import (
    BatchItemsCompleted,
    CallCompleted,
    CallFailed,
    CancelRequested,
    Event,
    Role,
    RunStarted,
    SignalReceived,
    TimerFired,
    ranges_of,
)
from stent.history.fold import RunState
from stent.registry import Function, FunctionOptions
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
    event_of,
)
from stent.replay.execution import Execution
from stent.replay.replayer import replay

START_US = 1_750_000_000_000_000
TICK_US = 1_000  # between two events, unless a timer says more
TYPES = TypeRegistry()


def function_of(body: Callable[..., Any], *, name: str | None = None, role: Role | None = None) -> Function:
    """The record of a durable function that is in no registry."""
    TYPES.allow_module(body.__module__)
    return Function(name or f"shop:{body.__name__}", body, FunctionOptions(role=role), TYPES)


def durable(body: Callable[..., Any] | None = None, *, name: str | None = None, role: Role | None = None) -> Any:
    """`@Stent.durable`, without a registry."""
    if body is None:
        return lambda given: durable(given, name=name, role=role)
    return Durable(function_of(body, name=name, role=role))


def record(program: Any) -> Function:
    """The function behind a durable one."""
    function: Function = program.__stent_function__
    return function


def told(commands: Iterable[Command], types: TypeRegistry = TYPES) -> list[str]:
    """Commands as short texts."""
    return [_text_of(command, types) for command in commands]


def _text_of(command: Command, types: TypeRegistry) -> str:
    match command:
        case ScheduleCall(call, function, arguments):
            return f"{call} {function.display_name}({describe_arguments(arguments)})"
        case ScheduleBatch(call, function, _items, count):
            return f"{call} map({function.display_name}, {count} items)"
        case CancelCall(call):
            return f"cancel {call}"
        case StartTimer(call):
            return f"{call} timer"
        case CancelTimer(call):
            return f"cancel timer {call}"
        case AwaitSignal(call, name):
            return f"{call} signal {name}"
        case RecordPatch(change):
            return f"patch {change}"
        case CompleteRun(result):
            return f"return {decode(result, types)!r}"
        case FailRun(error):
            return f"raise {decode_exception(error, types)!r}"
        case CancelRun(reason):
            return f"cancelled {reason}".rstrip()
        case ContinueRunAsNew(arguments):
            return f"continue({describe_arguments(arguments)})"


class Drive:
    """One run of a program, from its first event."""

    def __init__(
        self,
        program: Any,
        *args: Any,
        run_id: str = "run",
        at_us: int = START_US,
        role: Role = "orchestrator",
        **kwargs: Any,
    ) -> None:
        self.function = record(program)
        self.history: list[Event] = []
        self.state = RunState()
        self.commands: list[Command] = []
        self.execution = Execution(self.function)
        self._now_us = at_us
        arguments = self.function.encode_arguments(args, kwargs)
        self.started = RunStarted(0, 0, run_id, self.function.name, arguments, role)
        _drives.append(self)

    # -- what happens ----------------------------------------------------------------------------------------------

    def start(self) -> list[str]:
        return self.deliver(self.started)

    def complete(self, call: int, value: Any = None) -> list[str]:
        return self.deliver(completion(call, value))

    def fail(self, call: int, error: BaseException) -> list[str]:
        return self.deliver(CallFailed(0, 0, call, encode_exception(error, self.function.types)))

    def fire(self, call: int) -> list[str]:
        return self.deliver(TimerFired(0, 0, call))

    def signal(self, name: str, value: Any = None) -> list[str]:
        return self.deliver(SignalReceived(0, 0, name, encode(value, TYPES)))

    def cancel(self, reason: str = "") -> list[str]:
        return self.deliver(CancelRequested(0, 0, reason))

    def complete_items(self, call: int, outcomes: Mapping[int, Any]) -> list[str]:
        """Outcomes of items of a map; an exception is a failure."""
        return self.deliver(items_event(call, outcomes, self.function.types))

    def deliver(self, template: Event) -> list[str]:
        """Record an event, let the program see it, record what it wants; that, as texts."""
        event = self.record(template)
        commands = self.execution.apply(event)
        assert self.execution.mismatch is None, "a live program has nothing to differ from"
        for command in commands:
            self.record(event_of(command, 0, 0, next_run="next"))
        self.commands.extend(commands)
        return told(commands, self.function.types)

    def record(self, template: Event) -> Event:
        """Give an event its place in the history, as a worker would."""
        if template.is_delivery and self.history:
            self._now_us += TICK_US
        if isinstance(template, TimerFired):
            self._now_us = max(self._now_us, self.state.timers[template.call])
        event = replace(template, seq=len(self.history) + 1, at_us=self._now_us)
        self.state.apply(event)
        self.history.append(event)
        return event

    # -- what can be said of it ------------------------------------------------------------------------------------

    @property
    def is_ended(self) -> bool:
        return self.state.is_ended

    @property
    def result(self) -> Any:
        """What the program returned; raises what it raised."""
        last = self.commands[-1]
        if isinstance(last, FailRun):
            raise decode_exception(last.error, self.function.types)
        assert isinstance(last, CompleteRun), "the run has returned"
        return decode(last.result, self.function.types)

    def close(self) -> None:
        assert self.execution.close(), "every body could be closed"


def completion(call: int, value: Any = None) -> CallCompleted:
    """The event for the result of a call, not yet in its place."""
    return CallCompleted(0, 0, call, encode(value, TYPES))


def close_all() -> None:
    """Drop every program that a test left waiting: the garbage collector would run its `finally` blocks in another."""
    while _drives:
        _drives.pop().execution.close()


_drives: list[Drive] = []


def items_event(call: int, outcomes: Mapping[int, Any], types: TypeRegistry) -> BatchItemsCompleted:
    """The event for outcomes of items, in the order of the mapping; an exception is a failure."""
    failed = tuple(index for index, outcome in outcomes.items() if isinstance(outcome, BaseException))
    packed = [
        encode_exception(outcome, types) if isinstance(outcome, BaseException) else encode(outcome, types)
        for outcome in outcomes.values()
    ]
    return BatchItemsCompleted(0, 0, call, ranges_of(list(outcomes)), join(packed), failed)


def start(program: Any, *args: Any, **kwargs: Any) -> Drive:
    """A run whose first turn is over."""
    drive = Drive(program, *args, **kwargs)
    drive.start()
    return drive


def finish(
    drive: Drive, choose: Callable[[int], int] = lambda count: 0, answer: Callable[[str], Any] | None = None
) -> Drive:
    """Answer what is open until the run has ended: `choose` picks one of so many things that may happen next.

    `answer` gives the outcome of a call by the name of its function, an exception for a failure; without it each
    call returns its own number. Signals are not sent: a program that waits for one is left alone.
    """
    while not drive.is_ended:
        calls, timers, batches = list(drive.state.calls), list(drive.state.timers), list(drive.state.batches)
        places = len(calls) + len(timers) + len(batches)
        if places == 0:
            break
        place = choose(places)
        if place < len(calls):
            call = calls[place]
            outcome = answer(drive.state.calls[call].function) if answer is not None else call
            _settle(drive, call, outcome)
        elif place < len(calls) + len(timers):
            drive.fire(timers[place - len(calls)])
        else:
            batch = drive.state.batches[batches[place - len(calls) - len(timers)]]
            drive.complete_items(batch.call, {index: index for index in batch.open_items()})
    return drive


def _settle(drive: Drive, call: int, outcome: Any) -> None:
    if isinstance(outcome, BaseException):
        drive.fail(call, outcome)
    else:
        drive.complete(call, outcome)


def check_replays(function: Function, history: Sequence[Event]) -> None:
    """From every place between two turns: the prefix fits, and the next turn gives the commands that it gave live.

    Each replay begins with an execution of its own, so a run that is kept in memory, and one that is dropped and loaded
    at any moment, take the same course.
    """
    deliveries = [index for index, event in enumerate(history) if event.is_delivery]
    ends = [*deliveries[1:], len(history)]
    for number, end in enumerate(ends):
        replayed = replay(function, history[:end])
        try:
            assert [] == told(replayed.commands, function.types)
            if number + 1 < len(ends) and not any(event.is_terminal for event in history[:end]):
                commands = replayed.execution.apply(history[end])
                given = [event_of(command, 0, 0, next_run="next") for command in commands]
                live = history[end + 1 : ends[number + 1]]
                assert [replace(event, seq=0, at_us=0) for event in live] == given
        finally:
            is_clean = replayed.execution.close()
        assert is_clean, "every body could be closed"

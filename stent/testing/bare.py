"""The stage for most programs: the program alone, an event in and commands out, with no engine around it.

Rules of this file:
- the history is kept as a worker would: what happened, then the commands that it provoked, each in its place;
- a crash forgets the program, and replays it from its history;
- what only the engine can play (maps, child orchestrators, limits, bodies that wait) raises NeedsEngine, and nothing is
  concluded from what was played until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stent.codec import decode, decode_exception, encode
from stent.errors import DivergenceError
from stent.history.events import (
    CallAttemptFailed,
    CallCompleted,
    CallFailed,
    Event,
    RunCompleted,
    RunFailed,
    RunStarted,
    SignalReceived,
    TimerFired,
    placed,
)
from stent.ids import SeededIds
from stent.registry import Function, default_registry
from stent.replay import guard
from stent.replay.commands import (
    CancelCall,
    CancelTimer,
    Command,
    ContinueRunAsNew,
    ScheduleBatch,
    ScheduleCall,
    StartTimer,
    event_of,
)
from stent.replay.execution import Execution
from stent.replay.replayer import replay
from stent.replay.roles import predict_role
from stent.result import Result
from stent.testing.by_hand import BodiesByHand
from stent.testing.doubles import Doubles, throw
from stent.testing.loop import VirtualLoop
from stent.testing.quiet import woke_nothing
from stent.testing.stage import START_US, Held, NeedsEngine, Program, WrongError
from stent.worker.answers import outcome_error
from stent.worker.outcomes import Raised, Returned, event_for
from stent.worker.slots import SINGLE, Attempt
from stent.worker.starting import first_event


@dataclass(slots=True, eq=False)
class _Open:
    """A call without an outcome."""

    attempt: Attempt
    retry_at_us: int | None = None


class BareProgram:
    """One schedule on the program alone."""

    def __init__(self, loop: VirtualLoop, program: Program, *, notes_quiet: bool) -> None:
        self.held: list[Held] = []
        self.crash_count = 0
        self.was_quiet = False
        self._notes_quiet = notes_quiet
        self.doubles = Doubles(default_registry)
        self._bodies = BodiesByHand(loop, self.doubles)
        self._program = program
        self._function = program.function.__stent_function__
        self._ids = SeededIds(0)
        self._run_id = self._ids.run_id()
        self._now_us = START_US
        self._history: list[Event] = []
        self._execution: Execution | None = None
        self._calls: dict[int, _Open] = {}
        self._timers: dict[int, int] = {}
        self._signal_keys: set[str] = set()
        self._acts: list[Callable[[], object]] = []
        self._opened: list[Held] = []
        self._arrived: list[Event] = []
        self._alarms: set[int] = set()
        """When the worker looks for retries; a call that nobody wants any longer does not take its alarm with it."""
        self._end: Event | None = None
        self._crash_after: bool | None = None

    def begin(self) -> None:
        function, program = self._function, self._program
        if predict_role(function) != "orchestrator" or function.limit_key is not None or program.function._start.call:
            raise NeedsEngine("it is no orchestrator, or one with options")
        guard.check(function)
        options = function.call_options
        if options.timeout_us is not None:
            raise NeedsEngine("it has a time limit")
        arguments = function.encode_arguments((*program.function._bound, *program.args), {})
        started = first_event(self._run_id, function, arguments, options, "orchestrator", self._now_us)
        self._execution = Execution(function)
        self._take(started)

    def close(self) -> None:
        if self._execution is not None:
            self._execution.close()

    # -- what happens ----------------------------------------------------------------------------------------------

    def post(self, act: Callable[[], object]) -> None:
        self._acts.append(act)

    def settle(self) -> None:
        acts, self._acts = self._acts, []
        self.was_quiet = False
        for act in acts:
            act()
        opened, self._opened = self._opened, []
        found = [event for held in opened if (event := held.open()) is not None]
        is_after, self._crash_after = self._crash_after, None
        self._take_due()
        if is_after is not False:
            for event in found:
                self._take(event)  # type: ignore[arg-type]  # what a body's end means
        arrived, self._arrived = self._arrived, []
        for event in arrived:
            self._take(event)
        if is_after is not None:
            self.crash()

    def release(self, held: Held) -> None:
        if held in self.held:
            self.held.remove(held)
            self._opened.append(held)

    def release_and_crash(self, held: Held, is_after: bool) -> None:
        self._crash_after = is_after
        self.release(held)

    def crash(self) -> None:
        self.crash_count += 1
        self.held.clear()
        self._opened.clear()
        assert self._execution is not None, "it has begun"
        self._execution.close()
        if self.has_ended():
            return
        try:
            self._execution = replay(self._function, self._history).execution
        except DivergenceError as error:
            raise WrongError(f"after a crash, the program does not do again what it did.\n{error.message}") from error
        retries = self._retries()
        earliest_us = min([*self._timers.values(), *retries], default=0)
        self._alarms = {earliest_us} & set(retries)  # a worker that takes a run on sets one alarm
        for call in self._calls.values():
            self._hold(call)

    def next_time_us(self) -> int | None:
        due = [*self._timers.values(), *self._alarms, *self._retries()]
        return max(min(due), self._now_us) if due else None

    def _retries(self) -> list[int]:
        return [call.retry_at_us for call in self._calls.values() if call.retry_at_us is not None]

    def now_us(self) -> int:
        return self._now_us

    def pass_time(self, until_us: int) -> None:
        self._now_us = max(self._now_us, until_us)
        self._alarms = {due_us for due_us in self._alarms if due_us > self._now_us}

    def signal(self, name: str, value: Any, key: str) -> None:
        key = f"signal-{key}"
        if key in self._signal_keys:
            return
        self._signal_keys.add(key)
        payload = encode(value, self._function.types, where=f"the value of signal {name!r}")
        self._arrived.append(SignalReceived(0, 0, name, payload, key, put=self._ids.token().hex()))

    # -- what is seen ----------------------------------------------------------------------------------------------

    def has_ended(self) -> bool:
        return self._end is not None

    def histories(self) -> dict[str, list[Event]]:
        return {self._run_id: list(self._history)}

    def result(self) -> Result[Any]:
        assert self._end is not None, "it is asked for at the end"
        return _result_of(self._end, self._run_id, self._function)

    def why(self) -> str:
        raise NeedsEngine("only the engine says what a run waits for")

    # -- the history -----------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        """Something happened: record it, let the program see it, and record what it wants then."""
        execution = self._execution
        assert execution is not None, "it has begun"
        if self._end is not None:
            if isinstance(event, CallCompleted | CallFailed) and self._calls.pop(event.call, None) is not None:
                self._append(event)
            return
        match event:
            case CallAttemptFailed():
                call = self._calls[event.call]
                self._append(event)
                call.attempt = call.attempt._replace(attempt=event.attempt + 1)
                call.retry_at_us = event.retry_at_us
                self._alarms.add(event.retry_at_us)
                return
            case TimerFired():
                if self._timers.pop(event.call, None) is None:
                    return
            case RunStarted() | SignalReceived():
                pass
            case _:
                if self._calls.pop(event.call, None) is None:  # type: ignore[attr-defined]  # the end of a call
                    return
        event = self._append(event)
        is_unheard = None
        if self._notes_quiet and isinstance(event, CallCompleted):
            is_unheard = woke_nothing(execution, event)
        commands = execution.apply(event)
        if execution.wants_activity is not None:
            raise NeedsEngine("it turned out to be no orchestrator")
        self.was_quiet = is_unheard is not None and not commands and is_unheard()
        for command in commands:
            self._carry_out(command)

    def _append(self, event: Event) -> Event:
        event = placed(event, len(self._history) + 1, self._now_us)
        self._history.append(event)
        return event

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, ScheduleBatch | ContinueRunAsNew):
            raise NeedsEngine("it maps, or continues as new")
        if isinstance(command, ScheduleCall):
            function = default_registry.find(command.function.name)
            is_plain = command.options.timeout_us is None and function.limit_key is None
            if predict_role(function) != "activity" or not is_plain:
                raise NeedsEngine("it calls an orchestrator, or an activity with a limit")
            attempt = Attempt(
                self._run_id, command.call, SINGLE, function, 1, command.options, arguments=command.arguments
            )
            call = self._calls[command.call] = _Open(attempt)
            self._hold(call)
        elif isinstance(command, StartTimer):
            self._timers[command.call] = command.due_us
        elif isinstance(command, CancelTimer):
            self._timers.pop(command.call, None)
        elif isinstance(command, CancelCall):
            self._calls.pop(command.call, None)
            self.held = [held for held in self.held if held.order != command.call]
        event = event_of(command, len(self._history) + 1, self._now_us)
        self._history.append(event)
        if event.is_terminal:
            self._end = event
            self._timers.clear()

    def _take_due(self) -> None:
        """What the clock has brought about."""
        now_us = self._now_us
        for due_us, call in sorted((due_us, call) for call, due_us in self._timers.items()):
            if due_us <= now_us and call in self._timers:
                self._take(TimerFired(0, 0, call))
        for open_call in list(self._calls.values()):
            if open_call.retry_at_us is not None and open_call.retry_at_us <= now_us:
                open_call.retry_at_us = None
                self._hold(open_call)

    # -- bodies ----------------------------------------------------------------------------------------------------

    def _hold(self, call: _Open) -> None:
        if call.retry_at_us is not None:
            return
        attempt = call.attempt
        held = Held(attempt.function.name, attempt, lambda: self._outcome(held), order=attempt.call)
        self.held.append(held)

    def _outcome(self, held: Held) -> Event | None:
        """Run a body to its end; what that means."""
        call = self._calls.get(held.order)
        if call is None:
            return None
        attempt = call.attempt
        try:
            if held.error is not None:
                throw(held.error)
            outcome: Returned | Raised = Returned(self._bodies.run(attempt))
        except NeedsEngine:
            raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # border: the user's function; what it raises is its answer
            outcome = Raised(error)
        found = event_for(attempt, outcome, self._now_us, self._ids.unit)
        assert isinstance(found, Event), "a single call has no items"
        return found


def _result_of(event: Event, run_id: str, function: Function) -> Result[Any]:
    """What the end of a run means to who has waited for it."""
    match event:
        case RunCompleted(result=result):
            return Result.success(decode(result, function.types))
        case RunFailed(error=error):
            return Result.failure(decode_exception(error, function.types))
    return Result.failure(outcome_error(event, run_id, function.display_name))


__all__ = ["BareProgram"]

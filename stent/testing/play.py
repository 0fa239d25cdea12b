"""One schedule of one program, played on the whole engine: who finishes when, what fails, where the worker crashes.

Rules of this file:
- a body is held when it would begin; the schedule says when it runs, and its outcome is there at once;
- a number of the schedule picks one of the things that can happen now; 0 is always the least remarkable, and what
  the schedule does not say is 0, so that the smallest schedule is the one with the fewest remarkable things in it;
- the same schedule is the same history, event for event.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import WeakSet

from stent.client.current import current
from stent.clock import SECOND_US, ManualClock
from stent.durable.function import Durable
from stent.duration import format_duration
from stent.errors import DivergenceError
from stent.history import wire
from stent.history.events import Event, RunContinuedAsNew
from stent.history.operations import Operation
from stent.history.records import RunFilter
from stent.inspect.verdict import judge
from stent.inspect.waiting import Surroundings, why
from stent.registry import Function, default_registry, display_name
from stent.testing.doubles import Doubles, throw
from stent.testing.embedded import Killed
from stent.testing.findings import Outcome
from stent.testing.loop import VirtualLoop
from stent.testing.system import System
from stent.worker.bodies import current_body

START_US = 1_767_225_600 * SECOND_US  # 2026-01-01 UTC
BATCHED = 128  # a number from here on: the next thing happens before the engine has seen this one
MOVES_AT_MOST = 2_000
SLOTS = 1_000  # the schedule decides what waits, not a lack of slots
RUNS_AT_MOST = 1_000


class WrongError(AssertionError):
    """Something is wrong under this schedule."""


Failure: TypeAlias = BaseException | type[BaseException]


@dataclass(frozen=True, slots=True)
class Program:
    """What is explored, and what may happen to it."""

    function: Durable[..., Any]
    args: tuple[Any, ...]
    signals: tuple[tuple[str, Any], ...] = ()
    failures: tuple[tuple[str | None, Failure], ...] = ()
    """What the activity of a name (any of them, without one) may raise."""
    crashes: int = 1
    arrange: Callable[[Doubles], object] | None = None


@dataclass(slots=True, eq=False)
class _Held:
    """A body that would run if the schedule let it."""

    name: str
    told: str
    open: Callable[[], object]
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Action:
    told: str
    act: Callable[[], object]
    may_be_batched: bool = False


class Play:
    """One program under one schedule."""

    def __init__(
        self, loop: VirtualLoop, program: Program, schedule: Sequence[int], checked: WeakSet[Function] | None = None
    ) -> None:
        self.moves: list[str] = []
        self.crash_count = 0
        self._loop = loop
        self._program = program
        self._choices: Iterator[int] = iter(schedule)
        self._held: list[_Held] = []
        self._sent = 0
        self._again = 0
        self._clock = ManualClock(START_US)
        self._doubles = Doubles(default_registry)
        self._doubles.gate = self._gate
        self._root = ""
        self._checked = checked
        loop.begin(self._clock)
        loop.on_threaded = self._hold_thread
        self._system: System = loop.perform(self._make())

    def run(self) -> Outcome:
        """Play to the end; WrongError where the run cannot end, or does not replay."""
        program, loop, system = self._program, self._loop, self._system
        current.push(system.client)
        try:
            if program.arrange is not None:
                program.arrange(self._doubles)
            self._root = loop.perform(system.executor.dispatch(program.function, *program.args))
            while not self._has_ended():
                self._move()
            self._finish_the_rest()
            histories = self.histories()
            _check_replay(histories.values())
            return Outcome(loop.perform(system.executor.result_of(self._root)), self.moves, histories, self._doubles)
        finally:
            current.remove(system.client)
            loop.call_soon(system.abandon)
            loop.drain()

    def histories(self) -> dict[str, list[Event]]:
        """The events of all runs by run id, the explored one first."""
        store = self._system.store
        ids = [row.run_id for row in store.list_runs(RunFilter(limit=RUNS_AT_MOST))]
        ids.sort(key=lambda run_id: (run_id != self._root, run_id))
        return {run_id: wire.decode_history(store.read_rows(run_id)) for run_id in ids}

    # -- what happens ----------------------------------------------------------------------------------------------

    def _move(self) -> None:
        actions = self._actions()
        has_more = self._held or self._next_time_us() is not None or self._sent < len(self._program.signals)
        if not has_more:  # a crash, or a signal that comes again, would change nothing
            raise WrongError(f"nothing can happen any more, and the run has not ended.\n{self._why()}")
        if len(self.moves) >= MOVES_AT_MOST:
            raise WrongError(f"the run has not ended after {MOVES_AT_MOST:,} moves")
        choice = next(self._choices, 0)
        action = actions[choice % BATCHED % len(actions)]
        self.moves.append(action.told)
        self._loop.call_soon(action.act)
        if not (action.may_be_batched and choice >= BATCHED):
            self._settle()

    def _settle(self) -> None:
        self._loop.drain()
        if self._loop.failures:
            raise self._loop.failures[0]
        stalled = self._system.store.stalled_runs(1)
        if stalled:
            raise WrongError(f"after a crash, the program does not do again what it did.\n{stalled[0].stall}")

    def _actions(self) -> list[_Action]:
        """What can happen now, the least remarkable first."""
        actions = [_Action(f"{held.told} finishes", self._opener(held), may_be_batched=True) for held in self._held]
        due_us = self._next_time_us()
        if due_us is not None:
            told = f"time passes by {format_duration(due_us - self._clock.now_us())}"
            actions.append(_Action(told, functools.partial(self._pass_time, due_us)))
        signals = self._program.signals
        if self._sent < len(signals):
            actions.append(_Action(f"signal {signals[self._sent][0]} arrives", self._send))
        if self._again < self._sent:
            actions.append(_Action(f"signal {signals[self._again][0]} arrives again", self._send_again))
        actions += [
            _Action(f"{held.told} fails with {error!r}", self._opener(held, error))
            for held in self._held
            for name, error in self._program.failures
            if name in (None, held.name)
        ]
        if self.crash_count < self._program.crashes:
            actions.append(_Action("the worker crashes", self._crash))
            for held in self._held:
                for is_after in (False, True):
                    side = "after" if is_after else "before"
                    told = f"{held.told} finishes, and the worker crashes {side} recording it"
                    actions.append(_Action(told, functools.partial(self._finish_and_crash, held, is_after)))
        return actions

    def _opener(self, held: _Held, error: Failure | None = None) -> Callable[[], None]:
        def act() -> None:
            held.error = error
            self._release(held)

        return act

    def _release(self, held: _Held) -> None:
        if held in self._held:
            self._held.remove(held)
            held.open()

    def _next_time_us(self) -> int | None:
        due = [due_us for due_us in (self._clock.next_alarm_us(), self._loop.next_timer_us()) if due_us is not None]
        return max(min(due), self._clock.now_us()) if due else None

    def _pass_time(self, until_us: int) -> None:
        self._clock.advance(max(0, until_us - self._clock.now_us()))

    def _send(self) -> None:
        self._sent += 1
        self._signal(self._sent)

    def _send_again(self) -> None:
        self._again += 1
        self._signal(self._again)

    def _signal(self, number: int) -> None:
        name, value = self._program.signals[number - 1]
        sending = self._system.executor.send_signal(self._root, name, value, key=str(number))
        self._sending = self._loop.create_task(sending)

    def _crash(self) -> None:
        self.crash_count += 1
        self._held.clear()
        self._system.replace_worker()

    def _finish_and_crash(self, held: _Held, is_after: bool) -> None:
        def around(has_written: bool, _: Sequence[Operation]) -> None:
            if has_written == is_after:
                self._system.on_commit = None
                self._crash()
                raise Killed

        self._system.on_commit = around
        self._release(held)

    # -- bodies ----------------------------------------------------------------------------------------------------

    async def _gate(self, name: str) -> None:
        """Hold a body back. An `asyncio.Event`, for waiting for one says nothing about the role of who waits."""
        gate = asyncio.Event()
        held = _Held(name, _call_text(name), gate.set)
        self._held.append(held)
        try:
            await gate.wait()
        finally:
            if held in self._held:
                self._held.remove(held)
        if held.error is not None:
            throw(held.error)

    def _hold_thread(self, work: Callable[[], None]) -> None:
        body = current_body.get()
        name = body.attempt.function.name if body is not None else "a thread"
        self._held.append(_Held(name, _call_text(name), work))

    # -- the end ---------------------------------------------------------------------------------------------------

    def _has_ended(self) -> bool:
        """Whether the run, or the one that goes on in its place, has an outcome."""
        store, run_id = self._system.store, self._root
        while (row := store.terminal_row(run_id)) is not None:
            event = wire.decode(row)
            if not isinstance(event, RunContinuedAsNew):
                return True
            run_id = event.next_run
        return False

    def _finish_the_rest(self) -> None:
        """Let everything that still runs end."""
        for _ in range(MOVES_AT_MOST):
            self._settle()
            if not self._held:
                break
            self._loop.call_soon(functools.partial(self._release, self._held[0]))

    def _why(self) -> str:
        store = self._system.store
        (loaded,) = store.load_runs([self._root])
        around = Surroundings(self._clock.now_us(), tuple(store.list_workers()))
        return why(loaded, wire.decode_history(loaded.rows), around)

    async def _make(self) -> System:
        system = System(self._clock, self._doubles, 0, SLOTS, self._checked)
        await system.start()
        return system


def _check_replay(histories: Iterable[Sequence[Event]]) -> None:
    """Every program makes the same calls again when it gets the same history."""
    for history in histories:
        error = judge(history, default_registry).error
        if isinstance(error, DivergenceError):
            report = error.message.partition("\nNothing was written")[0]
            raise WrongError(f"the same history does not give the same calls again.\n{report}")


def _call_text(name: str) -> str:
    """A body as a call of its run: `charge (call 3)`."""
    body = current_body.get()
    if body is None:
        return display_name(name)
    attempt = body.attempt
    item = f", item {attempt.item}" if attempt.item >= 0 else ""
    again = f", attempt {attempt.attempt}" if attempt.attempt > 1 else ""
    return f"{display_name(name)} (call {attempt.call}{item}{again})"

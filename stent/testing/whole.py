"""The stage for every program: the whole engine, with its store, its worker and its transactions.

Rules of this file:
- a body waits at a gate before it begins, and a thread's work is kept;
- a crash takes the worker from memory, between two commits or on either side of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from stent.client.current import current
from stent.clock import ManualClock
from stent.history import wire
from stent.history.events import Event, RunContinuedAsNew
from stent.history.operations import Operation
from stent.registry import default_registry
from stent.result import Result
from stent.testing.doubles import Doubles, throw
from stent.testing.embedded import Killed
from stent.testing.loop import VirtualLoop
from stent.testing.stage import START_US, Held, Program, WrongError
from stent.testing.system import System
from stent.worker.current import current_body
from stent.worker.slots import Attempt

SLOTS = 1_000  # the schedule decides what waits, not a lack of slots


class WholeEngine:
    """One schedule on the whole engine."""

    was_quiet = False  # what the program has seen is not known here

    def __init__(self, loop: VirtualLoop, program: Program) -> None:
        self.held: list[Held] = []
        self.crash_count = 0
        self.doubles = Doubles(default_registry)
        self.doubles.gate = self._gate
        self._loop = loop
        self._program = program
        self._clock = ManualClock(START_US)
        self._root = ""
        loop.begin(self._clock)
        loop.on_threaded = self._hold_thread
        self._system: System = loop.perform(self._make())
        current.push(self._system.client)

    def begin(self) -> None:
        program = self._program
        self._root = self._loop.perform(self._system.executor.dispatch(program.function, *program.args))

    def close(self) -> None:
        current.remove(self._system.client)
        self._loop.call_soon(self._system.abandon)
        self._loop.drain()

    # -- what happens ----------------------------------------------------------------------------------------------

    def post(self, act: Callable[[], object]) -> None:
        self._loop.call_soon(act)

    def settle(self) -> None:
        self._loop.drain()
        if self._loop.failures:
            raise self._loop.failures[0]
        stalled = self._system.store.stalled_runs(1)
        if stalled:
            raise WrongError(f"after a crash, the program does not do again what it did.\n{stalled[0].stall}")

    def release(self, held: Held) -> None:
        if held in self.held:
            self.held.remove(held)
            held.open()

    def release_and_crash(self, held: Held, is_after: bool) -> None:
        def around(has_written: bool, _: Sequence[Operation]) -> None:
            if has_written == is_after:
                self._system.on_commit = None
                self.crash()
                raise Killed

        self._system.on_commit = around
        self.release(held)

    def crash(self) -> None:
        self.crash_count += 1
        self.held.clear()
        self._system.replace_worker()

    def next_time_us(self) -> int | None:
        due = [due_us for due_us in (self._clock.next_alarm_us(), self._loop.next_timer_us()) if due_us is not None]
        return max(min(due), self._clock.now_us()) if due else None

    def now_us(self) -> int:
        return self._clock.now_us()

    def pass_time(self, until_us: int) -> None:
        self._clock.advance(max(0, until_us - self._clock.now_us()))

    def signal(self, name: str, value: Any, key: str) -> None:
        sending = self._system.executor.send_signal(self._root, name, value, key=key)
        self._sending = self._loop.create_task(sending)

    # -- what is seen ----------------------------------------------------------------------------------------------

    def has_ended(self) -> bool:
        store, run_id = self._system.store, self._root
        while (row := store.terminal_row(run_id)) is not None:
            event = wire.decode(row)
            if not isinstance(event, RunContinuedAsNew):
                return True
            run_id = event.next_run
        return False

    def histories(self) -> dict[str, list[Event]]:
        ids = sorted(self._system.run_ids(), key=lambda run_id: (run_id != self._root, run_id))
        return {run_id: self._system.history(run_id) for run_id in ids}

    def result(self) -> Result[Any]:
        found: Result[Any] = self._loop.perform(self._system.executor.result_of(self._root))
        return found

    def why(self) -> str:
        return self._system.why(self._root)

    # -- bodies ----------------------------------------------------------------------------------------------------

    async def _gate(self, name: str) -> None:
        """Hold a body back. An `asyncio.Event`, for waiting for one says nothing about the role of who waits."""
        gate = asyncio.Event()
        held = Held(name, _current_attempt(), gate.set)
        self.held.append(held)
        try:
            await gate.wait()
        finally:
            if held in self.held:
                self.held.remove(held)
        if held.error is not None:
            throw(held.error)

    def _hold_thread(self, work: Callable[[], None]) -> None:
        body = current_body.get()
        name = body.attempt.function.name if body is not None else "a thread"
        held = Held(name, _current_attempt(), work)

        def begin() -> None:
            self.doubles.fail_next = held.error
            work()

        held.open = begin
        self.held.append(held)

    async def _make(self) -> System:
        system = System(self._clock, self.doubles, 0, SLOTS)
        await system.start()
        return system


def _current_attempt() -> Attempt | None:
    body = current_body.get()
    return body.attempt if body is not None else None


__all__ = ["WholeEngine"]

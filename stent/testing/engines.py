"""The whole engine inside a test: a store in memory, a worker, and time that passes by itself when nothing else does.

Rules of this file:
- everything happens on the event loop of the test: no threads of ours, no files, the same order every time;
- one engine knows nothing of another, so that tests may run side by side;
- what an activity does for real (a socket, its own `asyncio.sleep`) takes the time it takes; the engine's time stands
  still meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from stent.client.current import current
from stent.client.views import ExecutionState
from stent.clock import SECOND_US, ManualClock, to_datetime
from stent.durable.function import Durable
from stent.duration import Duration, format_duration, parse_duration
from stent.errors import DivergenceError, ExpiryError, OptionError
from stent.history.events import Event
from stent.history.operations import Operation
from stent.registry import default_registry
from stent.replay.watch import Watch
from stent.result import Result
from stent.testing.doubles import Arguments, Doubles
from stent.testing.embedded import Killed
from stent.testing.ends import Ends
from stent.testing.pulse import Pulse
from stent.testing.system import System

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S = 5.0  # a test that is stuck should say so well before its own time limit


class StuckError(ExpiryError):
    """The test waits for a run that will not end by itself."""


class Engine:
    """An executor with its worker in memory. `executor` is the `Stent` behind it."""

    def __init__(self, system: System, patience_s: float) -> None:
        self.system = system
        self.executor = system.executor
        self.doubles = system.doubles
        self._clock = system.clock
        self._pulse = Pulse(
            system.clock,
            has_waiters=lambda: bool(system.client_link.waited_for),
            body_count=lambda: system.body_count - self.doubles.hanging,
            on_stuck=self._on_stuck,
            patience_s=patience_s,
        )
        system.on_activity = self._pulse.news
        self.crash_count = 0
        self.ends = Ends(asyncio.get_running_loop(), self._fall)
        """Those of bodies, counted if every event has a commit of its own."""
        if system.commits_singly:
            self.doubles.on_end = self.ends.hear

    # -- as an executor --------------------------------------------------------------------------------------------

    async def dispatch(self, function: Durable[P, R] | str, *args: Any, **kwargs: Any) -> str:
        """Start a run; its id. As `Stent.dispatch`."""
        return await self.executor.dispatch(function, *args, **kwargs)

    async def wait_for(self, execution_id: str, expiry: Duration | None = None) -> Result[Any]:
        """The outcome of a run. Time passes by itself meanwhile; `expiry` counts virtual time."""
        if expiry is None:
            return await self.executor.wait_for(execution_id)
        expiry_us = parse_duration(expiry, name="expiry")
        rung = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(self.executor.wait_for(execution_id))
        alarm = self._clock.call_later(expiry_us, rung.cancel)
        try:
            await asyncio.wait({waiting, rung}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            alarm.cancel()
            waiting.cancel()
            rung.cancel()
        raise ExpiryError(
            f"run {execution_id} had no outcome within {format_duration(expiry_us)}",
            fix="wait longer; the run goes on by itself",
            run_id=execution_id,
        )

    async def send_signal(self, execution_id: str, name: str, value: Any = None, *, key: str | None = None) -> bool:
        """Send a named message to a run; False if one with this `key` was sent before."""
        return await self.executor.send_signal(execution_id, name, value, key=key)

    async def cancel(self, execution_id: str, reason: str = "") -> bool:
        """Ask a run to stop; False if it had ended already."""
        return await self.executor.cancel(execution_id, reason)

    async def state_of(self, execution_id: str) -> ExecutionState:
        """The state of a run: a text such as "running"."""
        return await self.executor.state_of(execution_id)

    async def result_of(self, execution_id: str) -> Result[Any]:
        """The outcome of a run that has ended."""
        return await self.executor.result_of(execution_id)

    def history(self, execution_id: str) -> list[Event]:
        """The recorded events of a run, in order."""
        return self.system.history(execution_id)

    def runs(self) -> list[str]:
        """The ids of all runs of the test, oldest first."""
        return self.system.run_ids()

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The engine's time."""
        return to_datetime(self._clock.now_us())

    async def advance(self, by: Duration) -> None:
        """Let time pass: every timer, retry and deadline until then takes effect, in its order.

        Activities that run are not waited for: it is as if they took that long.
        """
        until_us = self._clock.now_us() + parse_duration(by, name="by")
        await self.settle()
        while (due_us := self._clock.next_alarm_us()) is not None and due_us <= until_us:
            self._clock.advance(max(0, due_us - self._clock.now_us()))
            await self.settle()
        self._clock.advance(max(0, until_us - self._clock.now_us()))
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing more happens at this time. An activity that waits for the real world is not waited for."""
        is_automatic, self._pulse.is_automatic = self._pulse.is_automatic, False
        try:
            await self._pulse.settle()
        finally:
            self._pulse.is_automatic = is_automatic

    # -- doubles ---------------------------------------------------------------------------------------------------

    def result(self, function: Durable[..., Any], value: Any, *, times: int | None = None) -> None:
        """Let an activity return this instead of running, so many `times` or from here on."""
        self.doubles.result(function, value, times=times)

    def fail(
        self, function: Durable[..., Any], error: BaseException | type[BaseException], times: int | None = 1
    ) -> None:
        """Let an activity raise this instead of running: so many `times`, or from here on with None."""
        self.doubles.fail(function, error, times=times)

    def replace(self, function: Durable[..., Any], double: Callable[..., Any], *, times: int | None = None) -> None:
        """Let an activity do this instead; it is called with the same arguments, and may be an `async def`."""
        self.doubles.replace(function, double, times=times)

    def hang(self, function: Durable[..., Any], *, times: int | None = None) -> None:
        """Let an activity never answer. Time passes all the same, so that a time limit around it is reached."""
        self.doubles.hang(function, times=times)

    def restore(self, function: Durable[..., Any]) -> None:
        """Let an activity do its own again."""
        self.doubles.restore(function)

    def calls(self, function: Durable[..., Any]) -> list[Arguments]:
        """The arguments (`.args`, `.kwargs`) of every body of an activity that began, in order."""
        return self.doubles.calls(function)

    # -- crashes ---------------------------------------------------------------------------------------------------

    async def crash(self) -> None:
        """Drop the worker from memory, as SIGKILL would, and let another one take over.

        Running activities are cancelled, and run again. What was recorded stays.
        """
        self._fall()
        await self.settle()

    def crash_at(self, commit: int, *, is_after: bool) -> None:
        """Crash once, before or after the worker's commit of this number (from 1)."""

        def around(has_written: bool, _: Sequence[Operation]) -> None:
            if self.commit_count == commit and has_written == is_after:
                self._fall()
                raise Killed

        self.system.on_commit = around

    def crash_at_end(self, number: int) -> None:
        """Crash once, when the body of this number (from 1) has ended, and before anything of it is recorded.

        Only where every event has a commit of its own.
        """
        self.ends.fatal = number

    @property
    def commit_count(self) -> int:
        """How many commits the workers have begun."""
        return self.system.commit_count

    def _fall(self) -> None:
        self.crash_count += 1
        self.system.replace_worker()
        self._pulse.news()

    # -- the end ---------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Stop the worker, and let durable calls go where they went before."""
        current.remove(self.system.client)
        self._pulse.close()
        await self.system.close()

    def _on_stuck(self, is_out_of_patience: bool) -> bool:
        """Nothing will happen by itself any more: tell those who wait, if it is certain or has lasted."""
        link = self.system.client_link
        stalled = self.system.store.stalled_runs(1)
        if stalled:
            error: Exception = DivergenceError(stalled[0].stall or "", run_id=stalled[0].run_id)
        elif is_out_of_patience:
            error = StuckError(
                "nothing will happen by itself any more, and the test waits.\n"
                + "\n".join(self.system.why(run_id) for run_id in link.waited_for),
                fix="send the signal, finish the activity, or give the wait a time limit",
            )
        else:
            return False
        for run_id in link.waited_for:
            link.refuse(run_id, error)
        return True


@contextlib.asynccontextmanager
async def engine(
    *,
    start: datetime = DEFAULT_START,
    seed: int = 0,
    max_concurrency: int = 10,
    skips_time: bool = True,
    patience_s: float = PATIENCE_S,
    watch: Watch | bool = True,
    commits_singly: bool = False,
) -> AsyncIterator[Engine]:
    """An engine in memory; durable calls in the block go to it.

    `start` is its first moment, `seed` makes its ids and its jitter. While the test waits for a run and nothing else is
    to be done, time jumps to what is due next; with `skips_time=False` only `advance` moves it. A test that waits for
    what will never come gets a `StuckError` after `patience_s` real seconds.

    An orchestrator that runs for the first time is watched: it is refused what would not replay, also in libraries and
    behind `getattr`, with the line. `watch=False` does without.

    With `commits_singly` every event has a commit of its own, and not those that happen together one: then a crash at
    the commits is a crash at every event.
    """
    if start.tzinfo is None:
        raise OptionError(f"start={start!r} has no time zone", fix="datetime(2026, 1, 1, tzinfo=UTC)", option="start")
    clock = ManualClock(round(start.timestamp() * SECOND_US))
    watched_by = (Watch() if watch else None) if isinstance(watch, bool) else watch
    doubles = Doubles(default_registry)
    system = System(clock, doubles, seed, max_concurrency, watched_by, commits_singly=commits_singly)
    opened = Engine(system, patience_s)
    opened._pulse.is_automatic = skips_time
    await system.start()
    current.push(system.client)
    try:
        yield opened
    finally:
        await opened.close()


__all__ = ["Arguments", "Engine", "StuckError", "engine"]

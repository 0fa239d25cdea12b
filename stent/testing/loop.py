"""An event loop that never waits: it runs what is ready, then gives control back, and its time is the engine's.

Rules of this file:
- time passes when the clock is moved, and in no other way; so a body's own `asyncio.sleep` takes no real time either;
- what would go to a thread is kept, until it is said when it happens;
- there is no outside world: whoever wants a socket gets NotImplementedError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from stent.clock import SECOND_US, ManualClock


class VirtualLoop(asyncio.BaseEventLoop):
    """One loop for many programs, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = ManualClock()
        self._start_us = self._clock.now_us()
        self._clock_resolution = 1e-6
        self._selector = self
        self._idle: asyncio.Task[Any] | None = None
        self.failures: list[BaseException] = []
        self.on_threaded: Callable[[Callable[[], None]], None] = lambda work: work()
        self.set_exception_handler(self._keep_failure)
        self.set_task_factory(_quiet_task)

    def idle_task(self) -> asyncio.Task[Any]:
        """A task that has nothing to do, to be the current one where a body is run by hand."""
        if self._idle is None:
            self._idle = self.create_task(_idle())
            self.drain()
        return self._idle

    def begin(self, clock: ManualClock) -> None:
        """Take the time from this clock; what the last program left behind is forgotten."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.drain()
        self._scheduled.clear()  # type: ignore[attr-defined]  # of the base class
        self.failures.clear()
        self._clock = clock
        self._start_us = clock.now_us()

    def time(self) -> float:
        return (self._clock.now_us() - self._start_us) / SECOND_US

    def drain(self) -> None:
        """Run what is ready, and what that makes ready, until nothing is."""
        self.call_soon(_nothing)
        self.run_forever()

    def perform(self, coroutine: Any) -> Any:
        """Run a coroutine that waits for nothing but what is ready; its result."""
        task = self.create_task(coroutine)
        self.drain()
        return task.result()

    def next_timer_us(self) -> int | None:
        """When the next timer of a body is due, by the clock."""
        due = [handle.when() for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        return self._start_us + round(min(due) * SECOND_US) + 1 if due else None

    def select(self, timeout: float | None) -> list[Any]:
        """What a selector does: wait. Here nothing is worth waiting for."""
        if timeout is None or timeout > 0:
            self.stop()
        return []

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]  # wider than typeshed's
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # likewise
        future = self.create_future()

        def work() -> None:
            if future.done():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # border: whatever the work raises is its answer
                future.set_exception(error)

        self.on_threaded(work)
        return future

    def _keep_failure(self, _: Any, context: dict[str, Any]) -> None:
        """No callback of the engine may fail; a fire-and-forget task of a program may."""
        if "exception" in context and "future" not in context:
            self.failures.append(context["exception"])

    def _process_events(self, event_list: Any) -> None:
        return

    def _write_to_self(self) -> None:
        return


async def _idle() -> None:
    return


def _nothing() -> None:
    return


def _quiet_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # a program may leave some behind
    return task


__all__ = ["VirtualLoop"]

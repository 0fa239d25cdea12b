"""An event loop whose time jumps to the next timer when nothing is ready, and which can stop a process dead.

Every callback belongs to the simulated process in whose context it was scheduled. A dead process runs nothing more, no
`finally` and no `except`, as after SIGKILL; a frozen one goes on where it stood once it is thawed, as after SIGCONT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol

CLOSE_ATTEMPTS = 5


class Stuck(Exception):
    """Nothing is ready and no timer is set: whatever is awaited will never come."""


class Process(Protocol):
    """What the loop needs to know of a simulated process."""

    is_dead: bool
    is_frozen: bool
    backlog: list[tuple[Callable[..., object], tuple[Any, ...], Context]]


current_process: ContextVar[Process | None] = ContextVar("simulated_process", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """Time is a number that `select` moves."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = 1e-6
        self._selector = self
        self.set_task_factory(_quiet_task)
        self.failures: list[BaseException] = []
        self.set_exception_handler(self._keep_failure)

    def time(self) -> float:
        return self._now_s

    def select(self, timeout: float | None) -> list[Any]:
        """What a selector does: wait. Here waiting is adding."""
        if timeout is None:
            raise Stuck
        self._now_s += timeout
        return []

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return super().call_soon(_guarded, self, callback, args, context=context or copy_context())

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return super().call_at(when, _guarded, self, callback, args, context=context or copy_context())

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Work of threads is done at once, here; its answer comes with the next turn."""
        future = self.create_future()

        def work() -> None:
            if future.done():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # border: whatever the work raises is its answer
                future.set_exception(error)

        self.call_soon(work)
        return future

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on with what it had before it."""
        process.is_frozen = False
        backlog, process.backlog = process.backlog, []
        for callback, args, context in backlog:
            self.call_soon(callback, *args, context=context)

    def _keep_failure(self, _: Any, context: dict[str, Any]) -> None:
        """No callback of the engine may fail; a fire-and-forget task of a program may."""
        if "exception" in context and "future" not in context:
            self.failures.append(context["exception"])

    def _process_events(self, event_list: Any) -> None:
        return

    def _write_to_self(self) -> None:
        return

    def bury(self) -> None:
        """Close the coroutines of all tasks that will never run again; what they say to that is of no interest."""
        current_process.set(None)
        for task in asyncio.all_tasks(self):
            coroutine: Any = task.get_coro()
            for _ in range(CLOSE_ATTEMPTS):
                try:
                    coroutine.close()
                    break
                except BaseException:  # border: the code of a process that is dead
                    continue


def _guarded(loop: VirtualLoop, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
    process = current_process.get()
    if process is not None:
        if process.is_dead:
            return
        if process.is_frozen:
            process.backlog.append((callback, args, copy_context()))
            return
    callback(*args)


def _quiet_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the tasks of a killed process stay pending
    return task

"""An event loop whose time jumps to the next timer when nothing is ready, and which can stop a process dead.

Every callback belongs to the simulated process in whose context it was scheduled. A dead process runs nothing more, no
`finally` and no `except`, as after SIGKILL; a frozen one goes on where it stood once it is thawed, as after SIGCONT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol

from stent.testing.loop import VirtualLoop

CLOSE_ATTEMPTS = 5


class Stuck(Exception):
    """Nothing is ready and no timer is set: whatever is awaited will never come."""


class Process(Protocol):
    """What the loop needs to know of a simulated process."""

    is_dead: bool
    is_frozen: bool
    backlog: list[tuple[Callable[..., object], tuple[Any, ...], Context]]


current_process: ContextVar[Process | None] = ContextVar("simulated_process", default=None)


class WorldLoop(VirtualLoop):
    """Time is a number that `select` moves; what would go to a thread is done here, in the next turn."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self.on_threaded = self.call_soon

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

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on with what it had before it."""
        process.is_frozen = False
        backlog, process.backlog = process.backlog, []
        for callback, args, context in backlog:
            self.call_soon(callback, *args, context=context)

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


def _guarded(loop: WorldLoop, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
    process = current_process.get()
    if process is not None:
        if process.is_dead:
            return
        if process.is_frozen:
            process.backlog.append((callback, args, copy_context()))
            return
    callback(*args)

"""The deterministic event loop that orchestrators run on.

Rules of this file:
- the ready queue is a deque, first in first out; the clock is the history's; timers are commands;
- eight methods carry all of asyncio that an orchestrator needs; every other one raises, naming the user's line;
- tasks are numbered in the order of their creation and know their place in the tree of tasks.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
from asyncio import events as asyncio_events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, Protocol

from stent.replay.as_completed import siblings_of
from stent.replay.tasks import DurableFuture, RunFuture, RunTask

CALLBACKS_A_TURN = 1_000_000  # a turn of the widest gather seen (100,000 calls) takes 300,000
LONGEST_WAIT_US = 1_000 * 366 * 86_400 * 1_000_000  # a thousand years: what `asyncio.sleep(math.inf)` becomes
MIN_TASKS_TO_SWEEP = 64


class Host(Protocol):
    """What the loop asks of the execution it serves."""

    def start_timer(
        self, delay_us: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> Any:
        """A timer that is due `delay_us` from now."""
        ...

    def withdraw(self, future: DurableFuture) -> None:
        """The program cancelled a durable future."""
        ...

    def forbidden(self, what: str) -> BaseException:
        """What to raise when the program asks for the outside world."""
        ...

    def elapsed_us(self) -> int:
        """Microseconds from the start of the run to the last delivered event."""
        ...


class EndlessTurn(Exception):
    """A turn took CALLBACKS_A_TURN callbacks without waiting for anything."""


class ReadyHandle(list[Any]):
    """A callback in the ready queue, its arguments and its context.

    A list because one is made for each thing that runs, and no other class is made as quickly.
    """

    __slots__ = ()

    def cancel(self) -> None:
        self[0] = None

    def cancelled(self) -> bool:
        return self[0] is None


class ReplayLoop(asyncio.AbstractEventLoop):
    """An event loop for one run."""

    __slots__ = (
        "_ready",
        "_siblings",
        "_tasks",
        "context",
        "host",
        "is_active",
        "is_dead",
        "is_stopped",
        "next_hash",
    )

    def __init__(self, host: Host, salt: int) -> None:
        self.host = host
        self.context = Context()
        self.is_stopped = False
        """Whether nothing more may run in this turn."""
        self.is_dead = False
        """Whether nothing may ever run again: the program does not fit its history, or is dropped from memory.

        What it still asks for is given to it, and never answered: whoever awaits that goes no further. Raising would do
        more harm: inside of asyncio, and where a coroutine that was made for the same line is then never awaited.
        """
        self.is_active = False
        self._ready: deque[ReadyHandle] = deque()
        self.next_hash: Callable[[], int] = itertools.count((salt << 32) + 1).__next__
        """The next number of this run, salted: what its tasks and futures hash by."""
        self._tasks: list[RunTask] = []
        self._siblings: dict[int, RunTask] = {}

    # -- running ---------------------------------------------------------------------------------------------------

    def activate(self, action: Callable[[], None]) -> None:
        """Do something as the program's own loop: its code finds this loop, and not the one that serves the process.

        Costs about as much as a turn, so a replay activates the loop once for all of its turns.
        """
        previous_loop = asyncio_events._get_running_loop()
        previous_hooks = sys.get_asyncgen_hooks()
        asyncio_events._set_running_loop(self)
        # Without hooks of our own the real loop would run the cleanup of an orchestrator's generators, for real.
        sys.set_asyncgen_hooks(firstiter=None, finalizer=_leave_generator)
        self.is_active = True
        try:
            action()
        finally:
            self.is_active = False
            sys.set_asyncgen_hooks(*previous_hooks)
            asyncio_events._set_running_loop(previous_loop)

    def drain(self) -> None:
        """Run callbacks until none is left, or until the host stops the loop. Only while the loop is active."""
        ready = self._ready
        count = 0
        while ready and not self.is_stopped:
            callback, args, context = ready.popleft()
            if callback is None:
                continue
            try:
                context.run(callback, *args)
            except KeyboardInterrupt:
                raise  # somebody at a terminal, not the program
            except BaseException as error:  # border: as in asyncio, a callback that fails does not end the loop
                self.call_exception_handler({"exception": error})
            count += 1
            if count > CALLBACKS_A_TURN:
                raise EndlessTurn

    def adopt(self, task: RunTask) -> None:
        """Keep a task that was not made by the task factory."""
        self._tasks.append(task)

    def live_tasks(self) -> list[RunTask]:
        """Tasks that have not finished, in the order of their creation."""
        self._sweep()
        return list(self._tasks)

    def _sweep(self) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]

    def kill(self) -> list[RunTask]:
        """Nothing may run here again. Returns the tasks that were alive, in the order of their creation."""
        tasks = self.live_tasks()
        self.is_stopped = self.is_dead = True
        self._ready.clear()
        self._tasks.clear()
        self._siblings.clear()
        return tasks

    def current_path(self) -> str:
        """The running task's place in the tree of tasks."""
        task = asyncio.current_task(self)
        return task.path if isinstance(task, RunTask) else "0"

    # -- what asyncio needs ----------------------------------------------------------------------------------------

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        """Seconds since the start of the run, as its history counts them."""
        return self.host.elapsed_us() / 1_000_000

    def create_future(self) -> RunFuture:
        return RunFuture(loop=self)

    # asyncio promises handles of its own classes; it only ever cancels them.

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = ReadyHandle((callback, args, copy_context() if context is None else context))
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        if delay <= 0:
            return self.call_soon(callback, *args, context=context)
        return self.host.start_timer(
            microseconds_of(delay), callback, args, copy_context() if context is None else context
        )

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        return self.call_later(when - self.time(), callback, *args, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Replay is silent: an exception that nobody awaited is in the history already."""

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None, **_options: Any
    ) -> Any:
        """The task factory: a durable call is its own task, anything else becomes a numbered one."""
        if isinstance(coro, DurableFuture):
            return coro
        if self.is_dead:
            coro.close()  # it will never run, and should not warn of that
            return RunFuture(loop=self)
        if self._siblings:
            made = self._siblings.pop(id(coro), None)
            if made is not None and made.get_coro() is coro:
                return made
        siblings = siblings_of(coro)
        if siblings is not None:
            return self._create_in_order(coro, siblings)
        return self._new_task(coro, name, context)

    def _new_task(self, coro: Coroutine[Any, Any, Any], name: str | None, context: Context | None) -> RunTask:
        parent = asyncio.current_task(self)
        if isinstance(parent, RunTask):
            parent.child_count += 1
            path = f"{parent.path}.{parent.child_count}"
        else:
            path = "0"
        task = RunTask(coro, loop=self, name=name, context=copy_context() if context is None else context, path=path)
        if len(self._tasks) >= MIN_TASKS_TO_SWEEP and len(self._tasks) & (len(self._tasks) - 1) == 0:
            self._sweep()
        self._tasks.append(task)
        return task

    def _create_in_order(self, wanted: Any, siblings: list[Any]) -> RunTask:
        """Make the tasks of all siblings in their own order, and hand out the one that was asked for."""
        made = {id(coro): self._new_task(coro, None, None) for coro in siblings}
        task = made.pop(id(wanted))
        self._siblings.update(made)
        return task

    # -- what an orchestrator may not ask for ----------------------------------------------------------------------

    def _refuse(self, name: str) -> Any:
        raise self.host.forbidden(f"asyncio's loop.{name}()")


def running_replay_loop() -> ReplayLoop | None:
    """The loop of the orchestrator that the running code belongs to."""
    loop = asyncio._get_running_loop()
    return loop if type(loop) is ReplayLoop else None


def _forbidden_method(name: str) -> Any:
    def refuse(self: ReplayLoop, *_args: Any, **_kwargs: Any) -> Any:
        return self._refuse(name)

    refuse.__name__ = name
    return refuse


def microseconds_of(delay: float) -> int:
    """A delay in whole microseconds, rounded up: a timer is never early.

    Sums and differences of seconds are off by far less than 0.1 us, which must not become a microsecond.
    """
    if delay * 1_000_000 >= LONGEST_WAIT_US:
        return LONGEST_WAIT_US
    return max(1, math.ceil(round(delay * 1_000_000, 1)))


_ALLOWED = frozenset(name for name in vars(ReplayLoop) if not name.startswith("__"))
for _name in dir(asyncio.AbstractEventLoop):
    if not _name.startswith("__") and _name not in _ALLOWED:
        setattr(ReplayLoop, _name, _forbidden_method(_name))
del _name


def _leave_generator(_generator: Any) -> None:
    """An abandoned async generator of an orchestrator is dropped, not run on: its cleanup would be durable work."""

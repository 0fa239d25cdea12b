"""Running the bodies of activities, as many at a time as this worker has slots.

Rules of this file:
- a slot is held while a body runs, and by nothing else: not by what waits, not by what is being written;
- a body that makes a durable call before it has awaited real I/O is dropped and becomes an orchestrator; nothing is
  injected into it that it could swallow;
- a body that is stopped gets a CancelledError as any task does; what it raises after that counts for nothing, what it
  returns is its result.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stent.codec import encode
from stent.duration import format_duration
from stent.errors import CallTimeoutError, MixedRoleError, PlaceError, RoleError, StentError
from stent.history.events import Site
from stent.replay.sites import calling_site
from stent.replay.stacks import await_frames, await_stack
from stent.worker.current import current_body
from stent.worker.frames import cut_to_users
from stent.worker.outcomes import Outcome, Promoted, Raised, Returned, Stopped
from stent.worker.slots import Attempt, Loan, Source, WorkQueue

Finished = Callable[[Attempt, Outcome], None]

_UNDECIDED_FILES = frozenset(
    module.__file__ for module in (asyncio.tasks, asyncio.taskgroups, asyncio.timeouts, asyncio.locks, asyncio.queues)
)
"""Whoever waits in these waits for time or for tasks of its own, as an orchestrator may."""
_Gathering: type = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]  # a private class


class _Dropped(BaseException):
    """The body turned out to be an orchestrator. Raised around it, never into it."""


class Body:
    """One attempt while it runs."""

    __slots__ = ("_parked", "attempt", "first_wait", "is_promoted", "is_stopped", "is_threaded", "task")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.task: asyncio.Task[None] | None = None
        self.is_promoted = False
        self.is_stopped = False
        self.is_threaded = not attempt.function.is_async
        self.first_wait: Site | None = None
        self._parked: list[asyncio.Future[Any]] = []

    def park(self) -> asyncio.Future[Any]:
        """A durable call was made in this body: it is an orchestrator, unless it has done real I/O already."""
        name = self.attempt.function.display_name
        site = calling_site()
        if self.is_threaded:
            raise PlaceError(
                f"{name}() is a plain def and makes a durable call at {site}",
                fix="make it an async def, so that it can be replayed",
            )
        if self.attempt.function.options.role == "activity":
            raise RoleError(
                f"{name}() is declared an activity and makes a durable call at {site}",
                fix="leave role= out, or move the call into an orchestrator",
                call_site=str(site),
            )
        if self.first_wait is not None:
            raise MixedRoleError(
                f"{name}() awaits real I/O at {self.first_wait} and makes a durable call at {site}",
                fix="put the I/O into a durable function of its own, and call that here",
                io_site=str(self.first_wait),
                call_site=str(site),
            )
        if self.attempt.is_role_fixed:
            raise MixedRoleError(
                f"{name}() began as an activity and makes a durable call at {site}",
                fix='declare it: @Stent.durable(role="orchestrator"), with all I/O in durable functions of its own',
                call_site=str(site),
            )
        loop = asyncio.get_running_loop()
        if not self.is_promoted:
            self.is_promoted = True
            if self.task is not None and asyncio.current_task() is not self.task:
                self.task.cancel()  # the call was made in a task that the body started: wake the driver
        parked: asyncio.Future[Any] = loop.create_future()
        self._parked.append(parked)
        return parked

    def drop(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Throw the body away: its `finally` blocks run as far as they do not wait."""
        with contextlib.suppress(BaseException):  # border: a body that is thrown away may say what it likes
            coroutine.close()
        for parked in self._parked:
            parked.cancel()
        for task in _tasks_of(self):
            task.cancel()


class _Driver:
    """Awaits by hand a body that waits, so that it can be left at any await without the body noticing."""

    __slots__ = ("_body", "_coroutine", "_waits_for")

    def __init__(self, body: Body, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._body = body
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        body, coroutine, waits_for = self._body, self._coroutine, self._waits_for
        while True:
            if body.is_promoted:
                raise _Dropped
            if body.first_wait is None:
                body.first_wait = _real_wait(coroutine, waits_for)
            error: BaseException | None = None
            try:
                yield waits_for
            except BaseException as thrown:  # border: cancellation belongs to the body, unless it is dropped
                if body.is_promoted:
                    raise _Dropped from None
                error = thrown
            try:
                waits_for = coroutine.send(None) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return _value_of(body, stop)


def _value_of(body: Body, stop: StopIteration) -> Any:
    """What a body has returned."""
    if body.is_promoted:
        raise _Dropped from None
    return stop.value


def _real_wait(coroutine: Any, waits_for: Any) -> Site | None:
    """Where a body waits for the world outside. Time, its own tasks and a bare yield decide nothing."""
    if waits_for is None or isinstance(waits_for, asyncio.Task | _Gathering):
        return None
    frames = await_frames(coroutine)
    if frames and frames[-1].f_code.co_filename in _UNDECIDED_FILES:
        return None
    stack = await_stack(coroutine)
    return stack[-1] if stack else None


def _tasks_of(body: Body) -> list[asyncio.Task[Any]]:
    """The tasks that a body has started, which run in copies of its context.

    Python 3.11 does not show the context of a task: there they go on until they end by themselves.
    """
    context_of = getattr(asyncio.Task, "get_context", None)
    if context_of is None:
        return []
    tasks = asyncio.all_tasks() - {body.task}
    return [task for task in tasks if context_of(task).get(current_body) is body]


class Bodies:
    """The slots of a worker."""

    def __init__(self, slots: int, finished: Finished) -> None:
        self.slots = slots
        self._finished = finished
        self._queue = WorkQueue()
        self._running: set[Body] = set()  # not by place: a body that ignores its stop may be here beside its successor
        self._threads: ThreadPoolExecutor | None = None
        self._is_closed = False
        self.reserved = 0
        """Slots that a claim on its way has asked for."""

    @property
    def free_slots(self) -> int:
        """Slots that nobody has and no claim has asked for."""
        return max(0, self.slots - len(self._running) - self.reserved)

    @property
    def running_count(self) -> int:
        return len(self._running)

    @property
    def waiting_count(self) -> int:
        """How many sources wait; a batch counts as one."""
        return len(self._queue)

    def push(self, source: Source) -> None:
        """Give a source slots if there are any, and a place in the queue for what is left of it."""
        if not self._queue and not self._is_closed and len(self._running) < self.slots:
            attempt = source.next_attempt()  # nothing waits: the queue would give it at once
            if attempt is not None:
                self._start(attempt)
            if source.is_empty():
                return
        self._queue.push(source)
        self.fill()

    def fill(self) -> None:
        """Start waiting attempts in free slots."""
        while not self._is_closed and len(self._running) < self.slots:
            attempt = self._queue.pop()
            if attempt is None:
                return
            self._start(attempt)

    def lend(self, count: int) -> list[Loan]:
        """Give up to `count` waiting attempts to others."""
        return self._queue.lend(count)

    def stop(self, run_id: str, call: int | None = None, claim: int | None = None) -> None:
        """Stop what runs for a run, or for one call of it: under a claim, or without one."""
        for body in list(self._running):
            attempt = body.attempt
            if attempt.run_id == run_id and attempt.claim == claim and call in (None, attempt.call):
                self._stop(body)

    async def close(self, grace_s: float) -> None:
        """Start nothing more; let running bodies finish for `grace_s`, then stop them."""
        self._is_closed = True
        tasks = [body.task for body in self._running if body.task is not None]
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)
        for body in list(self._running):
            self._stop(body)
        tasks = [task for task in tasks if not task.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_WAIT_S)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _stop(self, body: Body) -> None:
        if not body.is_stopped:
            body.is_stopped = True
            if body.task is not None:
                body.task.cancel()

    def _start(self, attempt: Attempt) -> None:
        body = Body(attempt)
        self._running.add(body)
        body.task = asyncio.get_running_loop().create_task(self._run(body), name=f"stent-{attempt.function.name}")

    async def _run(self, body: Body) -> None:
        """Run one body to its end, give its slot to the next one, then tell."""
        attempt = body.attempt
        try:
            outcome = await self._outcome(body)
        finally:
            self._running.discard(body)
        if body.is_stopped and not isinstance(outcome, Returned):
            outcome = Stopped()
        self._finished(attempt, outcome)
        self.fill()

    async def _outcome(self, body: Body) -> Outcome:
        attempt = body.attempt
        function = attempt.function
        current_body.set(body)
        try:
            args, kwargs = attempt.args if attempt.args is not None else _decoded(attempt)
            timeout_us = attempt.options.timeout_us
            if timeout_us is None:
                value = await self._call(body, args, kwargs)
            else:
                value = await self._call_in_time(body, args, kwargs, timeout_us)
            return Returned(encode(value, function.types, where=function.result_name))
        except _Dropped:
            return Promoted()
        except asyncio.CancelledError as error:
            return Stopped() if body.is_stopped else Raised(cut_to_users(error))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # border: the user's function; what it raises is its answer
            return Raised(cut_to_users(error))

    async def _call_in_time(self, body: Body, args: Any, kwargs: Any, timeout_us: int) -> Any:
        """One attempt with a time limit."""
        limit = asyncio.timeout(timeout_us / 1_000_000)
        try:
            async with limit:
                return await self._call(body, args, kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise
            name = body.attempt.function.display_name
            raise CallTimeoutError(
                f"{name}() did not finish within {format_duration(timeout_us)}", timeout_us=timeout_us
            ) from error

    async def _call(self, body: Body, args: Any, kwargs: Any) -> Any:
        function = body.attempt.function
        if not function.is_async:
            return await self._call_in_thread(function.body, args, kwargs)
        coroutine = function.body(*args, **kwargs)
        try:
            try:
                waits_for = coroutine.send(None)
            except StopIteration as stop:
                return _value_of(body, stop)
            return await _Driver(body, coroutine, waits_for)
        except _Dropped:
            body.drop(coroutine)
            task = asyncio.current_task()
            while task is not None and task.cancelling() > 0 and not body.is_stopped:
                task.uncancel()
            raise

    async def _call_in_thread(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.slots, thread_name_prefix="stent-activity")
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: context.run(_sync_result, function, args, kwargs))


STOP_WAIT_S = 0.5  # a body that ignores its cancellation for this long is left behind


def _sync_result(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        # As in a coroutine: a StopIteration cannot travel through a future.
        raise StentError(f"{getattr(function, '__name__', 'the function')}() raised StopIteration") from error


def _decoded(attempt: Attempt) -> tuple[tuple[object, ...], dict[str, object]]:
    assert attempt.arguments is not None, "an attempt has its arguments in one form or the other"
    return attempt.function.decode_arguments(attempt.arguments)

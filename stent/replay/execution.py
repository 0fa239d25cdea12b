"""An orchestrator as a value: one event in, new commands out.

Rules of this file:
- `apply` delivers ONE event and runs the program until it waits again. Never several events at once: then neither
  batching nor the speed of a worker can influence the program, and log order alone decides every race;
- replaying is applying recorded events while the matcher checks the commands they provoke against the recorded ones;
  going on live is the same object and the next event;
- a value that the program sees is always the decoded form of what was stored;
- no I/O, no clock, no threads, no logging.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any

from stent.errors import ForbiddenInOrchestratorError, RoleError, SerializationError
from stent.history.events import (
    BatchItemsCompleted,
    CallCompleted,
    CallFailed,
    CallOptions,
    CallScheduled,
    CancelRequested,
    Event,
    PatchRecorded,
    RoleCorrected,
    RunStarted,
    SignalReceived,
    Site,
    TimerFired,
    TimerStarted,
)
from stent.ids import stable_number
from stent.registry import Function
from stent.replay import guard
from stent.replay.awaited import Awaited, CallFuture, SignalFuture, Timer, call_future
from stent.replay.batches import BatchFuture
from stent.replay.closing import close_tasks
from stent.replay.commands import (
    AwaitSignal,
    CancelCall,
    CancelRun,
    CancelTimer,
    Command,
    RecordPatch,
    ScheduleBatch,
    ScheduleCall,
    StartTimer,
)
from stent.replay.endings import (
    ContinueAsNew as ContinueAsNew,
    NotAnOrchestrator as NotAnOrchestrator,
    RunDropped as RunDropped,
    deadlock,
    ending_of,
    endless_turn,
    failure,
)
from stent.replay.loop import EndlessTurn, ReplayLoop
from stent.replay.matcher import Matcher, Mismatch
from stent.replay.rules import LOOP
from stent.replay.sites import calling_site
from stent.replay.stacks import await_stack
from stent.replay.tasks import DurableFuture, RunTask
from stent.replay.watch import current_watch


class Execution:
    """One run of an orchestrator: suspended, finished, diverged or dropped."""

    __slots__ = (
        "_awaited",
        "_cancel_reason",
        "_loop",
        "_main",
        "_matcher",
        "_patches",
        "_random",
        "_watch",
        "function",
        "has_commands",
        "is_done",
        "is_dropped",
        "is_strict_role",
        "last_at_us",
        "last_call",
        "refused",
        "run_id",
        "started",
        "started_at_us",
        "unread_signals",
        "wants_activity",
    )

    def __init__(self, function: Function, *, is_strict_role: bool = False) -> None:
        self.function = function
        self.is_strict_role = is_strict_role or function.options.role == "orchestrator"
        self.run_id = ""
        self.started: RunStarted | None = None
        self.started_at_us = 0
        self.last_at_us = 0
        self.last_call = 0
        self.has_commands = False
        self.is_done = False
        self.is_dropped = False
        self.wants_activity: BaseException | None = None
        self._loop: ReplayLoop | None = None
        self._main: RunTask | None = None
        self._matcher = Matcher()
        self._awaited = Awaited(function.types)
        self.unread_signals = self._awaited.unread
        """What has come and the program has not asked for, in the order in which it came."""
        self._patches: dict[str, bool] = {}
        self._random: random.Random | None = None
        self._cancel_reason: str | None = None
        self.refused: ForbiddenInOrchestratorError | None = None
        """What the program was refused under a watch: that is how the run ends, even if the program handles it."""
        self._watch = current_watch()

    # -- the one door ----------------------------------------------------------------------------------------------

    def apply(
        self, event: Event, recorded: Iterable[Event] | None = None, *, is_open: bool = True, now_us: int = 0
    ) -> list[Command]:
        """Deliver one event, run until the program waits again, and return the commands that are new.

        `recorded` are the commands recorded after the event, when replaying; `is_open` says whether the history ends
        with them, so that more may follow. `now_us` is the time at which a first turn is carried out and recorded: a
        run may have waited long for a worker. On a mismatch nothing is returned and `mismatch` says what does not fit.
        """
        matcher = self._matcher
        if self.is_dropped or matcher.mismatch is not None:
            raise RunDropped
        decisions = tuple(recorded) if recorded is not None else ()
        matcher.begin(decisions, recorded is None or is_open)
        self.last_at_us = event.at_us
        if self.is_done or self.wants_activity is not None:
            return []
        try:
            if type(event) is CallCompleted:  # nearly all of them, so before the search
                self._awaited.complete(event.call, event.result)
            elif not self._deliver(event, now_us):
                return matcher.end()
            if self._watch is not None and not decisions and matcher.is_open:
                self._watch.over(self, self._run)
            else:
                self._run()
        except BaseException:  # border: nobody knows how far the program has come, so nobody may go on with it
            self.close()
            raise
        return matcher.end()

    def activate(self, action: Callable[[], None]) -> None:
        """Do many turns at less cost each: what `action` applies runs under one activation of the loop."""
        if self._loop is None:
            action()
        else:
            self._loop.activate(action)

    @property
    def mismatch(self) -> Mismatch | None:
        """The first command that does not fit the history, if one does not."""
        return self._matcher.mismatch

    def _deliver(self, event: Event, now_us: int) -> bool:
        """Let an event change what the program waits for; True if the program may have something to do."""
        awaited = self._awaited
        match event:
            case TimerFired(call=number):
                if self._loop is not None:
                    awaited.fire(number, self._loop)
            case CallFailed(call=number, error=payload):
                awaited.fail(number, payload)
            case BatchItemsCompleted():
                awaited.complete_items(event)
            case SignalReceived():
                awaited.receive(event)
            case RunStarted():
                decisions = self._matcher.recorded
                self.last_at_us = decisions[0].at_us if decisions else max(event.at_us, now_us)
                return self._start(event)
            case RoleCorrected(role=role):
                if role == "orchestrator" and self.started is not None:
                    self._begin(self.started)
            case CancelRequested(reason=reason):
                self._cancel_reason = reason
                if self._main is None:
                    self._finish(CancelRun(reason))
                else:
                    self._main.cancel(reason or None)
            case _:
                raise AssertionError(f"{event.type} is no delivery")
        return True

    def _start(self, event: RunStarted) -> bool:
        self.started = event
        self.run_id = event.run_id
        self.started_at_us = event.at_us
        if event.role != "orchestrator":
            return False
        if not self._matcher.is_open and not self._matcher.count:
            return False  # recorded: it was cancelled or timed out before it began
        self._begin(event)
        return True

    def _begin(self, started: RunStarted) -> None:
        function = self.function
        loop = self._loop = ReplayLoop(self, stable_number(started.run_id, 30))  # type: ignore[abstract]  # what mypy misses is set below its class
        try:
            if not function.is_async:
                raise RoleError(
                    f"{function.display_name}() at {function.place} is an orchestrator, and a plain def cannot wait",
                    fix="make it an async def",
                )
            if not self._matcher.is_replaying:
                guard.check_begin(function)
            args, kwargs = function.decode_arguments(started.arguments)
            coroutine = loop.context.run(function.body, *args, **kwargs)
        except (RoleError, ForbiddenInOrchestratorError, SerializationError, TypeError) as error:
            self._finish(failure(function, error))
            return
        self._main = RunTask(coroutine, loop=loop, name=None, context=loop.context, path="0")
        loop.adopt(self._main)

    def _run(self) -> None:
        loop, main = self._loop, self._main
        if loop is None or main is None:
            return
        try:
            if loop.is_active:
                loop.drain()
            else:
                loop.activate(loop.drain)
        except EndlessTurn:
            self._finish(failure(self.function, endless_turn(self.function, self.run_id, loop.live_tasks())))
            return
        if loop.is_dead:
            return  # it does not fit its history, or is an activity
        if self.refused is not None:
            self._finish(failure(self.function, self.refused))
        elif main.done():
            self._finish(ending_of(self.function, main, self._cancel_reason))
        elif self._awaited.is_empty():
            self._finish(failure(self.function, deadlock(self.function, self.run_id, main)))

    def _finish(self, command: Command) -> None:
        self._issue(command)
        self.is_done = True
        self._awaited.clear()
        if self._loop is not None:
            self._loop.is_stopped = True

    # -- commands --------------------------------------------------------------------------------------------------

    def schedule(
        self,
        function: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None = None,
        run_id: str | None = None,
    ) -> CallFuture:
        """Call a durable function. The call takes its number here; errors in the arguments are the caller's."""
        loop = self._loop
        if loop is None:
            raise RunDropped
        arguments = function.signature.payload(args, kwargs)
        self.last_call = number = self.last_call + 1
        future = call_future(number, loop)
        if loop.is_dead:
            return future
        match = self._matcher
        event = match.recorded[match.position] if match.position < match.count else None
        if (
            type(event) is CallScheduled
            and event.call == number
            and event.function == function.name
            and event.arguments == arguments
        ):
            match.position += 1  # the common case of a replay: no command is needed
            self.has_commands = True
        else:
            path, site = _place_in(loop)
            chosen = options or function.call_options
            self._issue(ScheduleCall(number, function, arguments, path, site, chosen, run_id))
        self._awaited.calls[number] = future
        return future

    def schedule_batch(
        self,
        function: Function,
        rows: Iterable[tuple[Any, ...]],
        *,
        return_exceptions: bool,
        limit: int | None,
        options: CallOptions | None = None,
    ) -> BatchFuture:
        """Call a durable function once a row of arguments; one command however many there are."""
        loop = self._running_loop()
        packed, count = function.pack_rows(rows)
        self.last_call = number = self.last_call + 1
        future = BatchFuture(number, count, return_exceptions, loop=loop)
        if count == 0:
            future.finish()
        elif not loop.is_dead:
            path, site = _place_in(loop)
            chosen = options or function.call_options
            self._issue(ScheduleBatch(number, function, packed, count, path, site, chosen, limit))
            self._awaited.calls[number] = future
        return future

    def wait_signal(self, name: str) -> SignalFuture:
        """The next signal of a name: one that has come already, or the next to come."""
        loop = self._running_loop()
        self.last_call = number = self.last_call + 1
        future = SignalFuture(number, name, loop=loop)
        if not loop.is_dead:
            self._issue(AwaitSignal(number, name, *_place_in(loop)))
            self._awaited.listen(future)
        return future

    def patched(self, change: str) -> bool:
        """Whether this run takes the new side of a change. Asked once, the answer stays."""
        known = self._patches.get(change)
        if known is not None:
            return known
        loop = self._running_loop()
        match = self._matcher
        if match.is_replaying:
            event = match.next()
            answer = isinstance(event, PatchRecorded) and event.change == change
        else:
            answer = True
        if loop.is_dead:
            return False
        if answer:
            self._issue(RecordPatch(change, _place_in(loop)[1]))
        self._patches[change] = answer
        return answer

    def start_timer(
        self, delay_us: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> Timer:
        """A timer that is due `delay_us` after the last delivered event, or when it was recorded to be."""
        loop = self._running_loop()
        self.last_call = number = self.last_call + 1
        event = self._matcher.next()
        is_recorded = isinstance(event, TimerStarted) and event.call == number
        due_us = event.due_us if is_recorded else self.last_at_us + delay_us  # type: ignore[union-attr]  # is_recorded says what it is
        timer = Timer(self, number, due_us, (callback, args, context))
        if not loop.is_dead:
            self._issue(StartTimer(number, due_us, *_place_in(loop)))
            self._awaited.timers[number] = timer
        return timer

    def cancel_timer(self, number: int) -> None:
        """The program no longer waits for a timer."""
        if self._awaited.timers.pop(number, None) is not None and self._is_running:
            self._issue(CancelTimer(number))

    def withdraw(self, future: DurableFuture) -> None:
        """The program no longer waits for a durable future."""
        if self._awaited.withdraw(future) and self._is_running:
            self._issue(CancelCall(future.number))

    def _issue(self, command: Command) -> None:
        """Hold a command against the history, or add it to the new ones. A program that does not fit stops here."""
        self.has_commands = True
        self._matcher.take(command)
        if self._matcher.mismatch is not None and self._loop is not None:
            self._loop.is_stopped = self._loop.is_dead = True

    @property
    def _is_running(self) -> bool:
        """Whether what the program does still counts."""
        return not self.is_done and self._loop is not None and not self._loop.is_dead

    def _running_loop(self) -> ReplayLoop:
        """The loop, for a program that asks for something durable. On a dead one nothing is recorded or answered."""
        loop = self._loop
        if loop is None:
            raise RunDropped
        return loop

    # -- what the program may ask ----------------------------------------------------------------------------------

    @property
    def is_replaying(self) -> bool:
        """Whether the program is among commands that were recorded before."""
        return self._matcher.is_replaying

    def elapsed_us(self) -> int:
        """Microseconds from the start of the run to the last delivered event."""
        return self.last_at_us - self.started_at_us

    def random(self) -> random.Random:
        """The run's own random numbers: the same on every replay."""
        if self._random is None:
            self._random = random.Random(stable_number(self.run_id))
        return self._random

    def forbidden(self, what: str) -> BaseException:
        """What is raised where the program asks for the outside world."""
        site = calling_site(2)
        name = self.function.display_name
        loop = self._loop
        if loop is None or loop.is_dead:
            return RunDropped()
        if not self.has_commands and not self.is_strict_role and not self._matcher.is_replaying:
            self.wants_activity = NotAnOrchestrator(f"{what} at {site}")
            loop.is_stopped = loop.is_dead = True
            return self.wants_activity
        return ForbiddenInOrchestratorError(
            f"{name}() is an orchestrator and uses {what} at {site}: a replay would do it again",
            fix="put it into a durable function of its own, and call that here",
            run_id=self.run_id,
            site=str(site),
            rule=LOOP.code,
        )

    def waiting_stacks(self) -> list[tuple[str, list[Any]]]:
        """Where each task of the program waits: (path, sites from the outermost to the innermost)."""
        if self._loop is None:
            return []
        return [(task.path, await_stack(task.get_coro())) for task in self._loop.live_tasks()]

    def close(self) -> bool:
        """Drop the program from memory without running it on. False if a body could not be closed (it is leaked).

        Only synchronous `finally` code still runs, and whatever it calls that is durable is never answered.
        """
        self.is_dropped = True
        loop = self._loop
        if loop is None:
            return True
        is_clean = close_tasks(loop, loop.kill())
        self._loop = self._main = None
        self._awaited.clear()
        return is_clean


def _place_in(loop: ReplayLoop) -> tuple[str, Site | None]:
    """Where in the program a command is given: the task's path and the user's line."""
    return loop.current_path(), calling_site(2)

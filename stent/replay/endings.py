"""How a program ends: what ends it from within, the command its ending becomes, and the errors of bad endings.

Rules of this file:
- what the engine raises into a program is a BaseException of ours: no handler for Exception can take it for its own;
- a cancelled run never ends as completed and never goes on as a new one, whatever its program does;
- an ending that cannot be stored is a failure that can.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stent.codec import Payload, encode, encode_exception
from stent.errors import EndlessTurnError, OrchestratorDeadlockError, SerializationError, StentError
from stent.registry import Function
from stent.replay.commands import CancelRun, Command, CompleteRun, ContinueRunAsNew, FailRun
from stent.replay.stacks import await_stack, current_lines
from stent.replay.tasks import RunTask


class RunDropped(BaseException):
    """Raised into a program that is dropped from memory, where it waits, and where one is used that was dropped.

    Not an Exception: nobody may handle it.
    """


class NotAnOrchestrator(BaseException):
    """The body asked for real I/O before anything durable: it is an activity."""


class ContinueAsNew(BaseException):
    """Raised by `Stent.continue_as_new` to end the program."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.call_args = args
        self.call_kwargs = kwargs


def ending_of(function: Function, main: RunTask, cancel_reason: str | None) -> Command:
    """The command for a program that is over. `cancel_reason` is None if nobody asked it to stop."""
    if main.cancelled():
        return CancelRun(cancel_reason or "")
    error = main.exception()
    if error is not None and not isinstance(error, ContinueAsNew):
        return failure(function, error)
    if cancel_reason is not None:
        return CancelRun(cancel_reason)
    if error is not None:
        return _continuation(function, error)
    try:
        return CompleteRun(encode(main.result(), function.types, where=f"the result of {function.display_name}()"))
    except SerializationError as refusal:
        return failure(function, refusal)


def failure(function: Function, error: BaseException) -> FailRun:
    """The command for a run that ends with an error."""
    payload: Payload = encode_exception(error, function.types)
    return FailRun(payload)


def deadlock(function: Function, run_id: str, main: RunTask) -> OrchestratorDeadlockError:
    """The error for a program that waits, with nothing outstanding that could wake it."""
    stack = await_stack(main.get_coro())
    return OrchestratorDeadlockError(
        f"{function.display_name}() waits, and nothing recorded or scheduled can ever wake it:\n"
        + "\n".join(f"    {site}" for site in stack),
        fix="await a durable call, a timer or a signal there; an Event, Lock or Queue needs a task that sets it",
        run_id=run_id,
        stack=[str(site) for site in stack],
    )


def endless_turn(function: Function, run_id: str, tasks: Iterable[RunTask]) -> EndlessTurnError:
    """The error for a program that goes on and on within one turn."""
    return EndlessTurnError(
        f"{function.display_name}() goes round without waiting for anything: {current_lines(tasks)}",
        fix="wait for time with Stent.sleep(), for others with an Event or a signal",
        run_id=run_id,
    )


def _continuation(function: Function, error: ContinueAsNew) -> Command:
    try:
        return ContinueRunAsNew(function.encode_arguments(error.call_args, error.call_kwargs))
    except StentError as refusal:
        return failure(function, refusal)

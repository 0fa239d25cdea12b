"""Errors from elsewhere, made fit to be raised into a program.

A recorded error ended some other piece of code. Most are raised as they are; a few mean something to the interpreter or
to asyncio that held where they were raised and does not hold here: a CancelledError would cancel the caller, a
SystemExit end its process, and a StopIteration is taken by no future.
"""

from __future__ import annotations

from stent.codec import class_name
from stent.errors import ActivityError


def raisable(error: BaseException) -> BaseException:
    """The error itself, or one that says the same and ends nothing but the call."""
    if isinstance(error, Exception | BaseExceptionGroup) and not isinstance(error, StopIteration):
        return error
    said = str(error)
    name = type(error).__name__
    stand_in = ActivityError(
        f"{name}: {said}" if said else name,
        fix=f"{name} is not for others to catch: let the durable function raise an error of its own",
        type_name=class_name(type(error)),
        error_message=said,
        traceback_text="",
    )
    stand_in.__cause__ = error
    return stand_in

"""Dropping a suspended program from memory without running it on.

Rules of this file:
- the newest task goes first, each in its own context, as the current task of the program's own loop: what its `finally`
  blocks ask for finds that loop, which is dead, and not the one that serves the process, where it would start a run;
- only synchronous code still runs: RunDropped is raised at the await, and at each await that a body answers with;
- a body that cannot be closed is leaked on purpose: collecting it would run it, and might never end.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Sequence
from typing import Any

from stent.replay.endings import RunDropped
from stent.replay.loop import ReplayLoop
from stent.replay.tasks import RunTask

CLOSE_ATTEMPTS = 100  # one for each await in `finally` blocks around the place where the body waits


def close_tasks(loop: ReplayLoop, tasks: Sequence[RunTask]) -> bool:
    """Close the bodies of tasks on a dead loop. False if one could not be closed."""
    closed: list[bool] = []
    loop.activate(lambda: closed.extend(_close_as_current(loop, task) for task in reversed(tasks)))
    return all(closed)


def _close_as_current(loop: ReplayLoop, task: RunTask) -> bool:
    asyncio._enter_task(loop, task)
    try:
        return task.run_context.run(_close_body, task.get_coro())
    finally:
        asyncio._leave_task(loop, task)


def _close_body(coroutine: Any) -> bool:
    # Not coroutine.close(): where an inner coroutine answers that with an await, it is left half closed, and the outer
    # ones see a RuntimeError, which their `except Exception` takes for an error of their own.
    for _ in range(CLOSE_ATTEMPTS):
        try:
            coroutine.throw(RunDropped())
        except BaseException:  # border: a body that is thrown away may say what it likes
            return True
    _leak(coroutine)
    return False


def _leak(coroutine: Any) -> None:
    """Keep an object for ever, also when the interpreter ends and clears what its modules hold."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))

"""`asyncio.as_completed` over bare coroutines: telling in which order the user gave them.

`as_completed` puts what it is given into a set, and coroutines hash by address, so it asks for their tasks in another
order on every run. Nothing in a coroutine tells its place, but the user's own list is still there, in the frame that
asks: the first request makes the tasks of all of them, in the order of the list.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import tasks as asyncio_tasks
from typing import Any

from stent.errors import ForbiddenInOrchestratorError
from stent.replay.sites import calling_site

_ITERATOR: Any = getattr(asyncio_tasks, "_AsCompletedIterator", None)  # from 3.13 on
_AS_COMPLETED_CODE = asyncio_tasks.as_completed.__code__ if _ITERATOR is None else _ITERATOR.__init__.__code__
_ENSURE_FUTURE_CODES = {
    asyncio_tasks.ensure_future.__code__,
    getattr(asyncio_tasks, "_ensure_future", asyncio_tasks.ensure_future).__code__,
}
_COMPREHENSION = "<setcomp>"  # a frame of its own before 3.12


def siblings_of(coro: Any) -> list[Any] | None:
    """The bare coroutines given to `as_completed`, in the user's order, if that is who asks the loop for a task."""
    frame = sys._getframe(2)
    if frame.f_code not in _ENSURE_FUTURE_CODES:
        return None
    outer = frame.f_back
    while outer is not None and (outer.f_code in _ENSURE_FUTURE_CODES or outer.f_code.co_name == _COMPREHENSION):
        outer = outer.f_back
    if outer is None or outer.f_code is not _AS_COMPLETED_CODE:
        return None
    given = outer.f_locals.get("fs", outer.f_locals.get("aws"))
    if isinstance(given, set | frozenset) or given is iter(given or ()):
        raise ForbiddenInOrchestratorError(
            f"asyncio.as_completed() over a {type(given).__name__} of coroutines at {calling_site(2)}: they have no "
            "order that could be repeated",
            fix="give it a list: asyncio.as_completed([...])",
        )
    seen: dict[int, Any] = {id(item): item for item in given or () if asyncio.iscoroutine(item)}
    return list(seen.values()) if id(coro) in seen else None

"""Where a suspended program stands: the chain of awaits behind a coroutine."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from types import FrameType
from typing import Any

from stent.history.options import Site
from stent.replay.sites import is_ours, site_of

_DEPTH_LIMIT = 200
_WRAPPERS = frozenset({"async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable"})
"""What the interpreter puts between an await and a generator or coroutine, without an attribute that leads on."""


def await_stack(coroutine: Any) -> list[Site]:
    """Sites from the outermost function to the innermost await of the user's code."""
    return [site_of(frame) for frame in await_frames(coroutine) if not is_ours(frame)]


def await_frames(coroutine: Any) -> list[FrameType]:
    """Frames from the outermost function to the innermost await."""
    frames: list[FrameType] = []
    current = coroutine
    while current is not None and len(frames) < _DEPTH_LIMIT:
        frame, current = _look_into(current)
        if frame is not None:
            frames.append(frame)
    return frames


def current_lines(tasks: Iterable[Any]) -> str:
    """The innermost line of each task, for a message."""
    lines = []
    for task in tasks:
        stack = await_stack(task.get_coro())
        if stack and str(stack[-1]) not in lines:
            lines.append(str(stack[-1]))
    return ", ".join(lines) or "(no line known)"


def _look_into(awaitable: Any) -> tuple[FrameType | None, Any]:
    """The frame of a coroutine, generator or async generator, and what it waits for."""
    for prefix in ("cr", "gi", "ag"):
        frame = getattr(awaitable, f"{prefix}_frame", None)
        if frame is not None:
            waits_for = getattr(awaitable, "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await", None)
            return frame, waits_for
    if type(awaitable).__name__ in _WRAPPERS:
        return None, next((inner for inner in gc.get_referents(awaitable) if _has_frame(inner)), None)
    return None, None


def _has_frame(value: Any) -> bool:
    return any(hasattr(value, f"{prefix}_frame") for prefix in ("cr", "gi", "ag"))

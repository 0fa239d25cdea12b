"""Which histories have the same shape: the same events in the same order, whatever the values in them.

Rules of this file:
- a shape is made of what replaying compares and of what decides what is delivered next: the function and its version,
  the type of each event, the number of its call, and the name, role, place, options and count of what was called;
- left out are user data, times and ids, and the events that a replay passes over; a field that is not known here is
  kept, so that a new one can only make shapes differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from stent.history.events import (
    BOOKKEEPING,
    EVENT_CODES,
    CallScheduled,
    CancelRequested,
    Event,
    RunCancelled,
    RunContinuedAsNew,
    RunStarted,
    RunTimedOut,
    SignalReceived,
    TimerStarted,
)
from stent.history.records import Outline

SHAPE_BYTES = 16

_LEFT_OUT: dict[type[Event], tuple[str, ...]] = {
    RunStarted: ("run_id", "parent_run", "parent_call", "parent_item", "deadline_us", "max_duration_us"),
    CallScheduled: ("child_run",),
    TimerStarted: ("due_us",),
    SignalReceived: ("key", "put"),
    CancelRequested: ("reason", "put"),
    RunCancelled: ("reason",),
    RunTimedOut: ("deadline_us",),
    RunContinuedAsNew: ("next_run",),
}
"""Fields of an event that say which run it is, or when; the program may see some of them, as it sees user data."""

_NAMES = {EVENT_CODES[kind]: names for kind, names in _LEFT_OUT.items()}
_MARKS = {code: tuple(f'"{name}":' for name in names) for code, names in _NAMES.items()}
_PASSED_OVER = frozenset(EVENT_CODES[kind] for kind in BOOKKEEPING - {RunTimedOut})


def shape_of(history: Iterable[Outline]) -> bytes:
    """The same bytes for histories of the same shape, in every process."""
    lines = []
    for _, code, version, call, body in history:
        if code in _PASSED_OVER:
            continue
        if body is not None and code in _MARKS:
            for mark in _MARKS[code]:
                if mark in body:  # rare, but for the first event
                    body = _without(body, _NAMES[code])
                    break
        lines.append(f"{code},{version},{call},{body}")
    return hashlib.blake2b("\n".join(lines).encode(errors="surrogatepass"), digest_size=SHAPE_BYTES).digest()


def _without(body: str, names: tuple[str, ...]) -> str | None:
    """A body without some of its fields, as it would have been written without them."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return body  # damage: the replay says what is wrong
    if not isinstance(fields, dict):
        return body
    for name in names:
        fields.pop(name, None)
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False) if fields else None

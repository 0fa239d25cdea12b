"""The error in a history, for people: the traceback that was recorded with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stent.codec import Payload, to_plain
from stent.errors import CorruptPayloadError
from stent.history.events import Event, RunFailed


def traceback_of(history: Sequence[Event]) -> str:
    """The traceback of the error that ended the run; empty if none did."""
    ended = next((event for event in history if event.is_terminal), None)
    return traceback_in(ended.error) if isinstance(ended, RunFailed) else ""


def traceback_in(error: Payload) -> str:
    """The traceback in a recorded error, without the error itself; empty if there is none."""
    try:
        plain: Any = to_plain(error)
    except CorruptPayloadError:
        return ""
    text = plain.get("traceback") if isinstance(plain, dict) else None
    return text.rstrip("\n") if isinstance(text, str) else ""

"""The traceback of an exception as text that travels, and the exception that shows it on the other side."""

from __future__ import annotations

import traceback
from typing import Final

# Enough for two dozen frames; a history must not fill with the traceback of a recursion.
MAX_TRACEBACK_CHARS: Final = 8_000
_MAX_LINKS: Final = 20


class RemoteTraceback(Exception):
    """Shows the traceback of another process in front of an exception, as its cause. Never raised, never stored."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


def safe_text(error: BaseException) -> str:
    """`str(error)`, whatever its class does."""
    try:
        return str(error)
    except Exception:  # border: code of a user's class; the error is reported all the same
        return f"<unprintable {type(error).__name__}>"


def remote_text(error: BaseException) -> str:
    """The text that came with a rebuilt exception; empty if there is none."""
    link: BaseException | None = error
    for _ in range(_MAX_LINKS):
        if link is None:
            break
        if isinstance(link, RemoteTraceback):
            return link.text
        link = link.__cause__
    return ""


def traceback_text(error: BaseException) -> str:
    """The frames of an exception and its chain, without values of variables, bounded in size.

    Text from another process comes first and unchanged; frames of this one follow it. So an error that travels
    through three runs shows three blocks, not a quotation of a quotation.
    """
    remote = remote_text(error)
    if not remote:
        return _bounded(_formatted(error, chain=True))
    if error.__traceback__ is None:
        return remote
    return _bounded(f"{remote.rstrip()}\n\nThen, in the caller:\n\n{_formatted(error, chain=False)}")


def _formatted(error: BaseException, *, chain: bool) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__, chain=chain))
    except Exception:  # border: runs `__str__` and `__repr__` of users' classes
        return f"{type(error).__name__}: {safe_text(error)}\n"


def _bounded(text: str) -> str:
    """The beginning and, more of it, the end: where it was called from, and where it broke."""
    if len(text) <= MAX_TRACEBACK_CHARS:
        return text
    head, tail = MAX_TRACEBACK_CHARS // 4, MAX_TRACEBACK_CHARS // 4 * 3
    return f"{text[:head]}\n... {len(text) - head - tail} characters left out ...\n{text[-tail:]}"

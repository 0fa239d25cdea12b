"""What the process says with its exit code. Scripts depend on these numbers: they never change their meaning."""

from __future__ import annotations

from typing import Final

from stent.errors import (
    CorruptHistoryError,
    DivergenceError,
    ExpiryError,
    RunConflictError,
    RunTimedOutError,
    SerializationError,
    StentError,
    StoreError,
    UnknownRunError,
    UnregisteredFunctionError,
    UsageError,
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
STORE: Final = 4
DIVERGED: Final = 5
TIMED_OUT: Final = 6
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, likewise

# The first that fits: a class stands before the ones it derives from.
_BY_CLASS: Final[tuple[tuple[type[StentError], int], ...]] = (
    (UnknownRunError, NOT_FOUND),
    (UnregisteredFunctionError, NOT_FOUND),
    (UsageError, USAGE),
    (RunConflictError, USAGE),
    (SerializationError, USAGE),
    (CorruptHistoryError, FAILED),
    (StoreError, STORE),
    (DivergenceError, DIVERGED),
    (RunTimedOutError, FAILED),
    (ExpiryError, TIMED_OUT),
)


def exit_code_of(error: StentError) -> int:
    """The exit code of a command that ended with this error."""
    return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), FAILED)

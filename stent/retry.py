"""When a failed attempt is tried again: the policy, its record in a history, and the decision.

- `decide` is pure: the caller passes the attempt, the error and a random number; no clock is read here.
- A record names exception classes as `module:qualname`. A policy that is read back matches those names against the
  names of an error's classes, so nothing is imported, and a class that this process does not have is no trouble.
- Never retried, whatever the policy says: cancellation and the end of the process, and errors that the same call will
  meet again (arguments that do not fit, values that cannot be stored).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stent.codec import class_name
from stent.duration import SECOND_US, Duration, parse_duration
from stent.errors import ActivityError, ArgumentError, OptionError, SerializationError

# An exception class, or its `module:qualname` as it stands in a record.
ErrorClass = type[BaseException] | str

_ENDINGS: Final = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
_PERMANENT: Final = (SerializationError, ArgumentError)
_NEVER: Final = (*_ENDINGS, *_PERMANENT)
_MAX_ATTEMPTS: Final = 1_000_000
_MAX_NAME_CHARS: Final = 300
_FIELDS: Final = frozenset(
    {"max_attempts", "initial_delay_us", "backoff_factor", "max_delay_us", "jitter", "retry_for", "no_retry_for"}
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a failed attempt is tried again.

    `max_attempts` counts the first one. The delay after attempt n is `initial_delay * backoff_factor ** (n - 1)`, at
    most `max_delay`, changed at random by up to the share `jitter` of it in either direction, never past `max_delay`.
    Delays are seconds, "1m30s" or timedeltas. An error is retried if it is one of `retry_for` and none of
    `no_retry_for`. Raises OptionError for values that mean nothing.
    """

    max_attempts: int = 3
    initial_delay: Duration = 1.0
    backoff_factor: float = 2.0
    max_delay: Duration = 60.0
    jitter: float = 0.1
    retry_for: tuple[ErrorClass, ...] = (Exception,)
    no_retry_for: tuple[ErrorClass, ...] = ()

    def __post_init__(self) -> None:
        _check_int("max_attempts", self.max_attempts, 1, _MAX_ATTEMPTS)
        parse_duration(self.initial_delay, name="initial_delay")
        parse_duration(self.max_delay, name="max_delay")
        _check_float("backoff_factor", self.backoff_factor, 1.0, 1_000.0)
        _check_float("jitter", self.jitter, 0.0, 1.0)
        for name in ("retry_for", "no_retry_for"):
            object.__setattr__(self, name, _error_classes(name, getattr(self, name)))

    @property
    def initial_delay_us(self) -> int:
        """The delay after the first attempt, in microseconds."""
        return parse_duration(self.initial_delay, name="initial_delay")

    @property
    def max_delay_us(self) -> int:
        """The longest delay, in microseconds."""
        return parse_duration(self.max_delay, name="max_delay")

    def to_record(self) -> dict[str, Any]:
        """A small JSON object, for a history."""
        return {
            "max_attempts": self.max_attempts,
            "initial_delay_us": self.initial_delay_us,
            "backoff_factor": self.backoff_factor,
            "max_delay_us": self.max_delay_us,
            "jitter": self.jitter,
            "retry_for": [_name_of(each) for each in self.retry_for],
            "no_retry_for": [_name_of(each) for each in self.no_retry_for],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RetryPolicy:
        """The policy of a record; its classes are names. Raises OptionError for what is no such record."""
        read: Any = record
        if not isinstance(read, Mapping) or not read.keys() <= _FIELDS:
            raise OptionError("This is no record of a retry policy.", fix="pass what to_record() gave")
        given = dict(read)
        for name in ("initial_delay", "max_delay"):
            microseconds = given.pop(f"{name}_us", None)
            if microseconds is not None:
                _check_int(f"{name}_us", microseconds, 0, 1 << 62)
                given[name] = _as_duration(microseconds)
        return cls(**given)


def decide(policy: RetryPolicy, attempt: int, error: BaseException, random_unit: float) -> int | None:
    """The delay before the next attempt in microseconds; None if attempt number `attempt` (from 1) was the last.

    `random_unit` is a number in [0, 1); the same one gives the same delay.
    """
    if attempt >= policy.max_attempts or isinstance(error, _NEVER):
        return None
    names = _names_of(error)
    if _matches(policy.no_retry_for, error, names) or not _matches(policy.retry_for, error, names):
        return None
    return delay_us(policy, attempt, random_unit)


def delay_us(policy: RetryPolicy, attempt: int, random_unit: float) -> int:
    """The delay after attempt number `attempt` (from 1), in microseconds."""
    initial, longest = policy.initial_delay_us, policy.max_delay_us
    # In logarithms, for 2 ** 10,000 is no float; above the longest delay the exact value does not matter.
    growth = (attempt - 1) * math.log(policy.backoff_factor)
    if initial == 0:
        return 0
    if growth >= math.log(longest / initial) if longest > 0 else True:
        delay = float(longest)
    else:
        delay = initial * policy.backoff_factor ** (attempt - 1)
    share = policy.jitter * (2.0 * random_unit - 1.0)
    return max(0, min(longest, round(delay * (1.0 + share))))


def _matches(classes: Sequence[ErrorClass], error: BaseException, names: frozenset[str]) -> bool:
    return any(each in names if isinstance(each, str) else isinstance(error, each) for each in classes)


def _names_of(error: BaseException) -> frozenset[str]:
    """The names of an error's classes; for an ActivityError also that of the class that it stands for."""
    names = {class_name(cls) for cls in type(error).__mro__}
    if isinstance(error, ActivityError):
        names.add(str(error.facts.get("type_name", "")))
    return frozenset(names)


def _name_of(each: ErrorClass) -> str:
    return each if isinstance(each, str) else class_name(each)


def _as_duration(microseconds: int) -> Duration:
    """Seconds if a float says it exactly, as people write it, else text."""
    seconds = microseconds / SECOND_US
    return seconds if round(seconds * SECOND_US) == microseconds else f"{microseconds}us"


def _error_classes(name: str, given: Any) -> tuple[ErrorClass, ...]:
    if isinstance(given, type | str):
        given = (given,)
    try:
        classes = tuple(given)
    except TypeError:
        raise OptionError(f"{name} should be a tuple of exception classes.", fix=f"{name}=(ConnectionError,)") from None
    for each in classes:
        is_class = isinstance(each, type) and issubclass(each, BaseException)
        is_name = isinstance(each, str) and 0 < len(each) <= _MAX_NAME_CHARS and each.count(":") == 1
        if not is_class and not is_name:
            shown = each.__name__ if isinstance(each, type) else repr(each)[:_MAX_NAME_CHARS]
            raise OptionError(f"{name}: {shown} is no exception class.", fix=f"{name}=(ConnectionError,)", option=name)
    return classes


def _check_int(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise OptionError(f"{name}={value!r} is no whole number from {least} to {most}.", option=name)


def _check_float(name: str, value: Any, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # NaN is in no range
        raise OptionError(f"{name}={value!r} is no number from {least:g} to {most:g}.", option=name)

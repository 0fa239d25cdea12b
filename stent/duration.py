"""Durations: what people write, as integer microseconds, and back.

A duration is text such as "1h30m", "90s", "1.5s", "500ms", "2d" or ISO 8601 "PT1H30M", a timedelta, or a number of
seconds. Days have 24 hours and weeks 7 days; months and years are refused, for they have no fixed length. All
arithmetic is exact; what is finer than a microsecond is rounded to the nearest, ties to even.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from datetime import timedelta
from fractions import Fraction
from typing import Final

from stent.errors import OptionError

Duration = str | int | float | timedelta

SECOND_US: Final = 1_000_000
_TEXTS_KEPT: Final = 256  # a program says the same few again and again, and on every replay
_UNITS_US: Final[dict[str, int]] = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND_US,
    "m": 60 * SECOND_US,
    "h": 3_600 * SECOND_US,
    "d": 86_400 * SECOND_US,
    "w": 604_800 * SECOND_US,
}
_NAMES: Final[dict[str, str]] = {
    **{unit: unit for unit in _UNITS_US},
    **dict.fromkeys(("µs", "μs", "usec", "usecs", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("msec", "msecs", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("week", "weeks"), "w"),
}
# Timers are stored as 64-bit microseconds since 1970; a century is far inside, and longer is a mistake of units.
MAX_US: Final = 36_525 * _UNITS_US["d"]
_MAX_TEXT: Final = 100

_part: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([^\W\d_]*)", re.UNICODE).match
_ISO: Final = r"P(?:(?P<w>#)W|(?:(?P<d>#)D)?(?:T(?:(?P<h>#)H)?(?:(?P<m>#)M)?(?:(?P<s>#)S)?)?)"
_iso: Final = re.compile(_ISO.replace("#", r"[0-9]+(?:[.,][0-9]+)?"), re.ASCII).fullmatch


def parse_duration(value: Duration, *, name: str, allow_negative: bool = False) -> int:
    """Microseconds of a duration. `name` is how errors call the option. Raises OptionError."""
    if isinstance(value, timedelta):
        exact = Fraction(value // timedelta(microseconds=1))
    elif isinstance(value, str):
        exact = _parse_text(value, name)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise _error(name, value, f"a {type(value).__name__} is no duration", "use '1h30m', a timedelta or seconds")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _error(name, value, "it is not finite", "use None where an option allows no limit")
    else:
        exact = Fraction(value) * SECOND_US
    if exact < 0 and not allow_negative:
        raise _error(name, value, "it is negative", "use zero or more")
    if abs(exact) > MAX_US:
        raise _error(name, value, "it is longer than 100 years", "numbers are seconds; write '500ms' for milliseconds")
    return round(exact)


def format_duration(microseconds: int) -> str:
    """The short text of a duration, exact: "1h30m", "1.5s", "500ms". `parse_duration` reads it back."""
    if microseconds < 0:
        return f"-{format_duration(-microseconds)}"
    if microseconds == 0:
        return "0s"
    if microseconds < 1_000:
        return f"{microseconds}us"
    if microseconds < SECOND_US:
        return f"{_decimal(microseconds, 1_000)}ms"
    parts = []
    rest = microseconds
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS_US[unit])
        if count:
            parts.append(f"{count}{unit}")
    if rest:
        parts.append(f"{_decimal(rest, SECOND_US)}s")
    return "".join(parts)


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


@functools.lru_cache(_TEXTS_KEPT)
def _parse_text(text: str, name: str) -> Fraction:
    body = text.strip()
    if not body or len(body) > _MAX_TEXT:
        raise _error(name, text[:_MAX_TEXT], "it is empty" if not body else "it is too long", "write it as '1h30m'")
    sign, body = (-1, body[1:].lstrip()) if body[0] in "-\N{MINUS SIGN}" else (1, body.removeprefix("+"))
    if body[:1] in ("P", "p"):
        return sign * _parse_iso(body, text, name)
    total, place, seen = Fraction(0), 0, set()
    while place < len(body):
        found = _part(body, place)
        if found is None:
            raise _error(name, text, f"{body[place:]!r} is no number with a unit", "write it as '1h30m'")
        number, unit = found.groups()
        short = _unit(unit, number, text, name)
        if short in seen:
            raise _error(name, text, f"it has the unit {short!r} twice", "add them up")
        seen.add(short)
        total += Fraction(number) * _UNITS_US[short]
        place = found.end()
    return sign * total


def _unit(unit: str, number: str, text: str, name: str) -> str:
    short = _NAMES.get(unit) or _NAMES.get(unit.lower())
    if short is not None and unit != "M":  # minutes or months?
        return short
    if not unit:
        raise _error(name, text, f"{number!r} has no unit", f"did you mean '{number}s'?")
    close = "m" if unit == "M" else next(iter(difflib.get_close_matches(unit.lower(), list(_NAMES), 1)), "")
    fix = f"did you mean '{number}{close}'? " if close else ""
    raise _error(name, text, f"{unit!r} is no unit", f"{fix}Units are w, d, h, m, s, ms and us")


def _parse_iso(body: str, text: str, name: str) -> Fraction:
    found = _iso(body.upper())
    parts = {unit: number for unit, number in found.groupdict().items() if number is not None} if found else {}
    if not parts or body[-1] in "Tt":
        raise _error(
            name, text, "it is no ISO 8601 duration of weeks, days, hours, minutes and seconds", "write 'PT1H30M'"
        )
    return sum((Fraction(number.replace(",", ".")) * _UNITS_US[unit] for unit, number in parts.items()), Fraction(0))


def _error(name: str, value: object, problem: str, fix: str) -> OptionError:
    shown = repr(value)[:_MAX_TEXT] if isinstance(value, str | int | float | timedelta) else type(value).__name__
    return OptionError(f"{name}={shown}: {problem}.", fix=fix, option=name)

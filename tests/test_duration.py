"""Durations: what people write, exactly, and nothing that could mean two things."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from stent.duration import MAX_US, SECOND_US, format_duration, parse_duration
from stent.errors import OptionError

MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


def parsed(value: Any, **options: bool) -> int:
    return parse_duration(value, name="timeout", **options)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1h30m", 90 * MINUTE_US),
        ("90s", 90 * SECOND_US),
        ("1.5s", 1_500_000),
        (".5s", 500_000),
        ("2.s", 2 * SECOND_US),
        ("500ms", 500_000),
        ("7us", 7),
        ("7µs", 7),
        ("7μs", 7),
        ("2d", 2 * DAY_US),
        ("1w", 7 * DAY_US),
        ("1d 2h 3m 4s 5ms 6us", DAY_US + 2 * HOUR_US + 3 * MINUTE_US + 4_005_006),
        (" 1 hour 30 Minutes ", 90 * MINUTE_US),
        ("30m1h", 90 * MINUTE_US),
        ("1H", HOUR_US),
        ("+5s", 5 * SECOND_US),
        ("0s", 0),
        ("PT1H30M", 90 * MINUTE_US),
        ("pt0.5s", 500_000),
        ("PT0,5S", 500_000),
        ("P1DT2H", 26 * HOUR_US),
        ("P2W", 14 * DAY_US),
        (timedelta(days=1, microseconds=1), DAY_US + 1),
        (5, 5 * SECOND_US),
        (0.1, 100_000),
        (1e-7, 0),
        (0, 0),
        ("36525d", MAX_US),
    ],
)
def test_what_people_write_is_microseconds(value: Any, expected: int) -> None:
    """Text with units, ISO 8601, a timedelta, a number of seconds."""
    assert expected == parsed(value)


def test_the_finest_digit_is_rounded_to_the_nearest_ties_to_even() -> None:
    """Arithmetic is exact before that."""
    assert (0, 2, 2, 2) == (parsed("0.5us"), parsed("1.5us"), parsed("2.5us"), parsed("1.5000000000000000001us"))
    assert 300_000 == parsed("0.1s200ms")


@pytest.mark.parametrize(
    ("value", "problem", "fix"),
    [
        ("", "it is empty", "1h30m"),
        ("   ", "it is empty", "1h30m"),
        ("30", "'30' has no unit", "did you mean '30s'?"),
        ("1h30", "'30' has no unit", "did you mean '30s'?"),
        ("5x", "'x' is no unit", "Units are w, d, h, m, s, ms and us"),
        ("5secnds", "'secnds' is no unit", "did you mean '5seconds'?"),
        ("5M", "'M' is no unit", "did you mean '5m'?"),
        ("1month", "'month' is no unit", "Units are"),
        ("1y", "'y' is no unit", "Units are"),
        ("P1M", "no ISO 8601 duration", "PT1H30M"),
        ("P1Y", "no ISO 8601 duration", "PT1H30M"),
        ("P", "no ISO 8601 duration", "PT1H30M"),
        ("PT", "no ISO 8601 duration", "PT1H30M"),
        ("P1DT", "no ISO 8601 duration", "PT1H30M"),
        ("1h1h", "the unit 'h' twice", "add them up"),
        ("1m1minute", "the unit 'm' twice", "add them up"),
        ("soon", "is no number with a unit", "1h30m"),
        ("1h,30m", "is no number with a unit", "1h30m"),
        ("1e3s", "'e' is no unit", "Units are"),
        ("1h" * 100, "it is too long", "1h30m"),
        ("-5s", "it is negative", "zero or more"),
        (-1, "it is negative", "zero or more"),
        (timedelta(seconds=-1), "it is negative", "zero or more"),
        (math.nan, "it is not finite", "None"),
        (math.inf, "it is not finite", "None"),
        (True, "a bool is no duration", "seconds"),
        (None, "a NoneType is no duration", "seconds"),
        ([5], "a list is no duration", "seconds"),
        (90_000_000_000, "longer than 100 years", "500ms"),
        ("36525d1us", "longer than 100 years", "milliseconds"),
        ("٥s", "is no number with a unit", "1h30m"),
    ],
)
def test_what_could_mean_two_things_is_refused_with_a_way_out(value: Any, problem: str, fix: str) -> None:
    """The option is named as the user calls it."""
    with pytest.raises(OptionError) as caught:
        parsed(value)
    assert caught.value.message.startswith("timeout=")
    assert problem in caught.value.message
    assert fix in caught.value.fix
    assert "timeout" == caught.value.option
    assert len(str(caught.value)) < 400


def test_negative_durations_are_read_where_they_make_sense() -> None:
    """An offset may be one."""
    assert (-5 * SECOND_US, -1) == (parsed("-5s", allow_negative=True), parsed("-1us", allow_negative=True))
    assert -5 * SECOND_US == parsed("\N{MINUS SIGN}5s", allow_negative=True)
    assert -HOUR_US == parsed("-PT1H", allow_negative=True)


@settings(max_examples=100, deadline=None)
@given(st.integers(-MAX_US, MAX_US))
@example(0)
@example(1)
@example(999)
@example(999_999)
@example(DAY_US + 1)
@example(MAX_US)
def test_formatting_is_exact_and_can_be_read_back(microseconds: int) -> None:
    """To the microsecond, over a century."""
    assert microseconds == parsed(format_duration(microseconds), allow_negative=True)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**7), st.integers(0, 10**6), st.sampled_from([("h", 3600), ("m", 60), ("s", 1)]))
def test_decimal_texts_are_exact(whole: int, fraction: int, unit: tuple[str, int]) -> None:
    """No binary fraction in between: 0.1 h is 360 s."""
    name, seconds = unit
    text = f"{whole}.{fraction:06}{name}"
    exact = Fraction(f"{whole}.{fraction:06}") * seconds * SECOND_US
    if exact <= MAX_US:
        assert round(exact) == parsed(text)


@pytest.mark.parametrize(
    ("microseconds", "expected"),
    [
        (0, "0s"),
        (7, "7us"),
        (1_500, "1.5ms"),
        (500_000, "500ms"),
        (1_500_000, "1.5s"),
        (90 * MINUTE_US, "1h30m"),
        (DAY_US + 1, "1d0.000001s"),
        (30 * DAY_US, "30d"),
        (-90 * SECOND_US, "-1m30s"),
    ],
)
def test_the_text_is_the_short_one(microseconds: int, expected: str) -> None:
    """As a person would write it."""
    assert expected == format_duration(microseconds)

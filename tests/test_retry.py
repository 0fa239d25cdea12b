"""Retry policies: which errors, how often, how long in between; the same from the record in a history."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from stent.errors import ActivityError, ArgumentError, CallTimeoutError, OptionError, PayloadTooLargeError
from stent.retry import RetryPolicy, decide, delay_us

MIDDLE = 0.5  # the random number that changes nothing


def test_the_default_is_the_documented_one() -> None:
    """Changing it changes what running programs do."""
    assert {
        "max_attempts": 3,
        "initial_delay_us": 1_000_000,
        "backoff_factor": 2.0,
        "max_delay_us": 60_000_000,
        "jitter": 0.1,
        "retry_for": ["builtins:Exception"],
        "no_retry_for": [],
    } == RetryPolicy().to_record()


def test_attempts_are_counted_from_the_first_one() -> None:
    """Three attempts are two retries."""
    policy = RetryPolicy(max_attempts=3, initial_delay=1, backoff_factor=2, jitter=0)
    found = [decide(policy, attempt, ValueError(), MIDDLE) for attempt in (1, 2, 3, 4)]
    assert [1_000_000, 2_000_000, None, None] == found


def test_the_delay_grows_to_its_maximum() -> None:
    """And stays there, however many attempts there were."""
    policy = RetryPolicy(max_attempts=1_000_000, initial_delay="1s", backoff_factor=3, max_delay="20s", jitter=0)
    found = [delay_us(policy, attempt, MIDDLE) for attempt in (1, 2, 3, 4, 5, 999_999)]
    assert [1_000_000, 3_000_000, 9_000_000, 20_000_000, 20_000_000, 20_000_000] == found


def test_jitter_spreads_both_ways_but_not_past_the_maximum() -> None:
    """A share of 0.5: from half to one and a half."""
    policy = RetryPolicy(max_attempts=9, initial_delay=10, backoff_factor=1, max_delay=12, jitter=0.5)
    assert (5_000_000, 10_000_000, 12_000_000) == tuple(delay_us(policy, 1, unit) for unit in (0.0, 0.5, 0.99))


delays = st.integers(0, 10**12).map(lambda microseconds: timedelta(microseconds=microseconds))
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 1_000_000),
    initial_delay=delays,
    backoff_factor=st.floats(1.0, 1_000.0),
    max_delay=delays,
    jitter=st.floats(0.0, 1.0),
)


@settings(max_examples=100, deadline=None)
@given(policies, st.integers(1, 1_000_000), st.floats(0.0, 1.0, exclude_max=True))
@example(RetryPolicy(max_attempts=1_000_000, backoff_factor=1_000.0), 999_999, 0.9)
@example(RetryPolicy(max_attempts=2, initial_delay=0, max_delay=0), 1, 0.0)
def test_a_delay_is_never_negative_never_past_the_maximum_and_repeatable(
    policy: RetryPolicy, attempt: int, unit: float
) -> None:
    """For every policy, attempt and random number: no overflow either."""
    found = delay_us(policy, attempt, unit)
    assert 0 <= found <= policy.max_delay_us
    assert found == delay_us(policy, attempt, unit)


@settings(max_examples=100, deadline=None)
@given(policies, st.integers(1, 100), st.floats(0.0, 1.0, exclude_max=True))
def test_a_record_reads_back_to_the_same_decisions(policy: RetryPolicy, attempt: int, unit: float) -> None:
    """Through JSON, as a history keeps it; the record of the copy is the same record."""
    record = json.loads(json.dumps(policy.to_record()))
    copy = RetryPolicy.from_record(record)
    assert record == copy.to_record()
    assert decide(policy, attempt, ValueError(), unit) == decide(copy, attempt, ValueError(), unit)


class Declined(Exception):
    pass


class Expired(Declined):
    pass


CASES: list[tuple[dict[str, Any], BaseException, bool]] = [
    ({}, ValueError(), True),
    ({"retry_for": (ConnectionError,)}, ConnectionResetError(), True),
    ({"retry_for": (ConnectionError,)}, ValueError(), False),
    ({"retry_for": ConnectionError}, ConnectionError(), True),
    ({"retry_for": ()}, ValueError(), False),
    ({"no_retry_for": (Declined,)}, Expired(), False),
    ({"no_retry_for": (Expired,)}, Declined(), True),
    ({"retry_for": (Declined,), "no_retry_for": (Expired,)}, Expired(), False),
    ({"retry_for": (f"{__name__}:Declined",)}, Expired(), True),
    ({"no_retry_for": (f"{__name__}:Declined",)}, Expired(), False),
    ({"retry_for": (TimeoutError,)}, CallTimeoutError("slow"), True),
    ({"retry_for": ("shop:Gone",)}, ActivityError("x", type_name="shop:Gone"), True),
    ({"no_retry_for": ("shop:Gone",)}, ActivityError("x", type_name="shop:Gone"), False),
    ({"retry_for": (BaseException,)}, asyncio.CancelledError(), False),
    ({"retry_for": (BaseException,)}, KeyboardInterrupt(), False),
    ({"retry_for": (BaseException,)}, SystemExit(1), False),
    ({"retry_for": (BaseException,)}, GeneratorExit(), False),
    ({"retry_for": (BaseException,)}, ArgumentError("x"), False),
    ({"retry_for": (BaseException,)}, PayloadTooLargeError("x"), False),
]


@pytest.mark.parametrize(("options", "error", "is_retried"), CASES)
def test_which_errors_are_retried_live_and_from_a_record(
    options: dict[str, Any], error: BaseException, is_retried: bool
) -> None:
    """Classes, their subclasses and their names; the record has names only, and decides the same."""
    policy = RetryPolicy(max_attempts=5, **options)
    assert is_retried is (decide(policy, 1, error, MIDDLE) is not None)
    copy = RetryPolicy.from_record(json.loads(json.dumps(policy.to_record())))
    assert is_retried is (decide(copy, 1, error, MIDDLE) is not None)


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"max_attempts": True},
        {"max_attempts": 2.0},
        {"max_attempts": 1_000_001},
        {"initial_delay": -1},
        {"initial_delay": "soon"},
        {"max_delay": float("inf")},
        {"backoff_factor": 0.5},
        {"backoff_factor": float("nan")},
        {"backoff_factor": "2"},
        {"jitter": 1.5},
        {"jitter": -0.1},
        {"jitter": True},
        {"retry_for": (int,)},
        {"retry_for": 5},
        {"retry_for": (ValueError(),)},
        {"no_retry_for": ("ValueError",)},
        {"no_retry_for": ("",)},
    ],
)
def test_an_option_that_means_nothing_is_refused_when_the_policy_is_made(options: dict[str, Any]) -> None:
    """Not at the third failure, in the night; the option is named."""
    (name,) = options
    with pytest.raises(OptionError, match=name):
        RetryPolicy(**options)


@pytest.mark.parametrize("record", [None, 5, [], {"max_attempt": 1}, {"initial_delay_us": "x"}, {"max_delay_us": -1}])
def test_what_is_no_record_is_refused(record: Any) -> None:
    """Records come from a database."""
    with pytest.raises(OptionError):
        RetryPolicy.from_record(record)


def test_a_policy_is_a_value() -> None:
    """Frozen, equal by content, usable as a key."""
    policy = RetryPolicy(max_attempts=3, retry_for=[ValueError])  # type: ignore[arg-type]  # a list is taken too
    assert policy == RetryPolicy(max_attempts=3, retry_for=(ValueError,))
    assert hash(policy) == hash(RetryPolicy(max_attempts=3, retry_for=(ValueError,)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.max_attempts = 4  # type: ignore[misc]

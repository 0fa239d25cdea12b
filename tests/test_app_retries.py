"""Retry policies and time limits of activities, through the public API."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from stent import RetryPolicy, Stent
from stent.backends import SQLiteBackend
from stent.errors import CallTimeoutError, ExpiryError, OptionError
from stent.history.events import CallAttemptFailed, CallFailed, CallScheduled
from tests.crash.processes import until

PATIENCE_S = 10
QUICK = RetryPolicy(max_attempts=3, initial_delay=0.001, jitter=0.0)
FIRST_DELAY_US = 1_000

tries: list[tuple[str, int, str | None]] = []
"""(what, attempt, idempotency key) of every try of a body."""


@pytest.fixture(autouse=True)
def _no_tries() -> None:
    tries.clear()


class FlakyError(ConnectionError):
    """An error that goes away by itself."""


def tried(what: str) -> int:
    context = Stent.context()
    tries.append((what, context.attempt, context.idempotency_key))
    return context.attempt


@Stent.durable(retry_policy=QUICK)
async def flaky(works_at: int) -> int:
    attempt = tried("flaky")
    if attempt < works_at:
        raise FlakyError(f"attempt {attempt}")
    return attempt


@Stent.durable
async def no_policy() -> None:
    tried("no policy")
    raise FlakyError("once")


@Stent.durable(retry_policy=RetryPolicy(max_attempts=5, initial_delay=0.001, retry_for=(ConnectionError,)))
async def picky(error: str) -> None:
    tried("picky")
    raise {"flaky": FlakyError, "value": ValueError}[error](error)


@Stent.durable(
    retry_policy=RetryPolicy(
        max_attempts=5, initial_delay=0.001, retry_for=(OSError,), no_retry_for=(FlakyError, "builtins:ValueError")
    )
)
async def pickier(error: str) -> None:
    tried("pickier")
    raise {"flaky": FlakyError, "os": OSError, "value": ValueError}[error](error)


@Stent.durable
async def orchestrate(works_at: int) -> int:
    return await flaky(works_at)


@pytest.mark.parametrize("function", [flaky, orchestrate])
async def test_an_activity_is_tried_again_until_it_succeeds(executor: Stent, function: Any) -> None:
    assert 3 == await function(3)
    assert [1, 2, 3] == [attempt for _, attempt, _ in tries]


@pytest.mark.parametrize("function", [flaky, orchestrate])
async def test_after_its_last_attempt_the_last_error_is_the_answer(executor: Stent, function: Any) -> None:
    with pytest.raises(FlakyError, match=r"^attempt 3$"):
        await function(99)
    assert 3 == len(tries)


async def test_the_idempotency_key_is_the_same_for_all_attempts_and_for_no_other_call(executor: Stent) -> None:
    await orchestrate(3)
    await orchestrate(1)
    keys = [key for _, _, key in tries]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert all(key and len(key) == 32 for key in keys)


async def test_without_a_policy_there_is_one_attempt(executor: Stent) -> None:
    with pytest.raises(FlakyError, match="once"):
        await no_policy()
    assert 1 == len(tries)


@pytest.mark.parametrize(
    ("function", "error", "count"),
    [
        (picky, "flaky", 5),
        (picky, "value", 1),
        (pickier, "os", 5),
        (pickier, "flaky", 1),
        (pickier, "value", 1),
    ],
)
async def test_only_the_named_errors_are_tried_again(executor: Stent, function: Any, error: str, count: int) -> None:
    with pytest.raises((FlakyError, OSError, ValueError), match=error):
        await function(error)
    assert count == len(tries)


async def test_a_policy_given_with_the_call_comes_before_that_of_the_function(executor: Stent) -> None:
    with pytest.raises(FlakyError):
        await flaky.options(retry_policy=RetryPolicy(max_attempts=2, initial_delay=0.001))(99)
    assert 2 == len(tries)


async def test_each_item_of_a_map_has_attempts_of_its_own(executor: Stent) -> None:
    assert [1, 2, 3] == await Stent.map(flaky, [1, 2, 3])
    assert 6 == len(tries)
    assert 3 == len({key for _, _, key in tries})


async def test_failed_attempts_are_recorded_with_their_next_time(executor: Stent) -> None:
    run_id = await executor.dispatch(orchestrate, 99)
    await executor.wait_for(run_id, expiry=PATIENCE_S)
    history = await executor.history_of(run_id)
    [scheduled] = [event for event in history if isinstance(event, CallScheduled)]
    first, second = [event for event in history if isinstance(event, CallAttemptFailed)]
    assert [1, 2] == [first.attempt, second.attempt]
    # Counted from the failure of a body, which is not before its attempt was due; it may be recorded much later.
    assert first.retry_at_us >= scheduled.at_us + FIRST_DELAY_US
    assert second.retry_at_us >= first.retry_at_us + FIRST_DELAY_US * QUICK.backoff_factor
    assert [3] == [event.attempt for event in history if isinstance(event, CallFailed)]


SLOW_RETRY = RetryPolicy(max_attempts=3, initial_delay=0.15, backoff_factor=1.0, jitter=0.0)


@Stent.durable
async def slow_to_retry() -> int:
    return await flaky.options(retry_policy=SLOW_RETRY)(2)


async def test_the_pause_before_an_attempt_outlives_the_worker(backend: SQLiteBackend) -> None:
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(slow_to_retry)
        await until(lambda: bool(tries))
        first_s = time.monotonic()
        await asyncio.sleep(0.02)
    async with Stent.bootstrap(backend) as executor:
        assert 2 == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
        pause_s = time.monotonic() - first_s
    assert [1, 2] == [attempt for _, attempt, _ in tries], "counted on, not from the beginning"
    assert 0.145 <= pause_s < 1.0, "not before its time, and not a pause more"


# -- time limits -------------------------------------------------------------------------------------------------------


@Stent.durable(timeout="30ms")
async def too_slow() -> None:
    tried("too slow")
    await asyncio.sleep(3600)


@Stent.durable
async def call_too_slow() -> str:
    try:
        await too_slow()
    except TimeoutError as error:
        return type(error).__name__
    return "?"


async def test_an_activity_that_takes_too_long_is_stopped_with_an_error(executor: Stent) -> None:
    with pytest.raises(CallTimeoutError, match=r"too_slow\(\) did not finish within 30ms") as caught:
        await too_slow()
    assert isinstance(caught.value, ExpiryError)
    assert "CallTimeoutError" == await call_too_slow()


async def test_the_time_limit_is_for_each_attempt(executor: Stent) -> None:
    with pytest.raises(CallTimeoutError):
        await too_slow.options(retry_policy=QUICK)()
    assert 3 == len(tries)


async def test_a_time_limit_given_with_the_call_comes_first(executor: Stent) -> None:
    before = time.monotonic()
    with pytest.raises(CallTimeoutError, match="1ms"):
        await too_slow.options(timeout="1ms")()
    assert time.monotonic() - before < PATIENCE_S


release = threading.Event()


@Stent.durable(timeout="30ms")
def blocks_its_thread() -> str:
    release.wait(PATIENCE_S)
    return "late"


async def test_a_plain_def_that_takes_too_long_is_left_behind(executor: Stent) -> None:
    try:
        with pytest.raises(CallTimeoutError):
            await blocks_its_thread()
    finally:
        release.set()


@pytest.mark.parametrize("bad", [{"max_attempts": 0}, {"jitter": 2}, {"retry_for": (int,)}, {"initial_delay": -1}])
def test_a_policy_that_means_nothing_is_an_error(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(bad))):
        RetryPolicy(**bad)

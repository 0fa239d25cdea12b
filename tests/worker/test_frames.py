"""What a traceback of a user's error shows, in a body and where it is waited for, live and when it is read again."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from stent import Stent
from stent.backends import SQLiteBackend
from stent.worker.frames import cut_to_users


def inner(number: int) -> int:
    raise ValueError(f"no {number}")


@Stent.durable
async def fail(number: int) -> int:
    await asyncio.sleep(0)
    return inner(number)


@Stent.durable
def fail_in_a_thread(number: int) -> int:
    return inner(number)


@Stent.durable(timeout="10s")
async def fail_in_time(number: int) -> int:
    return inner(number)


@Stent.durable
async def fail_because(number: int) -> int:
    try:
        return inner(number)
    except ValueError as error:
        raise KeyError("outer") from error


@Stent.durable(timeout="10ms")
async def take_long() -> None:
    await asyncio.sleep(60)


@Stent.durable
async def return_what_cannot_be_stored() -> Any:
    return object()


@Stent.durable
async def call(name: str) -> None:
    await FAILING[name](1)


FAILING: dict[str, Callable[[int], Any]] = {
    "fail": fail,
    "fail_in_a_thread": fail_in_a_thread,
    "fail_in_time": fail_in_time,
    "fail_because": fail_because,
    "take_long": lambda _: take_long(),
    "return_what_cannot_be_stored": lambda _: return_what_cannot_be_stored(),
}


def functions_in(text: str) -> list[str]:
    """The functions whose frames a traceback shows."""
    return re.findall(r'File ".*", line \d+, in (\S+)', text)


async def shown(executor: Stent, run_id: str) -> str:
    error = (await executor.wait_for(run_id, expiry=10)).error
    assert error is not None
    return "".join(traceback.format_exception(error.with_traceback(None)))


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("fail", ["fail", "inner"]),
        ("fail_in_a_thread", ["fail_in_a_thread", "inner"]),
        ("fail_in_time", ["fail_in_time", "inner"]),
        ("fail_because", ["fail_because", "inner", "fail_because"]),
        ("take_long", ["take_long", "sleep"]),
        ("return_what_cannot_be_stored", []),
    ],
)
async def test_only_frames_of_the_user_are_recorded(backend: SQLiteBackend, name: str, frames: list[str]) -> None:
    """Of the body, and of the orchestrator that called it; also in another process, which knows only the record."""
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(call, name)
        live = await shown(executor, run_id)
    async with Stent.bootstrap(backend) as executor:
        assert live == await shown(executor, run_id)
    body, _, caller = live.partition("Then, in the caller:")
    assert frames == [found for found in functions_in(body) if found not in ("__aexit__", "timeout")]
    assert "call" == functions_in(caller)[0]
    assert "bodies.py" not in live
    assert "thread.py" not in live


def test_what_is_not_ours_stays_whole() -> None:
    with pytest.raises(ValueError, match="no 1") as caught:
        inner(1)
    before = traceback.format_exception(caught.value)
    assert cut_to_users(caught.value) is caught.value
    assert before == traceback.format_exception(caught.value)


def test_a_class_that_wants_no_attributes_is_no_harm() -> None:
    class Stubborn(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise TypeError(name)

    first, second = Stubborn("first"), ValueError("second")
    second.__cause__, second.__context__ = first, first
    assert cut_to_users(second) is second
    assert cut_to_users(first) is first

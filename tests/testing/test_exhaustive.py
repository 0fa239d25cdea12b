"""All interleavings of small programs: counted exactly, and without those that the program cannot tell apart."""

from __future__ import annotations

import asyncio
from math import factorial
from pathlib import Path
from typing import Any

import pytest

from stent import Stent
from stent.durable.function import Durable
from stent.testing import ScheduleError, explore
from stent.testing.exhaustive import next_schedule
from stent.testing.findings import Outcome

ledger: list[int] = []


@Stent.durable
async def charge(order: int) -> int:
    ledger.append(order)
    return order


@Stent.durable
async def gathered() -> list[int]:
    return list(await asyncio.gather(*(charge(number) for number in range(4))))


@Stent.durable
async def as_they_come() -> list[int]:
    return [await each for each in asyncio.as_completed([charge(number) for number in range(4)])]


@Stent.durable
async def won_by_the_last() -> list[int]:
    """A gather, and beside it a task for each call that writes down when it came."""
    seen: list[int] = []

    async def watched(number: int) -> None:
        seen.append(await charge(number))

    await asyncio.gather(*(watched(number) for number in range(3)))
    return seen


@Stent.durable
async def one_by_one() -> int:
    return await charge(1) + await charge(2)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger.clear()


def outcomes_of(program: Durable[..., Any], **options: Any) -> tuple[int, set[str]]:
    """How many interleavings there are, and the different results."""
    results: set[str] = set()
    found = explore(program, invariant=lambda outcome: results.add(repr(outcome.result)), exhaustive=True, **options)
    assert found.is_complete
    return found.schedules, results


def test_a_gather_differs_only_in_who_is_last() -> None:
    assert (4, {"Result.success([0, 1, 2, 3])"}) == outcomes_of(gathered, crashes=0)


def test_orders_that_a_program_can_see_are_all_played() -> None:
    count, results = outcomes_of(as_they_come, crashes=0)
    assert (factorial(4), factorial(4)) == (count, len(results))
    count, results = outcomes_of(won_by_the_last, crashes=0)
    assert (factorial(3), factorial(3)) == (count, len(results))


def test_a_crash_is_put_everywhere() -> None:
    """No crash; or one of three at the first body (before it, before or after recording it), or at the second."""
    count, _ = outcomes_of(one_by_one, crashes=1)
    assert 1 + 3 + 3 == count


def test_failures_are_counted_and_the_smallest_is_told() -> None:
    def once(outcome: Outcome) -> None:
        assert len(ledger) <= 2, "double charge"

    with pytest.raises(ScheduleError) as caught:
        explore(one_by_one, invariant=once, arrange=lambda _: ledger.clear(), exhaustive=True)
    assert str(caught.value).startswith("explored 7 interleavings: 2 x double charge\n")
    assert 3 == len(caught.value.moves)


def test_an_exploration_that_is_cut_off_says_so() -> None:
    found = explore(as_they_come, crashes=1, exhaustive=True, schedules=10)
    assert (10, False) == (found.schedules, found.is_complete)


def test_schedules_are_counted_like_numbers() -> None:
    assert [1] == next_schedule([], [2])
    assert [0, 1] == next_schedule([0], [2, 2])
    assert [1] == next_schedule([0, 1], [2, 2])
    assert next_schedule([1, 1], [2, 2]) is None

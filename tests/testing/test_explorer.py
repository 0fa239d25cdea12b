"""The explorer: it finds what only some schedules show, and the schedule it tells is small and can be replayed."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from stent import RetryPolicy, Stent
from stent.inspect.portable import loads
from stent.testing import ScheduleError, check_history, explore
from stent.testing.findings import Outcome

ledger: list[int] = []
clock_like: list[int] = []


@Stent.durable
async def charge(order: int) -> int:
    ledger.append(order)
    return order


@Stent.durable(retry_policy=RetryPolicy(max_attempts=3, initial_delay=1.0))
async def fetch(number: int) -> int:
    await asyncio.sleep(3)
    return number


@Stent.durable
def in_a_thread(number: int) -> int:
    return number


@Stent.durable
async def charged_once(order: int) -> int:
    return await charge(order)


@Stent.durable
async def first_wins() -> int:
    tasks = [asyncio.create_task(charge(number)) for number in (1, 2)]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return min(task.result() for task in done)


@Stent.durable
async def sure_of_the_order() -> str:
    """Wrong: whoever is first in `wait` need not be the first that was started."""
    return f"won by {await first_wins()}"


@Stent.durable
async def forgets_the_time() -> str:
    """Wrong: after an hour nobody has approved, and it pays all the same."""
    with contextlib.suppress(TimeoutError):
        await Stent.wait_for_signal("approve", timeout="1h")
    return f"paid {await charge(1)}"


@Stent.durable
async def many_things() -> list[int]:
    numbers = await asyncio.gather(fetch(1), fetch(2), in_a_thread(3), return_exceptions=True)
    mapped = await Stent.map(charge, [number for number in numbers if isinstance(number, int)])
    return sorted([*mapped, await charged_once(4)])


@Stent.durable
async def remembers() -> int:
    """Wrong: what it does depends on how often it has been run."""
    clock_like.append(1)
    first = await charge(len(clock_like))
    return first + await charge(first)


@Stent.durable
async def both() -> list[int]:
    return list(await asyncio.gather(charge(1), charge(2)))


@Stent.durable
async def twice_if_asked() -> list[object]:
    heard = []
    for _ in range(2):
        with contextlib.suppress(TimeoutError):
            heard.append(await Stent.wait_for_signal("go", timeout="1m"))
    return heard


@Stent.durable
async def waits_for_ever() -> int:
    await Stent.wait_for_signal("first")
    await Stent.wait_for_signal("second")
    return 1


def once(outcome: Outcome) -> None:
    assert len(ledger) <= 1, f"{len(ledger)} charges"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger.clear()
    clock_like.clear()


def test_a_double_charge_is_found_and_told_in_its_smallest_schedule(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match="2 charges") as caught:
        explore(charged_once, 7, invariant=once, arrange=lambda _: ledger.clear())
    assert [
        "charge (call 1) finishes, and the worker crashes before recording it",
        "charge (call 1) finishes",
    ] == caught.value.moves
    assert 1 == len(caught.value.schedule)
    assert caught.value.path == Path(".stent/charged_once.json")
    assert 4 == len(check_history(tmp_path / ".stent" / "charged_once.json"))


def test_without_crashes_there_is_no_double_charge() -> None:
    found = explore(charged_once, 7, invariant=once, arrange=lambda _: ledger.clear(), crashes=0, schedules=20)
    assert (20, 1, 0) == (found.schedules, found.distinct, found.crashes)
    assert "explored 20 schedules (1 different histories, 0 crashes)" in str(found)


def test_an_order_that_is_taken_for_granted_is_found() -> None:
    def first(outcome: Outcome) -> None:
        assert "won by 1" == outcome.result.unwrap()

    with pytest.raises(ScheduleError, match="won by 2") as caught:
        explore(sure_of_the_order, invariant=first, crashes=0, save="won.json")
    assert "charge (call 2) finishes" == caught.value.moves[0]
    assert loads(Path("won.json").read_bytes())


def test_a_time_limit_that_passes_first_is_found() -> None:
    def approved(outcome: Outcome) -> None:
        assert not outcome.calls(charge) or "signal approve arrives" in outcome.moves

    with pytest.raises(ScheduleError) as caught:
        explore(forgets_the_time, invariant=approved, signals=[("approve", True)])
    assert ["time passes by 1h", "charge (call 3) finishes"] == caught.value.moves


def test_a_program_that_a_crash_changes_is_found() -> None:
    with pytest.raises(ScheduleError, match=r"charge\(1\).*\n.*charge\(2\)"):
        explore(remembers, arrange=lambda _: clock_like.clear())


def test_a_program_that_does_not_replay_is_found_without_a_crash() -> None:
    with pytest.raises(ScheduleError, match="the same history does not give the same calls again"):
        explore(remembers, arrange=lambda _: clock_like.clear(), crashes=0)


def test_a_signal_that_arrives_again_is_the_same_signal() -> None:
    def heard_once(outcome: Outcome) -> None:
        seen.update(outcome.moves)
        assert len(outcome.result.unwrap()) <= 1

    seen: set[str] = set()
    explore(twice_if_asked, invariant=heard_once, signals=[("go", 1)], crashes=0, schedules=50)
    assert "signal go arrives again" in seen


def test_outcomes_that_are_written_together_are_lost_together() -> None:
    def one_lost(outcome: Outcome) -> None:
        assert len(outcome.calls(charge)) <= 3, f"{len(outcome.calls(charge))} charges"

    with pytest.raises(ScheduleError, match="4 charges"):
        explore(both, invariant=one_lost, crashes=1)


def test_a_program_that_never_ends_is_found() -> None:
    with pytest.raises(ScheduleError, match="listened for the signal 'second'") as caught:
        explore(waits_for_ever, signals=[("first", 1)])
    assert ["signal first arrives"] == caught.value.moves


def test_an_error_that_nobody_handles_is_found() -> None:
    """With one kind of failure for all activities."""

    def returned(outcome: Outcome) -> None:
        outcome.result.unwrap()

    with pytest.raises(ScheduleError, match="away") as caught:
        explore(charged_once, 7, invariant=returned, failures=[OSError("away")], crashes=0)
    assert ["charge (call 1) fails with OSError('away')"] == caught.value.moves


@pytest.mark.slow
def test_a_good_program_is_explored_in_all_directions() -> None:
    """Failures, retries, threads, maps, children, crashes, and duplicates."""

    def whole(outcome: Outcome) -> None:
        assert {3, 4} <= set(outcome.result.unwrap())

    seen: set[str] = set()

    def watch(outcome: Outcome) -> None:
        whole(outcome)
        seen.update(move.partition(" (")[2].partition(") ")[2] for move in outcome.moves if " (" in move)
        seen.update(move.partition(" by ")[0] for move in outcome.moves)

    found = explore(many_things, invariant=watch, failures={fetch: [OSError("away")]}, schedules=150, crashes=2)
    assert found.distinct > 100
    assert found.crashes > 100
    assert {
        "finishes",
        "fails with OSError('away')",
        "finishes, and the worker crashes before recording it",
        "finishes, and the worker crashes after recording it",
        "the worker crashes",
        "time passes",
    } <= seen


async def test_it_can_be_called_where_an_event_loop_runs() -> None:
    assert 5 == explore(charged_once, 7, schedules=5).schedules


def test_one_seed_is_one_exploration() -> None:
    def moves() -> list[list[str]]:
        seen: list[list[str]] = []
        explore(many_things, invariant=lambda outcome: seen.append(list(outcome.moves)), schedules=10, seed=5)
        return seen

    assert moves() == moves()


def test_doubles_stand_in_for_activities() -> None:
    def doubled(outcome: Outcome) -> None:
        assert 70 == outcome.result.unwrap()

    explore(charged_once, 7, invariant=doubled, arrange=lambda doubles: doubles.result(charge, 70), schedules=10)
    assert [] == ledger


def test_options_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="schedules"):
        explore(charged_once, 7, schedules=0)

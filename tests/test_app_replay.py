"""What a program sees is the same when it is executed again: time, chance, patches, continuing as new."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stent import Stent
from stent.backends import SQLiteBackend
from stent.history.events import PatchRecorded, RunContinuedAsNew
from tests.crash.processes import until_event

PATIENCE_S = 10

passes: list[list[Any]] = []
"""What each execution of a program saw, from the top."""


@pytest.fixture(autouse=True)
def _no_passes() -> None:
    passes.clear()


@Stent.durable
async def number() -> int:
    return 7


async def interrupted(backend: SQLiteBackend, function: Any, *args: Any) -> Any:
    """Run a program until it waits for the signal "go", in one executor; then to its end, in another."""
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(function, *args)
        await until_event(executor, run_id, "SignalAwaited")
    async with Stent.bootstrap(backend) as executor:
        await executor.send_signal(run_id, "go")
        return (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


@Stent.durable
async def look_around() -> list[Any]:
    seen: list[Any] = []
    passes.append(seen)
    seen.append(Stent.now())
    seen.append(Stent.random().random())
    seen.append(Stent.uuid4())
    await number()
    seen.append(Stent.now())
    seen.append(Stent.random().randint(1, 10**9))
    seen.append(Stent.uuid4())
    seen.append(Stent.context().execution_id)
    await Stent.wait_for_signal("go")
    seen.append(Stent.now())
    return seen


async def test_time_and_chance_are_the_same_on_replay(backend: SQLiteBackend) -> None:
    before = datetime.now(UTC)
    result = await interrupted(backend, look_around)
    assert 2 == len(passes), "once live, once more from the top"
    live, replayed = passes
    assert live == replayed[:-1]
    assert result == replayed
    times = [seen for seen in replayed if isinstance(seen, datetime)]
    assert sorted(times) == times
    assert before - timedelta(milliseconds=1) <= times[0] <= times[-1] <= datetime.now(UTC)


async def test_two_runs_have_chances_of_their_own(executor: Stent) -> None:
    runs = [await executor.dispatch(roll) for _ in range(2)]
    first, second = [(await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap() for run_id in runs]
    assert first != second


@Stent.durable
async def roll() -> list[Any]:
    await number()
    return [Stent.random().random(), Stent.uuid4()]


@Stent.durable
async def says_whether_it_is_replayed() -> list[bool]:
    seen: list[Any] = []
    passes.append(seen)
    seen.append(Stent.context().is_replaying)
    await number()
    seen.append(Stent.context().is_replaying)
    await Stent.wait_for_signal("go")
    seen.append(Stent.context().is_replaying)
    return seen


async def test_a_program_can_tell_whether_it_is_replayed(backend: SQLiteBackend) -> None:
    assert [True, True, False] == await interrupted(backend, says_whether_it_is_replayed)
    assert [False, False] == passes[0]


# -- patches -----------------------------------------------------------------------------------------------------------

is_patched_code = False


@Stent.durable
async def changing() -> str:
    if is_patched_code and Stent.patched("greet"):
        await number()
        way = "new"
    else:
        way = "old"
    await Stent.wait_for_signal("go")
    return way


@pytest.fixture
def code_is_patched() -> Any:
    def patch(new: bool) -> None:
        global is_patched_code  # noqa: PLW0603  # the code of the program, before and after a deploy
        is_patched_code = new

    patch(False)
    yield patch
    patch(False)


async def test_a_run_that_began_before_a_change_keeps_its_old_side(
    backend: SQLiteBackend, code_is_patched: Callable[[bool], None]
) -> None:
    async with Stent.bootstrap(backend) as executor:
        old = await executor.dispatch(changing)
        await asyncio.sleep(0.02)
    code_is_patched(True)
    async with Stent.bootstrap(backend) as executor:
        new = await executor.dispatch(changing)
        await asyncio.sleep(0.02)
    async with Stent.bootstrap(backend) as executor:
        for run_id in (old, new):
            await executor.send_signal(run_id, "go")
        assert "old" == (await executor.wait_for(old, expiry=PATIENCE_S)).unwrap()
        assert "new" == (await executor.wait_for(new, expiry=PATIENCE_S)).unwrap()
        recorded = [event for event in await executor.history_of(new) if isinstance(event, PatchRecorded)]
        assert ["greet"] == [event.change for event in recorded]


# -- continuing as new -------------------------------------------------------------------------------------------------


@Stent.durable
async def count_down(left: int, total: int) -> int:
    total += await number()
    if left > 1:
        Stent.continue_as_new(left - 1, total=total)
    return total


async def test_a_run_that_continues_as_new_gives_the_result_of_the_last_one(executor: Stent) -> None:
    run_id = await executor.dispatch(count_down, 4, 0)
    assert 28 == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    assert 28 == (await executor.result_of(run_id)).unwrap()
    history = await executor.history_of(run_id)
    last = history[-1]
    assert isinstance(last, RunContinuedAsNew)
    assert 4 == len(history), "each history is short"
    assert 4 == len(await executor.list_executions(function=count_down))


async def test_a_direct_call_and_a_parent_get_the_result_of_the_last_one_too(executor: Stent) -> None:
    assert 21 == await count_down(3, 0)
    assert 22 == await parent_of_a_chain()


@Stent.durable
async def parent_of_a_chain() -> int:
    return 1 + await count_down(3, 0)


@Stent.durable
async def hand_over_signals(round_: int) -> list[Any]:
    first = await Stent.wait_for_signal("item")
    if round_ < 3:
        Stent.continue_as_new(round_ + 1)
    return [round_, first]


async def test_signals_that_were_not_read_go_to_the_next_of_the_chain(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    run_id = await client.dispatch(hand_over_signals, 1)
    for sent in ("a", "b", "c"):
        await client.send_signal(run_id, "item", sent)
    await client.shutdown()
    async with Stent.bootstrap(backend) as executor:
        assert [3, "c"] == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


async def test_a_signal_to_the_first_of_a_chain_reaches_the_one_that_goes_on(executor: Stent) -> None:
    run_id = await executor.dispatch(hand_over_signals, 1)
    for sent in ("a", "b", "c"):
        await executor.send_signal(run_id, "item", sent)
        await asyncio.sleep(0.01)
    assert [3, "c"] == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


# -- all of asyncio ----------------------------------------------------------------------------------------------------


@Stent.durable
async def add(left: int, right: int) -> int:
    await asyncio.sleep(0.001 * (left % 3))
    return left + right


@Stent.durable
async def many_ways() -> list[int]:
    found = []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(add(number, 1)) for number in range(3)]
    found += [task.result() for task in tasks]
    found += sorted([await each for each in asyncio.as_completed([add(10, 1), add(20, 1)])])
    done, _ = await asyncio.wait([asyncio.ensure_future(add(30, 1))])
    found += [task.result() for task in done]
    found.append(await asyncio.wait_for(add(40, 1), 5))
    found.append(await asyncio.shield(add(50, 1)))
    semaphore, queue = asyncio.Semaphore(1), asyncio.Queue[int]()

    async def one(number: int) -> None:
        async with semaphore:
            await queue.put(await add(number, 2))

    await asyncio.gather(*[one(number) for number in (60, 70)])
    found += [queue.get_nowait() for _ in range(2)]
    await asyncio.sleep(0.001)
    await Stent.wait_for_signal("go")
    return found


async def test_any_asyncio_program_is_durable(backend: SQLiteBackend) -> None:
    expected = list(itertools.chain([1, 2, 3], [11, 21], [31, 41, 51], [62, 72]))
    assert expected == await interrupted(backend, many_ways)

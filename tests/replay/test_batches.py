"""`Stent.map` in an orchestrator: one command, results in the order of the items, or a stream as they come."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from stent.codec import Payload
from stent.durable import calls as ask
from stent.errors import ActivityError, CorruptPayloadError
from stent.history.events import BatchItemsCompleted, BatchScheduled
from tests.replay.driver import Drive, check_replays, durable, start, told


@durable
async def work(item: Any, times: int = 1) -> Any:
    return item * times


@durable
async def mapped(count: int, return_exceptions: bool = False) -> list[str]:
    return [repr(each) for each in await ask.map(work, range(count), return_exceptions=return_exceptions)]


def test_a_map_is_one_command_and_gives_results_in_the_order_of_its_items() -> None:
    drive = Drive(mapped, 4)
    assert ["1 map(work, 4 items)"] == drive.start()
    assert [] == drive.complete_items(1, {2: "c", 0: "a"})
    assert ["""return ["'a'", "'b'", "'c'", "'d'"]"""] == drive.complete_items(1, {3: "d", 1: "b"})
    check_replays(drive.function, drive.history)


def test_a_map_of_nothing_takes_a_number_and_no_command() -> None:
    @durable
    async def program() -> list[Any]:
        return [await ask.map(work, []), await work(1)]

    drive = Drive(program)
    assert ["2 work(1)"] == drive.start()
    assert ["return [[], 'x']"] == drive.complete(2, "x")
    check_replays(drive.function, drive.history)


def test_the_first_failure_is_raised_and_the_rest_changes_nothing() -> None:
    @durable
    async def program() -> Any:
        try:
            return await ask.map(work, range(3))
        except ValueError as error:
            return await work(str(error))

    drive = start(program)
    assert ["2 work('b')"] == drive.complete_items(1, {0: "a", 1: ValueError("b")})
    assert [] == drive.complete_items(1, {2: ValueError("late")})
    assert ["return 'end'"] == drive.complete(2, "end")
    check_replays(drive.function, drive.history)


def test_failures_can_stand_among_the_results() -> None:
    drive = start(mapped, 3, return_exceptions=True)
    drive.complete_items(1, {2: ValueError("c"), 0: "a"})
    drive.complete_items(1, {1: KeyboardInterrupt()})
    (a, b, c) = drive.result
    assert ("'a'", "ValueError('c')") == (a, c)
    assert b.startswith("ActivityError('KeyboardInterrupt")


def test_a_map_is_stopped_as_a_call_is() -> None:
    drive = start(mapped, 3)
    drive.complete_items(1, {0: "a"})
    assert ["cancel 1", "cancelled"] == drive.cancel()
    check_replays(drive.function, drive.history)


def test_a_map_works_in_gathers_timeouts_and_groups() -> None:
    @durable
    async def program() -> list[Any]:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            first = group.create_task(ask.map(work, [1, 2]))
            second = asyncio.gather(ask.map(work, [3]), work(4))
        return [first.result(), await second]

    drive = start(program)
    assert ["1 timer", "2 map(work, 2 items)", "3 map(work, 1 items)", "4 work(4)"] == told(drive.commands)
    drive.complete_items(3, {0: "c"})
    drive.complete_items(2, {1: "b", 0: "a"})
    assert ["return [['a', 'b'], [['c'], 'd']]"] == drive.complete(4, "d")
    check_replays(drive.function, drive.history)


def test_limit_and_rows_are_recorded() -> None:
    @durable
    async def program() -> None:
        await asyncio.gather(ask.map(work, [1, 2], limit=3), work.starmap([(1, 2), (3, 4)]))

    first, second = start(program).history[1:]
    assert isinstance(first, BatchScheduled)
    assert isinstance(second, BatchScheduled)
    assert (3, 2, b"[[1],[2]]") == (first.limit, first.count, first.items.data)
    assert (None, 2, b"[[1,2],[3,4]]") == (second.limit, second.count, second.items.data)


def test_results_that_cannot_be_read_are_the_error_of_whoever_awaits_the_map() -> None:
    @durable
    async def program() -> str:
        try:
            await ask.map(work, range(2))
        except CorruptPayloadError:
            return "unreadable"
        return "read"

    drive = start(program)
    assert ["return 'unreadable'"] == drive.deliver(BatchItemsCompleted(0, 0, 1, ((0, 1),), Payload(1, b"not json")))


@durable
async def streamed(count: int, return_exceptions: bool = False) -> list[Any]:
    seen: list[Any] = []
    async for index, value in ask.map_as_completed(work, range(count), return_exceptions=return_exceptions):
        seen.append([index, repr(value)])
        if index == 1:
            await asyncio.sleep(5)
    return seen


def test_a_stream_gives_pairs_in_the_order_of_their_outcomes() -> None:
    drive = Drive(streamed, 3)
    assert ["1 map(work, 3 items)"] == drive.start()
    assert ["2 timer"] == drive.complete_items(1, {1: "b", 2: "c"})
    assert [] == drive.complete_items(1, {0: "a"})
    assert ["""return [[1, "'b'"], [2, "'c'"], [0, "'a'"]]"""] == drive.fire(2)
    check_replays(drive.function, drive.history)


def test_a_stream_raises_a_failure_when_it_comes_to_it() -> None:
    drive = start(streamed, 3)
    assert ["raise ValueError('c')"] == drive.complete_items(1, {0: "a", 2: ValueError("c")})
    with_errors = start(streamed, 2, return_exceptions=True)
    with_errors.complete_items(1, {0: ValueError("a")})
    with_errors.complete_items(1, {1: "b"})
    with_errors.fire(2)
    assert [[0, "ValueError('a')"], [1, "'b'"]] == with_errors.result


def test_a_stream_of_nothing_ends_at_once() -> None:
    assert ["return []"] == Drive(streamed, 0).start()


def test_a_stream_can_be_shared_and_one_reader_cancelled() -> None:
    @durable
    async def program() -> list[Any]:
        stream = ask.map_as_completed(work, range(3))

        async def read() -> list[Any]:
            return [index async for index, _ in stream]

        readers = [asyncio.create_task(read()) for _ in range(3)]
        await work("then")
        readers[0].cancel()
        return await asyncio.gather(*readers[1:])

    drive = start(program)
    drive.complete(2)
    drive.complete_items(1, {1: "b"})
    drive.complete_items(1, {0: "a", 2: "c"})
    assert [0, 1, 2] == sorted(itertools.chain(*drive.result))
    check_replays(drive.function, drive.history)


def test_an_unreadable_stream_ends_with_its_error() -> None:
    drive = start(streamed, 3)
    (text,) = drive.deliver(BatchItemsCompleted(0, 0, 1, ((0, 1),), Payload(1, b"not json")))
    assert text.startswith("raise CorruptPayloadError")


def test_a_failed_map_holds_an_error_that_a_program_may_raise() -> None:
    drive = start(mapped, 1)
    drive.complete_items(1, {0: SystemExit(2)})
    with pytest.raises(ActivityError, match="SystemExit"):
        _ = drive.result

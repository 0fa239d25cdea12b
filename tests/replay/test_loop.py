"""Tasks, gathers, groups, wait and as_completed work unchanged, and the same way on every replay."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from tests.replay.driver import Drive, check_replays, durable, finish, start


@durable
async def work(item: Any) -> Any:
    return item


async def helper(item: Any) -> Any:
    """A plain coroutine around a durable call."""
    return await work(item)


def replayed(drive: Drive) -> Any:
    """The result of a finished run, which replays from everywhere."""
    check_replays(drive.function, drive.history)
    return drive.result


# -- gather and tasks --------------------------------------------------------------------------------------------------


def test_gather_starts_all_and_keeps_the_order_of_its_arguments() -> None:
    @durable
    async def program() -> list[Any]:
        return await asyncio.gather(work("a"), helper("b"), work("c"))

    drive = Drive(program)
    assert ["1 work('a')", "2 work('c')", "3 work('b')"] == drive.start()
    for call in (2, 3, 1):
        drive.complete(call, call)
    assert [1, 3, 2] == replayed(drive)


def test_gathers_nest() -> None:
    @durable
    async def program() -> list[Any]:
        inner = [asyncio.gather(*[work(row * 2 + column) for column in range(2)]) for row in range(2)]
        return await asyncio.gather(*inner)

    drive = start(program)
    assert [[1, 2], [3, 4]] == replayed(finish(drive, lambda count: count - 1))


def test_a_wide_gather() -> None:
    @durable
    async def program() -> int:
        return sum(await asyncio.gather(*[work(item) for item in range(1000)]))

    drive = start(program)
    assert 1000 == len(drive.state.calls)
    finish(drive, lambda count: count // 2)
    assert 1000 * 1001 // 2 == drive.result
    drive.close()


def test_gather_raises_the_first_failure_at_once_and_the_others_go_on() -> None:
    @durable
    async def program() -> list[Any]:
        try:
            await asyncio.gather(work(1), work(2), work(3))
        except ValueError as error:
            return [str(error), await work("after")]
        return []

    drive = start(program)
    assert ["4 work('after')"] == drive.fail(2, ValueError("second"))
    drive.fail(1, ValueError("too late"))
    drive.complete(3)
    drive.complete(4, "end")
    assert ["second", "end"] == replayed(drive)


def test_gather_can_return_exceptions() -> None:
    @durable
    async def program() -> list[str]:
        return [repr(each) for each in await asyncio.gather(work(1), helper(2), return_exceptions=True)]

    drive = start(program)
    drive.fail(2, KeyError("b"))
    drive.fail(1, ValueError("a"))
    assert ["ValueError('a')", "KeyError('b')"] == replayed(drive)


def test_a_durable_call_is_its_own_task() -> None:
    @durable
    async def program() -> bool:
        call = work(1)
        task = asyncio.create_task(call)
        await task
        return task is call and asyncio.ensure_future(call) is call

    assert replayed(finish(start(program)))


def test_tasks_run_in_the_order_of_their_creation_and_have_names() -> None:
    @durable
    async def program() -> list[str]:
        names: list[str] = []

        async def named() -> None:
            await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            names.append(task.get_name())

        await asyncio.gather(asyncio.create_task(named(), name="mine"), named(), asyncio.create_task(named()))
        return [*names, asyncio.current_task().get_name(), asyncio.create_task(work(1)).get_name()]  # type: ignore[union-attr]

    assert ["mine", "task-0.2", "task-0.3", "task-0", "call-1"] == replayed(start(program))


def test_all_tasks_are_those_of_this_run() -> None:
    @durable
    async def program() -> list[str]:
        others = [asyncio.create_task(helper(item)) for item in range(3)]
        names = sorted(task.get_name() for task in asyncio.all_tasks())
        await asyncio.gather(*others)
        return names

    waiting = start(program)
    assert ["task-0", "task-0.1", "task-0.2", "task-0.3"] == replayed(finish(start(program)))
    waiting.close()


def test_the_path_of_a_command_is_its_place_in_the_tree_of_tasks() -> None:
    @durable
    async def program() -> None:
        async def parent() -> None:
            await asyncio.gather(helper(1), helper(2))

        work("top")
        await asyncio.gather(helper("a"), parent())

    drive = start(program)
    assert ["0", "0.1", "0.2.1", "0.2.2"] == [event.path for event in drive.history[1:]]  # type: ignore[attr-defined]


def test_cancelling_a_child_withdraws_its_call_and_no_other() -> None:
    @durable
    async def program() -> list[Any]:
        tasks = [asyncio.create_task(helper(item)) for item in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel("not needed")
        return [repr(each) for each in await asyncio.gather(*tasks, return_exceptions=True)]

    drive = Drive(program)
    assert [
        "1 work(0)",
        "2 work(1)",
        "3 work(2)",
        "cancel 2",
    ] == drive.start()  # as in asyncio, gather forgets the message
    assert ["1", "CancelledError('')", "3"] == replayed(finish(drive))


# -- groups ------------------------------------------------------------------------------------------------------------


def test_a_task_group_waits_for_all_its_tasks() -> None:
    @durable
    async def program() -> list[Any]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(1)), group.create_task(helper(2))]
        return [task.result() for task in tasks]

    assert [1, 2] == replayed(finish(start(program), lambda count: count - 1))


def test_a_failure_in_a_task_group_cancels_its_siblings_in_order() -> None:
    @durable
    async def program() -> list[str]:
        try:
            async with asyncio.TaskGroup() as group:
                for item in range(20):
                    group.create_task(helper(item))
        except ExceptionGroup as errors:
            return [str(each) for each in errors.exceptions]
        return []

    drive = start(program)
    cancelled = [f"cancel {call}" for call in range(1, 21) if call != 7]
    assert [*cancelled, "return ['seven']"] == drive.fail(7, ValueError("seven"))
    check_replays(drive.function, drive.history)


def test_a_task_group_takes_durable_calls_and_cancels_them() -> None:
    @durable
    async def program() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(work(1))
                group.create_task(work(2))
                raise ValueError("body")
        except ExceptionGroup:
            return "over"
        return ""

    assert ["1 work(1)", "2 work(2)", "cancel 1", "cancel 2", "return 'over'"] == Drive(program).start()


# -- wait and as_completed ---------------------------------------------------------------------------------------------


def test_wait_for_the_first_and_cancel_the_rest_in_order() -> None:
    @durable
    async def program() -> list[int]:
        tasks = {asyncio.create_task(helper(item)) for item in range(8)}
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return [task.result() for task in done]

    drive = start(program)
    *cancelled, end = drive.complete(5, "five")
    assert sorted(cancelled) == sorted(f"cancel {call}" for call in range(1, 9) if call != 5)
    assert "return ['five']" == end
    check_replays(drive.function, drive.history)


def test_wait_takes_durable_calls_and_a_timeout() -> None:
    @durable
    async def program() -> list[Any]:
        done, pending = await asyncio.wait([work(1), work(2)], timeout=10)
        return [[task.result() for task in done], len(pending), await next(iter(pending))]

    drive = Drive(program)
    assert ["1 work(1)", "2 work(2)", "3 timer"] == drive.start()
    drive.complete(2, "b")
    drive.fire(3)
    drive.complete(1, "a")
    assert [["b"], 1, "a"] == replayed(drive)


def test_wait_until_the_first_exception() -> None:
    @durable
    async def program() -> list[int]:
        done, pending = await asyncio.wait([work(1), work(2), work(3)], return_when=asyncio.FIRST_EXCEPTION)
        return [len(done), len(pending)]

    drive = start(program)
    assert [] == drive.complete(1)
    assert ["return [2, 1]"] == drive.fail(3, ValueError())


@pytest.mark.parametrize("make", [work, helper], ids=["calls", "coroutines"])
def test_as_completed_gives_results_as_they_come(make: Any) -> None:
    @durable
    async def program() -> list[Any]:
        return [await each for each in asyncio.as_completed([make(item) for item in range(9)])]

    drive = Drive(program)
    assert [f"{item + 1} work({item})" for item in range(9)] == drive.start()
    for call in (5, 9, 1, 2, 8, 3, 7, 4, 6):
        drive.complete(call, call)
    assert [5, 9, 1, 2, 8, 3, 7, 4, 6] == replayed(drive)


def test_as_completed_with_calls_tasks_coroutines_and_a_timeout() -> None:
    @durable
    async def program() -> list[Any]:
        seen = []
        given = [work("call"), asyncio.create_task(helper("task")), helper("coroutine"), helper("late")]
        try:
            for each in asyncio.as_completed(given, timeout=5):
                seen.append(await each)  # noqa: PERF401  # what came before the timeout counts
        except TimeoutError:
            seen.append("timeout")
        return seen

    drive = Drive(program)
    assert ["1 work('call')", "2 timer", "3 work('task')", "4 work('coroutine')", "5 work('late')"] == drive.start()
    drive.complete(4, "coroutine")
    drive.complete(1, "call")
    drive.complete(3, "task")
    drive.fire(2)
    assert ["coroutine", "call", "task", "timeout"] == replayed(drive)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="as_completed is an async iterator from 3.13 on")
def test_as_completed_gives_the_tasks_themselves_to_async_for() -> None:
    @durable
    async def program() -> list[Any]:
        calls = [work(1), work(2)]
        order = [[calls.index(each), await each] async for each in asyncio.as_completed(calls)]  # type: ignore[attr-defined]
        return [*order, *[await each async for each in asyncio.as_completed([helper(3), helper(4)])]]  # type: ignore[attr-defined]

    drive = start(program)
    drive.complete(2, "b")
    drive.complete(1, "a")
    drive.complete(4, "d")
    drive.complete(3, "c")
    assert [[1, "b"], [0, "a"], "d", "c"] == replayed(drive)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("kind", [set, iter])
def test_as_completed_over_coroutines_without_an_order_is_refused(kind: Any) -> None:
    @durable
    async def program() -> str:
        work(0)
        coroutines = [helper(1), helper(2)]
        try:
            for each in asyncio.as_completed(kind(coroutines)):
                await each
        except Exception as error:
            return str(error)
        finally:
            for coroutine in coroutines:
                coroutine.close()
        return ""

    result = start(program).result
    assert "have no order that could be repeated" in result
    assert "test_loop.py:" in result
    assert "give it a list" in result

"""Tasks and futures of a run hash by number, and asyncio is left as it was for everybody else."""

from __future__ import annotations

import asyncio
from typing import Any

from stent.replay.tasks import DurableFuture, RunFuture, RunTask
from tests.replay.driver import Drive, durable, finish, start


@durable
async def work(item: Any = None) -> Any: ...


async def helper() -> Any:
    return await work()


@durable
async def hashes() -> list[int]:
    loop = asyncio.get_running_loop()
    made = [work(1), asyncio.create_task(helper()), loop.create_future(), asyncio.gather(work(2)), work(3)]
    assert [True, True, True] == [
        isinstance(each, kind) for each, kind in zip(made, (DurableFuture, RunTask, RunFuture), strict=False)
    ]
    await asyncio.gather(made[1], made[3], made[0], made[4])
    return [hash(each) for each in made]


def test_hashes_are_numbers_in_the_order_of_creation_salted_by_the_run() -> None:
    first, again, other = (finish(start(hashes, run_id=run_id)).result for run_id in ("a", "a", "b"))
    assert first == again
    assert first[0] >> 32 != other[0] >> 32
    assert [each & 0xFFFFFFFF for each in first] == [each & 0xFFFFFFFF for each in other]
    assert sorted(set(first[:3])) == first[:3]


def test_a_set_of_futures_iterates_alike_on_every_run() -> None:
    @durable
    async def program() -> list[int]:
        calls = [work(item) for item in range(50)]
        tasks = {*calls[::2], *[asyncio.create_task(helper()) for _ in range(50)]}
        return [each.number if isinstance(each, DurableFuture) else -1 for each in tasks]

    orders = [Drive(program).start()[-1] for _ in range(3)]
    assert 1 == len(set(orders))


async def test_gathers_of_other_loops_hash_as_ever() -> None:
    first, second = asyncio.gather(asyncio.sleep(0)), asyncio.gather(asyncio.sleep(0))
    assert object.__hash__(first) == hash(first) == hash(first)
    assert hash(first) != hash(second)
    assert {first: 1}[first] == 1
    await asyncio.gather(first, second)


def test_a_call_is_task_enough_for_asyncio_and_no_coroutine() -> None:
    seen: list[Any] = []

    @durable
    async def program() -> None:
        call = work(1)
        call.set_name("ignored")  # type: ignore[attr-defined]
        seen.extend([call.get_name(), call.cancelling(), call.uncancel(), call.get_coro(), call.get_stack()])
        seen.append(asyncio.iscoroutine(call))
        assert call.cancel()
        assert not call.cancel(), "it is cancelled already"

    assert ["1 work(1)", "cancel 1", "return None"] == Drive(program).start()
    assert ["call-1", 0, 0, None, [], False] == seen


def test_closing_a_call_as_asyncio_closes_coroutines_withdraws_it() -> None:
    @durable
    async def program() -> None:
        work(1).close()  # type: ignore[attr-defined]

    assert ["1 work(1)", "cancel 1", "return None"] == Drive(program).start()


def test_many_tasks_of_a_long_run_are_forgotten_when_they_are_done() -> None:
    @durable
    async def program() -> None:
        for _ in range(1000):
            await asyncio.create_task(asyncio.sleep(0))
        await work()

    drive = start(program)
    assert len(drive.execution._loop._tasks) < 200  # type: ignore[union-attr]
    assert 1 == len(drive.execution.waiting_stacks())
    drive.close()

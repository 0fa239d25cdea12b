"""Locks, semaphores, events, conditions, queues and barriers of asyncio work unchanged between durable calls."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.replay.driver import Drive, check_replays, durable, finish, start


@durable
async def work(item: Any) -> Any:
    return item


def replayed(drive: Drive) -> Any:
    """The result of a finished run, which replays from everywhere."""
    check_replays(drive.function, drive.history)
    return drive.result


def test_a_lock_is_held_over_a_durable_call() -> None:
    @durable
    async def program() -> None:
        lock = asyncio.Lock()

        async def guarded(item: int) -> None:
            async with lock:
                await work(item)

        await asyncio.gather(guarded(1), guarded(2), guarded(3))

    drive = Drive(program)
    assert ["1 work(1)"] == drive.start()
    assert ["2 work(2)"] == drive.complete(1)
    assert ["3 work(3)"] == drive.complete(2)
    assert ["return None"] == drive.complete(3)
    check_replays(drive.function, drive.history)


def test_a_semaphore_bounds_what_is_open() -> None:
    @durable
    async def program() -> int:
        gate = asyncio.Semaphore(2)

        async def limited(item: int) -> Any:
            async with gate:
                return await work(item)

        return len(await asyncio.gather(*[limited(item) for item in range(5)]))

    drive = start(program)
    widest = 0
    while not drive.is_ended:
        widest = max(widest, len(drive.state.calls))
        drive.complete(max(drive.state.calls))
    assert 2 == widest
    assert 5 == replayed(drive)


def test_events_and_conditions_wake_those_who_wait() -> None:
    @durable
    async def program() -> list[str]:
        event, condition, seen = asyncio.Event(), asyncio.Condition(), []

        async def after_event() -> None:
            await event.wait()
            seen.append("event")
            async with condition:
                condition.notify_all()

        async def after_condition(name: str) -> None:
            async with condition:
                await condition.wait()
                seen.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(after_condition("a"))
            group.create_task(after_event())
            group.create_task(after_condition("b"))
            await work(1)
            event.set()
        return seen

    assert ["event", "a", "b"] == replayed(finish(start(program)))


def test_a_queue_connects_producers_and_consumers() -> None:
    @durable
    async def program() -> list[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        seen: list[Any] = []

        async def produce() -> None:
            for item in range(4):
                await queue.put(await work(item))

        async def consume() -> None:
            while True:
                seen.append(await queue.get())
                queue.task_done()

        consumers = [asyncio.create_task(consume()) for _ in range(2)]
        await asyncio.gather(produce(), produce())
        await queue.join()
        for consumer in consumers:
            consumer.cancel()
        return seen

    drive = finish(start(program), lambda count: count - 1)
    assert [1, 2, 3, 4, 5, 6, 7, 8] == sorted(replayed(drive))


def test_a_barrier_waits_for_all_parties() -> None:
    @durable
    async def program() -> list[Any]:
        barrier = asyncio.Barrier(3)

        async def party(item: int) -> Any:
            await work(item)
            await barrier.wait()
            return await work(-item)

        return await asyncio.gather(party(1), party(2), party(3))

    drive = start(program)
    drive.complete(3)
    assert [] == drive.complete(1)
    assert 3 == len(drive.complete(2))
    finish(drive)
    check_replays(drive.function, drive.history)

"""Where a suspended program stands, from its outermost function to its innermost await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

from tests.replay.driver import Drive, durable, start


@durable
async def work(item: Any = None) -> Any: ...


async def deeper() -> None:
    await deepest()


async def deepest() -> None:
    await work(1)


async def pages() -> AsyncIterator[Any]:
    yield await deepest()


class Custom:
    """An awaitable of a user's."""

    def __await__(self) -> Generator[Any, None, Any]:
        return deepest().__await__()


def functions(drive: Drive) -> list[tuple[str, list[str]]]:
    """(path, functions on the stack) of each task."""
    found = drive.execution.waiting_stacks()
    drive.close()
    return [(path, [site.function.rpartition(".")[2] for site in stack]) for path, stack in found]


def test_the_chain_of_awaits() -> None:
    @durable
    async def program() -> None:
        await deeper()

    assert [("0", ["program", "deeper", "deepest"])] == functions(start(program))


def test_each_task_has_its_own() -> None:
    @durable
    async def program() -> None:
        await asyncio.gather(deeper(), deepest(), work(2))

    assert [("0", ["program"]), ("0.1", ["deeper", "deepest"]), ("0.2", ["deepest"])] == functions(start(program))


def test_the_frames_of_asyncio_are_left_out() -> None:
    @durable
    async def program() -> None:
        async with asyncio.timeout(60):
            await asyncio.Event().wait()

    assert [("0", ["program"])] == functions(start(program))


def test_async_generators_are_looked_into() -> None:
    @durable
    async def program() -> None:
        async for _page in pages():
            pass

    assert [("0", ["program", "pages", "deepest"])] == functions(start(program))


def test_awaitables_of_users_are_looked_into() -> None:
    @durable
    async def program() -> None:
        await Custom()

    assert [("0", ["program", "deepest"])] == functions(start(program))


def test_the_line_is_that_of_the_await() -> None:
    @durable
    async def program() -> None:
        await deeper()

    drive = start(program)
    ((_, stack),) = drive.execution.waiting_stacks()
    assert deepest.__code__.co_firstlineno + 1 == stack[-1].line
    drive.close()


def test_a_program_that_is_over_waits_nowhere() -> None:
    @durable
    async def program() -> None: ...

    drive = start(program)
    assert [] == functions(drive)
    assert [] == drive.execution.waiting_stacks()

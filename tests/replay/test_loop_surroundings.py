"""What a program shares with its process: async generators, contexts, the running loop; and what it may not reach."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.replay.driver import Drive, check_replays, durable, finish, start


@durable
async def work(item: Any) -> Any:
    return item


def replayed(drive: Drive) -> Any:
    """The result of a finished run, which replays from everywhere."""
    check_replays(drive.function, drive.history)
    return drive.result


async def pages(count: int) -> AsyncIterator[Any]:
    """An async generator that makes durable calls, its cleanup too."""
    try:
        for page in range(count):
            yield await work(page)
    finally:
        await work("closed")


def test_async_generators_and_comprehensions() -> None:
    @durable
    async def program() -> list[Any]:
        return [page async for page in pages(2)]

    drive = Drive(program)
    assert ["1 work(0)"] == drive.start()
    assert ["2 work(1)"] == drive.complete(1, "a")
    assert ["3 work('closed')"] == drive.complete(2, "b")
    assert ["return ['a', 'b']"] == drive.complete(3)
    check_replays(drive.function, drive.history)


def test_an_async_generator_that_is_left_early_is_not_run_on_by_anybody() -> None:
    @durable
    async def program() -> str:
        async for _page in pages(5):
            break
        return str(await work("next"))

    drive = Drive(program)
    assert ["1 work(0)"] == drive.start()
    assert ["2 work('next')"] == drive.complete(1)
    assert ["return 'end'"] == drive.complete(2, "end")
    check_replays(drive.function, drive.history)


def test_an_async_generator_that_is_closed_does_its_cleanup() -> None:
    @durable
    async def program() -> None:
        generator = pages(5)
        await anext(generator)
        await generator.aclose()  # type: ignore[attr-defined]

    drive = start(program)
    assert ["2 work('closed')"] == drive.complete(1)
    assert ["return None"] == drive.complete(2)


shop = contextvars.ContextVar("shop", default="outside")


def test_a_run_has_a_context_of_its_own_and_so_have_its_tasks() -> None:
    @durable
    async def program() -> list[str]:
        async def child(name: str | None) -> str:
            if name is not None:
                shop.set(name)
            await work(1)
            return shop.get()

        seen = [shop.get()]
        shop.set("main")
        seen += await asyncio.gather(child("left"), child(None))
        return [*seen, shop.get()]

    token = shop.set("worker")
    try:
        drive = finish(start(program))
        assert ["outside", "left", "main", "main"] == replayed(drive)
        assert "worker" == shop.get()
    finally:
        shop.reset(token)


def test_a_run_leaves_the_loop_that_serves_the_process_alone() -> None:
    @durable
    async def program() -> Any:
        return await work(1)

    async def serve() -> bool:
        loop, hooks = asyncio.get_running_loop(), sys.get_asyncgen_hooks()
        drive = finish(start(program))
        check_replays(drive.function, drive.history)
        return asyncio.get_running_loop() is loop and sys.get_asyncgen_hooks() == hooks

    assert asyncio.run(serve())


async def _in_thread() -> None:
    await asyncio.to_thread(print)


async def _in_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, print)


async def _connection() -> None:
    await asyncio.open_connection("localhost", 1)


async def _server() -> None:
    await asyncio.start_server(lambda reader, writer: None, "localhost", 0)


async def _subprocess() -> None:
    await asyncio.create_subprocess_exec("true")


async def _reader() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def _signal() -> None:
    asyncio.get_running_loop().add_signal_handler(2, print)


async def _from_thread() -> None:
    asyncio.get_running_loop().call_soon_threadsafe(print)


FORBIDDEN = [_in_thread, _in_executor, _connection, _server, _subprocess, _reader, _signal, _from_thread]


@pytest.mark.parametrize("use", FORBIDDEN)
def test_what_needs_the_outside_world_is_refused_by_line(use: Any) -> None:
    @durable
    async def program() -> str:
        work(1)
        try:
            await use()
        except Exception as error:
            return f"{type(error).__name__} {error}"
        return "allowed"

    result = start(program).result
    line = use.__code__.co_firstlineno + 1
    assert result.startswith(
        "ForbiddenInOrchestratorError [STN102] program() is an orchestrator and uses asyncio's loop."
    )
    assert f"test_loop_surroundings.py:{line} in {use.__name__}()" in result
    assert "put it into a durable function of its own" in result

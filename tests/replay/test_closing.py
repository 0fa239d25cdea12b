"""Dropping a suspended program runs nothing of it on: no command, no real I/O, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from stent.durable import calls as ask
from stent.replay.execution import RunDropped
from stent.replay.replayer import replay
from tests.replay.driver import Drive, completion, durable, start

ROOT = Path(__file__).resolve().parents[2]


@durable
async def work(item: Any = None) -> Any:
    return item


def dropped(program: Any) -> list[str]:
    """What a program that waits wants after it was dropped: nothing, ever."""
    drive = start(program)
    assert not drive.is_ended
    assert drive.execution.close()
    assert drive.execution.close(), "closing twice is closing once"
    with pytest.raises(RunDropped):
        drive.execution.apply(completion(1))
    return [type(command).__name__ for command in drive.execution._matcher.new]


async def call_in_finally() -> None:
    try:
        await work(1)
    finally:
        await work("cleanup")


async def call_without_await_in_finally() -> None:
    try:
        await work(1)
    finally:
        work("cleanup")


async def many_awaits_in_finally() -> None:
    try:
        try:
            await work(1)
        finally:
            await asyncio.gather(helper(2), work(3))
            await asyncio.sleep(1)
    finally:
        await asyncio.wait_for(helper(4), 5)
        await asyncio.sleep(0)
        await asyncio.Event().wait()
        async with asyncio.timeout(5):
            await ask.wait_for_signal("never")
        await ask.map(work, [1, 2])


async def helper(item: int) -> Any:
    return await work(item)


async def task_in_finally() -> None:
    try:
        await work(1)
    finally:
        asyncio.create_task(helper(2))  # noqa: RUF006
        await asyncio.create_task(helper(3))


async def swallows_everything() -> None:
    try:
        await work(1)
    except BaseException:
        await work(2)


async def answers_with_another_error() -> None:
    try:
        await work(1)
    except BaseException:
        raise RuntimeError("no") from None


async def group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call_in_finally())
        tasks.create_task(work(2))
        await swallows_everything()


async def waits_in_many_ways() -> None:
    lock, condition = asyncio.Lock(), asyncio.Condition()

    async def locked() -> None:
        async with lock:
            await work(1)

    async def conditional() -> None:
        async with condition:
            await condition.wait()

    try:
        async with asyncio.timeout(60):
            await asyncio.gather(locked(), locked(), conditional(), asyncio.sleep(5), asyncio.shield(helper(1)))
    finally:
        ask.patched("x")
        ask.random()
        await ask.wait_for_signal("x")


async def in_wait_for() -> None:
    await asyncio.wait_for(call_in_finally(), 60)


async def pages() -> AsyncIterator[Any]:
    try:
        while True:
            yield await work(1)
    finally:
        await work("closed")


async def in_an_async_generator() -> None:
    async for _page in pages():
        pass


async def beside_an_async_generator() -> None:
    generator = pages()
    await asyncio.gather(anext(generator), work(2))


async def as_completed() -> None:
    for each in asyncio.as_completed([helper(1), call_in_finally()]):
        await each


BODIES: list[Callable[[], Any]] = [
    call_in_finally,
    call_without_await_in_finally,
    many_awaits_in_finally,
    task_in_finally,
    swallows_everything,
    answers_with_another_error,
    group,
    waits_in_many_ways,
    in_wait_for,
    in_an_async_generator,
    beside_an_async_generator,
    as_completed,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_dropped_program_commands_nothing_and_leaves_nothing(body: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [] == dropped(durable(body))
        gc.collect()


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_program_that_is_dropped_in_a_worker_starts_nothing_there(body: Callable[[], Any]) -> None:
    """A worker is itself an asyncio program: what a dropped body asks for must not reach its loop."""

    async def serve() -> set[asyncio.Task[Any]]:
        before = asyncio.all_tasks()
        dropped(durable(body))
        await asyncio.sleep(0)
        return asyncio.all_tasks() - before

    assert set() == asyncio.run(serve())


def test_synchronous_finally_blocks_run_once_newest_task_first_in_their_own_context() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    seen: list[str] = []

    async def child(own: str) -> None:
        name.set(own)
        try:
            await work(1)
        finally:
            seen.append(name.get())

    @durable
    async def program() -> None:
        token = name.set("main")
        try:
            await asyncio.gather(child("a"), child("b"))
        finally:
            seen.append(name.get())
            name.reset(token)

    drive = start(program)
    drive.close()
    gc.collect()
    assert ["b", "a", "main"] == seen


def test_a_program_does_not_see_its_own_dropping_as_an_error() -> None:
    seen: list[str] = []

    @durable
    async def program() -> None:
        try:
            await call_in_finally()
        except Exception as error:
            seen.append(repr(error))
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    start(program).close()
    assert ["RunDropped"] == seen


def test_a_dropped_program_takes_up_again_where_it_was() -> None:
    @durable
    async def program() -> list[Any]:
        async with asyncio.timeout(60):
            return await asyncio.gather(work(1), helper(2))

    drive = start(program)
    drive.complete(2, "a")
    drive.close()
    drive.execution = replay(drive.function, drive.history).execution
    assert ["cancel timer 1", "return ['a', 'b']"] == drive.complete(3, "b")


def test_a_body_that_swallows_everything_for_ever_is_given_up() -> None:
    @durable
    async def program() -> None:
        while True:
            with contextlib.suppress(BaseException):
                await work(1)

    drive = start(program)
    assert not drive.execution.close()


STUBBORN = """
from tests.replay.driver import durable, start

@durable
async def work():
    ...

@durable
async def program():
    while True:
        try:
            await work()
        except BaseException:
            pass

drive = start(program)
print(drive.execution.close())
"""


@pytest.mark.slow
def test_a_body_that_was_given_up_does_not_hang_the_interpreter_at_its_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUBBORN], cwd=ROOT, text=True, capture_output=True, timeout=30, check=False
    )
    assert ("False\n", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_a_program_that_diverged_can_be_closed() -> None:
    def make(item: int) -> Any:
        @durable(name="shop:program")
        async def program() -> None:
            try:
                await work(item)
            finally:
                await work("cleanup")

        return program

    live = start(make(1))
    other = Drive(make(2))
    assert [] == other.execution.apply(live.history[0], live.history[1:])
    assert other.execution.mismatch is not None
    other.close()


def test_a_finished_program_can_be_closed_with_tasks_left() -> None:
    seen: list[str] = []

    async def left() -> None:
        try:
            await work(1)
        finally:
            seen.append("left")

    @durable
    async def program() -> str:
        asyncio.create_task(left())  # noqa: RUF006
        await asyncio.sleep(0)
        return "done"

    drive = start(program)
    assert drive.is_ended
    drive.close()
    assert ["left"] == seen

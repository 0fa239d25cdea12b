"""Small orchestrators as data, and the interpreter that runs them.

A program is nested lists, so it travels as the argument of its run. Every observation that it makes (which came first,
in which order a set iterates) goes into its result, where a replay compares it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeAlias

from stent.durable import calls as ask
from stent.durable.function import Durable

__stent_program__ = True  # what is called here is called by a program: its lines are the ones to be told

Node: TypeAlias = list[Any]
"""The kind of a part of a program, and what it is made of."""


class Single:
    """What a program does by one line at a time. Locks and queues are shared by the whole program.

    `act` is the activity that it calls, with a number; `program` the orchestrator that it is itself.
    """

    def __init__(self, seen: list[Any], act: Durable[[int], Any], program: Durable[[Node], Any]) -> None:
        self.seen = seen
        self.act = act
        self.program = program
        self.lock = asyncio.Lock()
        self.gate = asyncio.Semaphore(2)
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    async def run(self, node: Node) -> Any:
        kind, *rest = node
        return await getattr(self, f"do_{kind}")(*rest)

    def make(self, node: Node) -> Any:
        """An awaitable for a node: a bare durable call where it is one, as a user would write it."""
        return self.act(node[1]) if node[0] == "call" else self.run(node)

    async def outcome(self, awaitable: Awaitable[Any]) -> Any:
        try:
            return await awaitable
        except Exception as error:  # border: what a part of the program raises is its outcome
            return told_error(error)

    async def do_call(self, label: int) -> Any:
        return await self.act(label)

    async def do_child(self, node: Node) -> Any:
        return await self.program(node)

    async def do_sleep(self, seconds: float) -> Any:
        await asyncio.sleep(seconds)
        return ask.now().isoformat()

    async def do_signal(self, name: str) -> Any:
        return await ask.wait_for_signal(name)

    async def do_signal_in_time(self, name: str, seconds: float) -> Any:
        return await self.outcome(ask.wait_for_signal(name, timeout=seconds))

    async def do_map(self, count: int, return_exceptions: bool) -> Any:
        values = await ask.map(self.act, range(count), return_exceptions=return_exceptions)
        return [told_error(each) if isinstance(each, Exception) else each for each in values]

    async def do_stream(self, count: int) -> Any:
        pairs = []
        async for index, value in ask.map_as_completed(self.act, range(count), return_exceptions=True):
            pairs.append([index, told_error(value) if isinstance(value, Exception) else value])
            if len(pairs) == 1:
                await self.act(100)
        return pairs

    async def do_put(self, node: Node) -> Any:
        await self.queue.put(await self.outcome(self.run(node)))
        return "put"

    async def do_get(self) -> Any:
        return self.queue.get_nowait() if not self.queue.empty() else await self.outcome(self.in_time(self.queue.get()))

    async def in_time(self, awaitable: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(awaitable, 3)

    async def do_early(self, labels: list[int], seconds: float) -> Any:
        calls = [self.act(label) for label in labels]
        await asyncio.sleep(seconds)
        return [await self.outcome(call) for call in reversed(calls)]

    async def do_forget(self, label: int) -> Any:
        self.act(label)
        return "forgotten"

    async def do_in_set_order(self, labels: list[int]) -> Any:
        return [await self.outcome(call) for call in {self.act(label) for label in labels}]

    async def do_generator(self, count: int) -> Any:
        async def steady() -> Any:
            try:
                for number in range(count):
                    yield await self.outcome(self.act(500 + number))
            finally:
                await self.act(599)

        return [value async for value in steady()]

    async def do_chance(self, node: Node) -> Any:
        return [ask.random().randint(1, 6), str(ask.uuid4()), await self.run(node)]

    async def do_raise(self, text: str) -> Any:
        raise ValueError(text)


class Interpreter(Single):
    """Runs programs: also those that do several things, one after the other or at once."""

    async def do_seq(self, nodes: list[Node]) -> Any:
        return [await self.run(node) for node in nodes]

    async def do_gather(self, return_exceptions: bool, nodes: list[Node]) -> Any:
        values = await asyncio.gather(*[self.make(node) for node in nodes], return_exceptions=return_exceptions)
        return [told_error(each) if isinstance(each, BaseException) else each for each in values]

    async def do_group(self, nodes: list[Node]) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.make(node)) for node in nodes]
        return [task.result() for task in tasks]

    async def do_wait(self, mode: str, nodes: list[Node]) -> Any:
        tasks = {asyncio.ensure_future(self.make(node)): place for place, node in enumerate(nodes)}
        done, pending = await asyncio.wait(set(tasks), return_when=mode)
        self.seen.append(["wait", [tasks[each] for each in done], [tasks[each] for each in pending]])
        for each in pending:
            each.cancel()
        values = [await self.outcome(each) for each in done]
        await asyncio.gather(*pending, return_exceptions=True)
        return values

    async def do_gathers_in_a_set(self, nodes: list[Node]) -> Any:
        gathers = {
            asyncio.gather(*[self.make(node), self.act(200 + place)], return_exceptions=True): place
            for place, node in enumerate(nodes)
        }
        done, pending = await asyncio.wait(set(gathers), return_when=asyncio.FIRST_COMPLETED)
        self.seen.append(["gathers", [gathers[each] for each in done], [gathers[each] for each in pending]])
        for each in pending:
            each.cancel()
        await asyncio.wait(set(gathers))
        return len(done)

    async def do_as_completed(self, nodes: list[Node]) -> Any:
        return [await self.outcome(each) for each in asyncio.as_completed([self.make(node) for node in nodes])]

    async def do_timeout(self, seconds: float, node: Node) -> Any:
        try:
            async with asyncio.timeout(seconds) as limit:
                value = await self.run(node)
                limit.reschedule(asyncio.get_running_loop().time() + seconds)
                return [value, await self.act(300)]
        except TimeoutError:
            return ["timeout", await self.act(301)]

    async def do_wait_for(self, seconds: float, node: Node) -> Any:
        return await self.outcome(asyncio.wait_for(self.make(node), seconds))

    async def do_shield(self, seconds: float, node: Node) -> Any:
        inner = asyncio.ensure_future(self.make(node))
        first = await self.outcome(asyncio.wait_for(asyncio.shield(inner), seconds))
        return [first, await self.outcome(inner)]

    async def do_cancel(self, turns: int, node: Node) -> Any:
        task = asyncio.ensure_future(self.make(node))
        for _ in range(turns):
            await asyncio.sleep(0)
        await self.act(400)
        task.cancel()
        settled: Any
        (settled,) = await asyncio.gather(task, return_exceptions=True)
        return told_error(settled) if isinstance(settled, BaseException) else settled

    async def do_finally(self, node: Node, cleanup: Node) -> Any:
        try:
            return await self.run(node)
        finally:
            self.seen.append(["cleanup", await self.outcome(self.run(cleanup))])

    async def do_try(self, node: Node, otherwise: Node) -> Any:
        try:
            return await self.run(node)
        except Exception as error:  # border: likewise
            return [told_error(error), await self.run(otherwise)]

    async def do_locked(self, node: Node) -> Any:
        async with self.lock:
            return await self.outcome(self.run(node))

    async def do_limited(self, node: Node) -> Any:
        async with self.gate:
            return await self.outcome(self.run(node))

    async def do_stubborn(self, node: Node) -> Any:
        try:
            return await self.run(node)
        except asyncio.CancelledError:
            self.seen.append(["cancelled", await self.outcome(self.act(600))])
            return "went on"

    async def do_met(self, nodes: list[Node]) -> Any:
        barrier = asyncio.Barrier(len(nodes))

        async def party(node: Node) -> Any:
            await self.outcome(self.run(node))
            return await barrier.wait()

        return await asyncio.gather(*[party(node) for node in nodes])


def told_error(error: BaseException) -> Any:
    if isinstance(error, BaseExceptionGroup):
        return ["group", *[told_error(each) for each in error.exceptions]]
    return f"{type(error).__name__}:{error}"

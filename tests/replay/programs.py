"""Random orchestrators: small programs as data, the interpreter that runs them, and the chance of their surroundings.

A program is nested lists, so it travels as the argument of its run, and another process can replay its history with
nothing but this file. Every observation that a program makes (which came first, in which order a set iterates) goes
into its result, where the matcher compares it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from stent.durable import calls as ask
from stent.errors import RunCancelledError
from stent.history.events import Event
from stent.replay.commands import CompleteRun
from tests.replay.driver import TICK_US, Drive, close_all, durable, record

Node = list[Any]
SIGNALS = ("red", "green")
ERRORS: tuple[type[Exception], ...] = (ValueError, KeyError, TimeoutError)


# -- the interpreter -----------------------------------------------------------------------------------------------


@durable
async def act(label: int) -> Any:
    """An activity: the surroundings decide what comes of it."""
    raise AssertionError("no activity runs in a replay")


@durable(name="shop:program")
async def program(node: Node) -> list[Any]:
    """The orchestrator: runs a node, and tells everything that it saw."""
    seen: list[Any] = []
    try:
        seen.append(["value", await Interpreter(seen).run(node)])
    except Exception as error:
        seen.append(["error", told_error(error)])
    return seen


def told_error(error: BaseException) -> Any:
    if isinstance(error, BaseExceptionGroup):
        return ["group", *[told_error(each) for each in error.exceptions]]
    return f"{type(error).__name__}:{error}"


class Interpreter:
    """Runs nodes. Locks and queues are shared by the whole program."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self.lock = asyncio.Lock()
        self.gate = asyncio.Semaphore(2)
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    async def run(self, node: Node) -> Any:
        kind, *rest = node
        return await getattr(self, f"do_{kind}")(*rest)

    def make(self, node: Node) -> Any:
        """An awaitable for a node: a bare durable call where it is one, as a user would write it."""
        return act(node[1]) if node[0] == "call" else self.run(node)

    async def outcome(self, awaitable: Awaitable[Any]) -> Any:
        try:
            return await awaitable
        except Exception as error:
            return told_error(error)

    async def do_call(self, label: int) -> Any:
        return await act(label)

    async def do_child(self, node: Node) -> Any:
        return await program(node)

    async def do_sleep(self, seconds: float) -> Any:
        await asyncio.sleep(seconds)
        return ask.now().isoformat()

    async def do_signal(self, name: str) -> Any:
        return await ask.wait_for_signal(name)

    async def do_signal_in_time(self, name: str, seconds: float) -> Any:
        return await self.outcome(ask.wait_for_signal(name, timeout=seconds))

    async def do_map(self, count: int, return_exceptions: bool) -> Any:
        values = await ask.map(act, range(count), return_exceptions=return_exceptions)
        return [told_error(each) if isinstance(each, Exception) else each for each in values]

    async def do_stream(self, count: int) -> Any:
        pairs = []
        async for index, value in ask.map_as_completed(act, range(count), return_exceptions=True):
            pairs.append([index, told_error(value) if isinstance(value, Exception) else value])
            if len(pairs) == 1:
                await act(100)
        return pairs

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
            asyncio.gather(*[self.make(node), act(200 + place)], return_exceptions=True): place
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
                return [value, await act(300)]
        except TimeoutError:
            return ["timeout", await act(301)]

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
        await act(400)
        task.cancel()
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
        except Exception as error:
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
            self.seen.append(["cancelled", await self.outcome(act(600))])
            return "went on"

    async def do_met(self, nodes: list[Node]) -> Any:
        barrier = asyncio.Barrier(len(nodes))

        async def party(node: Node) -> Any:
            await self.outcome(self.run(node))
            return await barrier.wait()

        return await asyncio.gather(*[party(node) for node in nodes])

    async def do_put(self, node: Node) -> Any:
        await self.queue.put(await self.outcome(self.run(node)))
        return "put"

    async def do_get(self) -> Any:
        return self.queue.get_nowait() if not self.queue.empty() else await self.outcome(self.in_time(self.queue.get()))

    async def in_time(self, awaitable: Awaitable[Any]) -> Any:
        return await asyncio.wait_for(awaitable, 3)

    async def do_early(self, labels: list[int], seconds: float) -> Any:
        calls = [act(label) for label in labels]
        await asyncio.sleep(seconds)
        return [await self.outcome(call) for call in reversed(calls)]

    async def do_forget(self, label: int) -> Any:
        act(label)
        return "forgotten"

    async def do_in_set_order(self, labels: list[int]) -> Any:
        return [await self.outcome(call) for call in {act(label) for label in labels}]

    async def do_generator(self, count: int) -> Any:
        async def steady() -> Any:
            try:
                for number in range(count):
                    yield await self.outcome(act(500 + number))
            finally:
                await act(599)

        return [value async for value in steady()]

    async def do_chance(self, node: Node) -> Any:
        return [ask.random().randint(1, 6), str(ask.uuid4()), await self.run(node)]

    async def do_raise(self, text: str) -> Any:
        raise ValueError(text)


# -- the strategy --------------------------------------------------------------------------------------------------

LABELS = st.integers(0, 9)
SECONDS = st.sampled_from([0.5, 1.0, 2.5, 60.0])
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.tuples(st.just("call"), LABELS),
    st.tuples(st.just("call"), LABELS),
    st.tuples(st.just("sleep"), SECONDS),
    st.tuples(st.just("signal_in_time"), st.sampled_from(SIGNALS), SECONDS),
    st.tuples(st.just("signal"), st.sampled_from(SIGNALS)),
    st.tuples(st.just("map"), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("stream"), st.integers(0, 4)),
    st.tuples(st.just("early"), st.lists(LABELS, min_size=1, max_size=3), SECONDS),
    st.tuples(st.just("in_set_order"), st.lists(LABELS, min_size=2, max_size=6)),
    st.tuples(st.just("generator"), st.integers(0, 2)),
    st.tuples(st.just("forget"), LABELS),
    st.tuples(st.just("get")),
    st.tuples(st.just("raise"), st.sampled_from(["a", "b"])),
).map(list)


def _inner(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    many = st.lists(nodes, min_size=1, max_size=4)
    modes = st.sampled_from([asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED])
    return st.one_of(
        st.tuples(st.just("gather"), st.booleans(), many),
        st.tuples(st.just("wait"), modes, many),
        st.tuples(st.just("group"), many),
        st.tuples(st.just("seq"), many),
        st.tuples(st.just("as_completed"), many),
        st.tuples(st.just("gathers_in_a_set"), many),
        st.tuples(st.just("gathers_in_a_set"), many),
        st.tuples(st.just("timeout"), SECONDS, nodes),
        st.tuples(st.just("wait_for"), SECONDS, nodes),
        st.tuples(st.just("shield"), SECONDS, nodes),
        st.tuples(st.just("cancel"), st.integers(0, 2), nodes),
        st.tuples(st.just("finally"), nodes, nodes),
        st.tuples(st.just("try"), nodes, nodes),
        st.tuples(st.just("locked"), nodes),
        st.tuples(st.just("limited"), nodes),
        st.tuples(st.just("stubborn"), nodes),
        st.tuples(st.just("met"), many),
        st.tuples(st.just("put"), nodes),
        st.tuples(st.just("child"), nodes),
        st.tuples(st.just("chance"), nodes),
    ).map(list)


PROGRAMS: st.SearchStrategy[Node] = st.recursive(LEAVES, _inner, max_leaves=12)


# -- the surroundings ----------------------------------------------------------------------------------------------


@dataclass
class Surroundings:
    """Chance for one run and its children: what is answered first, what fails, which signals and cancels come."""

    seed: int
    cancels: bool
    drives: list[Drive] = field(default_factory=list)

    def run(self, node: Node, run_id: str = "run", at_us: int | None = None, nesting: int = 0) -> Drive:
        """Run a program to its end; a child runs when its outcome is due, and is kept for the checks too."""
        chance = random.Random(f"{self.seed} {run_id}")
        drive = Drive(program, node, run_id=run_id, **({} if at_us is None else {"at_us": at_us}))
        self.drives.append(drive)
        drive.start()
        while not drive.is_ended:
            self.happen(drive, chance, nesting)
            assert len(drive.history) < 3000, "the program ends"
        return drive

    def happen(self, drive: Drive, chance: random.Random, nesting: int) -> None:
        """One more event."""
        state = drive.state
        due = min(state.timers, key=lambda call: (state.timers[call], call), default=None)
        choices: list[Callable[[], object]] = []
        choices += [lambda call=call: self.settle(drive, call, chance, nesting) for call in state.calls]
        choices += [lambda call=call: self.settle_items(drive, call, chance) for call in state.batches]
        if due is not None:
            choices.append(lambda: drive.fire(due))
        dice = chance.random()
        if not choices or dice < 0.1:
            drive.signal(chance.choice(SIGNALS), chance.randint(0, 99))
        elif self.cancels and dice < 0.15:
            drive.cancel(chance.choice(["", "enough"]))
        else:
            chance.choice(choices)()

    def settle(self, drive: Drive, call: int, chance: random.Random, nesting: int) -> None:
        """The outcome of a call; a child's is what its own run came to."""
        open_call = drive.state.calls[call]
        if open_call.function == record(program).name and nesting < 3:
            (node,), _ = drive.function.decode_arguments(open_call.arguments)
            child = self.run(node, f"{drive.state.run_id}.{call}", drive.state.last_at_us + TICK_US, nesting + 1)
            if isinstance(child.commands[-1], CompleteRun):
                drive.complete(call, child.result)
            else:
                drive.fail(call, RunCancelledError("the child was cancelled", run_id=child.state.run_id))
        elif chance.random() < 0.2:
            drive.fail(call, chance.choice(ERRORS)(f"call {call}"))
        else:
            drive.complete(call, [call, chance.randint(0, 9)])

    def settle_items(self, drive: Drive, call: int, chance: random.Random) -> None:
        """Outcomes of some items of a map, in any order."""
        items = list(drive.state.batches[call].open_items())
        chance.shuffle(items)
        some = items[: chance.randint(1, len(items))]
        drive.complete_items(
            call, {item: ValueError(f"item {item}") if chance.random() < 0.15 else item * 10 for item in some}
        )


def histories_of(node: Node, seed: int, *, cancels: bool = False) -> list[list[Event]]:
    """The histories of a program and of its children, for one seed of the surroundings."""
    surroundings = Surroundings(seed, cancels)
    try:
        surroundings.run(node)
    finally:
        for drive in surroundings.drives:
            drive.close()
        close_all()  # a test of many examples keeps none of them
    return [drive.history for drive in surroundings.drives]

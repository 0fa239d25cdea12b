"""A database in a folder, functions of its own, and workers on it: the stage of the tests of the worker.

Time stands still unless a test moves it, so whatever happens here happens because somebody was told, not because
somebody looked again: a hint that gets lost makes a test fail, not slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stent.clock import Clock, ManualClock
from stent.codec import decode, decode_exception
from stent.durable.decorator import make_durable
from stent.durable.function import Durable
from stent.history import wire
from stent.history.events import CancelRequested, Event, RunCompleted, RunFailed
from stent.history.operations import Operation, PutMessage, StartRun
from stent.history.records import Message, RunRow
from stent.history.sql.sqlite import SQLiteStore
from stent.history.store import Store
from stent.ids import SeededIds
from stent.registry import Function, Registry
from stent.replay.roles import predict_role
from stent.worker.answers import outcome_error
from stent.worker.link import Link, StoreThreads
from stent.worker.starting import first_event, new_run
from stent.worker.worker import Worker, WorkerOptions
from tests.worker.desk import PATIENCE_S

DAY_US = 86_400_000_000


class Node:
    """What one process has: a store, its threads, a link, and a worker when it was asked for."""

    def __init__(self, store: Store, clock: Clock, registry: Registry, seed: int) -> None:
        self.store = store
        self.threads = StoreThreads(store, clock)
        self.link: Link = self.threads.link(SeededIds(seed), registry)
        self.worker: Worker | None = None
        self.working: asyncio.Task[None] | None = None

    async def work(self, **options: Any) -> Worker:
        """Start a worker; it is ready when this returns."""
        worker = self.worker = Worker(self.link, WorkerOptions(**{"grace_us": 0, "lease_us": DAY_US, **options}))
        self.working = asyncio.create_task(worker.run())
        ready = asyncio.create_task(worker.is_ready.wait())
        await asyncio.wait([ready, self.working], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self.working.done():
            self.working.result()
        return worker

    async def stop(self) -> None:
        if self.worker is not None and self.working is not None:
            self.worker.stop()
            await asyncio.wait_for(self.working, PATIENCE_S)
            self.worker = self.working = None

    async def close(self) -> None:
        await self.stop()
        self.link.close()
        await asyncio.get_running_loop().run_in_executor(None, self.threads.close)


@dataclass(frozen=True)
class Outcome:
    """How a run ended, with its value or its error."""

    event: Event
    value: Any = None
    error: BaseException | None = None


class World:
    def __init__(self, folder: Path, clock: Any = None, *, seed: int = 0) -> None:
        self.path = folder / "stent.db"
        self.clock = clock or ManualClock()
        self.registry = Registry()
        self.nodes: list[Node] = []
        self.seed = seed
        self.ids = SeededIds(1000 + seed)
        self.new_node()

    def new_node(self, store: Store | None = None, registry: Registry | None = None) -> Node:
        """One more process on the same file."""
        store = store or SQLiteStore(self.path, durability="relaxed", clock=self.clock)
        store.initialise()
        node = Node(store, self.clock, registry or self.registry, self.seed + len(self.nodes))
        self.nodes.append(node)
        return node

    @property
    def node(self) -> Node:
        return self.nodes[0]

    @property
    def link(self) -> Link:
        return self.node.link

    def durable(self, body: Callable[..., Any] | None = None, **options: Any) -> Any:
        """As `@Stent.durable`, in this world's registry."""
        if body is None:
            return lambda body: make_durable(body, options, self.registry)
        return make_durable(body, options, self.registry)

    # -- runs ------------------------------------------------------------------------------------------------------

    async def start(
        self,
        durable: Durable[..., Any],
        *args: Any,
        run_id: str | None = None,
        delay_us: int | None = None,
        node: Node | None = None,
        **times: int,
    ) -> str:
        """Start a run as a client does; its id."""
        link = (node or self.node).link
        function: Function = durable.__stent_function__
        started = first_event(
            run_id or self.ids.run_id(),
            function,
            function.encode_arguments(args, {}),
            function.call_options,
            predict_role(function),
            self.clock.now_us(),
            **times,
        )
        due_us = self.clock.now_us() + delay_us if delay_us is not None else None
        run = new_run(started, function, self.ids.token(), due_us=due_us)
        taken = link.holder_for(run)
        await link.commit(StartRun(replace(run, owner=taken[1] if taken is not None else None)))
        if taken is not None:
            taken[0].adopt_new(run, started)
        else:
            link.wake(due_us)
        return run.run_id

    async def outcome(self, run_id: str) -> Outcome:
        """Wait for the end of a run."""
        link = self.link
        ended = link.ended(run_id)
        row = await link.read(link.store.terminal_row, run_id)
        event = wire.decode(row) if row is not None else await asyncio.wait_for(ended, PATIENCE_S)
        ended.cancel()
        if isinstance(event, RunCompleted):
            return Outcome(event, decode(event.result, self.registry.types))
        if isinstance(event, RunFailed):
            return Outcome(event, error=decode_exception(event.error, self.registry.types))
        return Outcome(event, error=outcome_error(event, run_id, "run"))

    async def outcome_elsewhere(self, run_id: str) -> Any:
        """The value of a run that another node carries out: this one has to look, and time moves on."""
        await self.until(lambda: self.node.store.terminal_row(run_id) is not None, tick_us=20_000)
        return (await self.outcome(run_id)).value

    async def call(self, durable: Durable[..., Any], *args: Any, **options: Any) -> Any:
        """Start a run and wait for its value, or raise its error."""
        outcome = await self.outcome(await self.start(durable, *args, **options))
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    async def cancel(self, run_id: str, reason: str = "") -> None:
        """Ask a run to stop, from this process."""
        await self.tell(Message(run_id, "cancel", CancelRequested(0, 0, reason)))

    async def tell(self, message: Message, node: Node | None = None) -> None:
        link = (node or self.node).link
        await link.commit(PutMessage(message))
        link.route(message)

    async def commit(self, operation: Operation) -> Any:
        return await self.link.commit(operation)

    # -- looking ---------------------------------------------------------------------------------------------------

    def history(self, run_id: str) -> list[Event]:
        return wire.decode_history(self.node.store.read_rows(run_id))

    def types_of(self, run_id: str) -> list[str]:
        return [event.type for event in self.history(run_id)]

    def row(self, run_id: str) -> RunRow:
        row = self.node.store.get_run(run_id)
        assert row is not None
        return row

    # -- time ------------------------------------------------------------------------------------------------------

    async def until(self, is_true: Callable[[], bool], *, tick_us: int = 0) -> None:
        """Let things go on, moving time by `tick_us` at a time, until something is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():  # it is looked at from outside: nobody could set an event
                if tick_us:
                    self.clock.advance(tick_us)
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        for node in self.nodes:
            await node.close()

"""Simulated processes on one database: each with a store of its own, a committer without a thread, and maybe a worker.

Faults are injected where they happen in life: at a commit (the process dies before it or after it, the store is away,
the store has committed and the answer is lost), between turns (SIGKILL, SIGSTOP and SIGCONT), in hints (lost, late).
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stent.client.client import Client
from stent.clock import SystemClock
from stent.errors import StoreUnavailableError
from stent.history.operations import Operation, Outcome
from stent.history.sql.sqlite import SQLiteStore
from stent.ids import SeededIds
from stent.registry import Registry
from stent.worker import leases as leases_module, link as link_module
from stent.worker.committer import Chore, Committer
from stent.worker.link import Link
from stent.worker.worker import Worker, WorkerOptions
from tests.simulation.loop import WorldLoop, current_process

START_US = 1_750_000_000_000_000
LONGEST_COMMIT_S = 0.02
WATCH_INTERVAL_US = 200_000  # virtual seconds are cheap, but each look is work


@dataclass(frozen=True)
class Odds:
    """How likely each fault is: at one commit, or at one second of a worker's life."""

    dies_before_commit: float = 0.01
    dies_after_commit: float = 0.01
    away: float = 0.01
    answer_lost: float = 0.02
    killed_a_second: float = 0.1
    frozen_a_second: float = 0.1
    hint_lost: float = 0.3


NO_FAULTS = Odds(0, 0, 0, 0, 0, 0, 0)


class SimulatedClock(SystemClock):
    """The loop's time, for everybody."""

    def __init__(self, loop: WorldLoop) -> None:
        self._loop = loop

    def now_us(self) -> int:
        return START_US + round(self._loop.time() * 1_000_000)

    def monotonic_us(self) -> int:
        return round(self._loop.time() * 1_000_000)


class Died(BaseException):
    """The process ended here."""


class FaultyStore(SQLiteStore):
    """A store at which the process that owns it may meet its end."""

    def __init__(self, world: World, process: SimulatedProcess) -> None:
        super().__init__(world.path, durability="relaxed", clock=world.clock)
        self._world = world
        self._process = process
        self._seen = 0

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        world, process = self._world, self._process
        odds = world.odds if process.may_fail else NO_FAULTS
        if world.meets("dies_before_commit", odds.dies_before_commit):
            process.kill()
        if process.is_dead:
            raise Died
        if world.meets("away", odds.away):
            raise StoreUnavailableError("away", is_transient=True)
        outcomes = super().commit(operations)
        world.commit_count += 1
        if world.meets("dies_after_commit", odds.dies_after_commit):
            process.kill()
        elif world.meets("answer_lost", odds.answer_lost):
            raise StoreUnavailableError("committed, and the answer was lost", is_transient=True)
        return outcomes

    def changed(self) -> bool:
        """As `PRAGMA data_version` tells it, when it is not lost."""
        if self._seen == self._world.commit_count:
            return False
        self._seen = self._world.commit_count
        return not self._world.meets("hint_lost", self._world.odds.hint_lost)


class SimulatedCommitter(Committer):
    """The committer with its thread taken out: a turn of it is a callback after a commit's time."""

    def __init__(self, store: FaultyStore, world: World) -> None:
        super().__init__(store, world.clock)
        self._world = world
        self._items: list[Any] = []
        self._is_at_it = False

    def add_chore(self, chore: Chore) -> None:
        super().add_chore(chore)
        self._again(chore)

    def _again(self, chore: Chore) -> None:
        if chore in self._chores:
            self._soon()
            self._world.loop.call_later(chore.interval_us / 1_000_000, self._again, chore)

    def _begin(self) -> threading.Thread:
        return threading.current_thread()

    def _put_locked(self, found: Any) -> None:
        self._items += found
        self._soon()

    def _soon(self) -> None:
        if not self._is_at_it:
            self._is_at_it = True
            self._world.loop.call_later(self._world.chance.uniform(0, LONGEST_COMMIT_S), self._turn)

    def _turn(self) -> None:
        self._is_at_it = False
        batch, self._items = [*self._items, *self._due_chores()], []
        if batch:
            try:
                self._write(batch)
            except Died:
                return

    def _commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        """The same operations again until the store answers; time does not pass meanwhile."""
        while True:
            try:
                return self._store.commit(operations)
            except StoreUnavailableError:
                self.uncertain_count += 1


class SimulatedLock:
    """The lock file of a worker, without the file: the world knows who is dead."""

    def __init__(self, worker_id: str) -> None:
        self.path: str | None = worker_id

    def release(self) -> None:
        self.path = None


@dataclass(eq=False)
class SimulatedProcess:
    """One process: it starts with nothing in memory, and dies with everything in it."""

    world: World
    name: str
    may_fail: bool = True
    is_dead: bool = False
    is_frozen: bool = False
    freezes: int = 0
    backlog: list[tuple[Callable[..., object], tuple[Any, ...], Context]] = field(default_factory=list)
    worker: Worker | None = None

    def __post_init__(self) -> None:
        self.context = copy_context()
        self.context.run(current_process.set, self)
        self.store = FaultyStore(self.world, self)
        self.committer = SimulatedCommitter(self.store, self.world)
        self._link: Link | None = None

    def open(self, user: object) -> SimulatedProcess:
        """As a backend, for a client in this process."""
        return self

    def link(self, ids: Any = None, registry: Any = None) -> Link:
        if self._link is None:
            world = self.world
            readers: Any = None
            self._link = Link(self.store, self.committer, readers, world.clock, world.ids, world.registry)
        return self._link

    def client(self) -> Client:
        backend: Any = self
        return Client(backend, self.world.registry, self.world.clock, self.world.ids)

    def serve(self, options: WorkerOptions) -> None:
        """Begin a worker in this process."""

        async def work() -> None:
            self.worker = Worker(self.link(), options, f"{self.name}-{self.world.ids.worker_id()}")
            await self.worker.run()

        self.task = self.world.loop.create_task(work(), context=self.context)

    def kill(self) -> None:
        self.is_dead = True
        if self.worker is not None:
            self.world.dead_workers.add(self.worker.worker_id)


class World:
    """One database and all processes on it, from one seed."""

    def __init__(self, seed: int, folder: Path, registry: Registry, odds: Odds, loop: WorldLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.clock = SimulatedClock(loop)
        self.chance = random.Random(seed)
        self.ids = SeededIds(seed)
        self.path = folder / f"world-{seed}.db"
        self.registry = registry
        self.odds = odds
        self.met: Counter[str] = Counter()
        self.commit_count = 0
        self.dead_workers: set[str] = set()
        self.processes: list[SimulatedProcess] = []
        self.has_lock_files = self.chance.random() < 0.7
        first = SQLiteStore(self.path, durability="relaxed", clock=self.clock)
        first.initialise()
        first.close()

    def meets(self, fault: str, odds: float) -> bool:
        """Whether a fault happens now; counted, for a fault that never happens tests nothing."""
        has_met = odds > 0 and self.chance.random() < odds
        self.met[fault] += has_met
        return has_met

    def process(self, name: str, *, may_fail: bool = True) -> SimulatedProcess:
        process = SimulatedProcess(self, name, may_fail)
        self.processes.append(process)
        return process

    def make_lock(self, worker_id: str) -> SimulatedLock:
        lock = SimulatedLock(worker_id)
        if not self.has_lock_files:
            lock.path = None
        return lock

    def is_dead(self, lock_path: str | None) -> bool:
        return lock_path in self.dead_workers

    def enter(self, monkeypatch: Any) -> None:
        """Take the place of the operating system for the workers of this world."""
        monkeypatch.setattr(leases_module, "WorkerLock", self.make_lock)
        monkeypatch.setattr(leases_module, "is_dead", self.is_dead)
        monkeypatch.setattr(link_module, "WATCH_INTERVAL_US", WATCH_INTERVAL_US)

    def close(self) -> None:
        for process in self.processes:
            process.is_dead = True
            process.store.close()


async def keep_serving(world: World, workers: int, options: WorkerOptions, until_s: float) -> None:
    """Keep so many workers alive, killing and freezing them as the odds say, until faults end at `until_s`."""
    loop = world.loop
    serving: list[SimulatedProcess] = []
    number = 0
    while True:
        serving = [process for process in serving if not process.is_dead]
        while len(serving) < workers:
            number += 1
            process = world.process(f"worker{number}")
            process.serve(options)
            serving.append(process)
        if loop.time() >= until_s:
            for process in serving:
                process.may_fail = False
                if process.is_frozen:
                    loop.thaw(process)
            return
        await asyncio.sleep(0.1)
        for process in serving:
            if process.is_dead or process.is_frozen:
                continue
            if world.meets("killed", world.odds.killed_a_second / 10):
                process.kill()
            elif world.meets("frozen", world.odds.frozen_a_second / 10):
                process.is_frozen = True
                process.freezes += 1
                loop.call_later(world.chance.uniform(0.5, 30), loop.thaw, process)

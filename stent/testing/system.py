"""What an engine in a test is made of: one store, the test's own link to it, and one worker at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from stent.app import Stent
from stent.backends import StoreBackend
from stent.client.client import Client
from stent.client.serving import Serving
from stent.clock import ManualClock
from stent.history import wire
from stent.history.events import Event
from stent.history.memory import MemoryStore
from stent.history.operations import Operation, ReapWorkers
from stent.history.records import RunFilter
from stent.ids import Ids, SeededIds
from stent.inspect.waiting import Surroundings, why
from stent.registry import Registry
from stent.replay.watch import Watch, under
from stent.testing.doubles import Doubles
from stent.testing.embedded import FOREVER_US, EmbeddedLink, EmbeddedWorker
from stent.worker.draft import EVENTS_A_TURN
from stent.worker.link import Link
from stent.worker.worker import WorkerOptions


class EmbeddedBackend(StoreBackend):
    """The engine's store, for further executors of the test: `Stent(backend)`. Its worker is there already."""

    def __init__(self, system: System) -> None:
        super().__init__(system.store.url, lambda: system.store, system.clock)
        self._system = system

    def open(self, user: object = None) -> Any:
        """As `StoreBackend.open`; what it gives has no threads."""
        return self

    def release(self, user: object = None) -> None:
        """Nothing to free: the store lives as long as the engine."""

    def link(self, ids: Ids, registry: Registry) -> Link:
        return self._system.client_link


class _EmbeddedExecutor(Stent):
    """A `Stent` on the engine's clock."""

    def __init__(self, backend: StoreBackend, client: Client) -> None:
        self.backend = backend
        self._client = client
        self._serving = Serving(client)


class System:
    """The parts of one engine. It is made on the event loop of the test."""

    def __init__(
        self,
        clock: ManualClock,
        doubles: Doubles,
        seed: int,
        max_concurrency: int,
        watch: Watch | None = None,
        *,
        commits_singly: bool = False,
    ) -> None:
        self.clock = clock
        self.doubles = doubles
        self.ids = SeededIds(seed)
        self.store = MemoryStore(clock)
        self.on_activity: Callable[[], None] = lambda: None
        self.on_commit: Callable[[bool, Sequence[Operation]], None] | None = None
        self.commit_count = 0
        """Commits of workers that were begun, since the first one was ready."""
        self.backend = EmbeddedBackend(self)
        self._watch = watch
        self._options = WorkerOptions(
            slots=max_concurrency,
            lease_us=FOREVER_US,
            grace_us=0,
            events_a_turn=1 if commits_singly else EVENTS_A_TURN,
        )
        self.commits_singly = commits_singly
        self._worker: EmbeddedWorker | None = None
        self._fallen: list[str] = []
        self._running: list[asyncio.Task[None]] = []
        """The last is that of the worker; those before it were killed."""
        self.client_link = self._new_link()
        self.client = Client(self.backend, doubles, clock, self.ids)
        self.client._links[asyncio.get_running_loop()] = self.client_link  # there already: nothing is opened
        self.executor: Stent = _EmbeddedExecutor(self.backend, self.client)

    @property
    def body_count(self) -> int:
        """How many bodies are running."""
        return self._worker.body_count if self._worker is not None else 0

    async def start(self) -> None:
        """Start the first worker, and wait until it takes on work."""
        self._begin_worker()
        assert self._worker is not None, "it has just been made"
        await self._worker.is_ready.wait()
        self.commit_count = 0

    def replace_worker(self) -> None:
        """Kill the worker and begin another, which first gives up the dead one."""
        worker = self._worker
        if worker is None:
            return
        worker.kill()
        self._fallen.append(worker.worker_id)
        self._running[-1].cancel()
        self._begin_worker()

    def run_ids(self) -> list[str]:
        """The ids of all runs, oldest first."""
        return [row.run_id for row in reversed(self.store.list_runs(RunFilter(limit=sys.maxsize)))]

    def history(self, run_id: str) -> list[Event]:
        """The recorded events of a run, in order."""
        return wire.decode_history(self.store.read_rows(run_id))

    def why(self, run_id: str) -> str:
        """What a run waits for."""
        (loaded,) = self.store.load_runs([run_id])
        children = self.store.list_runs(RunFilter(parent_run=run_id, limit=sys.maxsize))
        around = Surroundings(self.clock.now_us(), tuple(self.store.list_workers()), tuple(children))
        return why(loaded, wire.decode_history(loaded.rows), around)

    def abandon(self) -> None:
        """Forget everything at once, without a word: nobody will look at it any more."""
        if self._worker is not None:
            self._worker.kill()
        for task in self._running:
            task.cancel()
        self.client_link.close()

    async def close(self) -> None:
        """Stop the worker; bodies that still run are cancelled."""
        if self._worker is not None:
            self._worker.stop()
        failures = await asyncio.gather(*self._running, return_exceptions=True)
        self.client_link.close()
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure

    def _begin_worker(self) -> None:
        link = self._new_link()
        link.committer.around = self._around
        worker = self._worker = EmbeddedWorker(link, self._options, self.ids.worker_id())
        with under(self._watch):  # whoever begins it: the test, its fixture, a crash
            self._running.append(asyncio.get_running_loop().create_task(self._work(worker), name="stent-worker"))

    async def _work(self, worker: EmbeddedWorker) -> None:
        if self._fallen:
            fallen, self._fallen = tuple(self._fallen), []
            self.store.commit([ReapWorkers(fallen)])  # as the lock file says at once that a process has died
            self.client_link.look_now()  # what ended in its last commit was told to nobody
        await worker.run()

    def _around(self, has_written: bool, operations: Sequence[Operation]) -> None:
        if not has_written:
            self.commit_count += 1
        if self.on_commit is not None:
            self.on_commit(has_written, operations)

    def _activity(self) -> None:
        self.on_activity()  # the engine sets it later

    def _links(self) -> list[Link]:
        links: list[Link] = [self.client_link]
        if self._worker is not None:
            links.append(self._worker.link)
        return links

    def _new_link(self) -> EmbeddedLink:
        return EmbeddedLink(
            self.store,
            self.clock,
            self.ids,
            self.doubles,
            peers=self._links,
            on_activity=self._activity,
            commits_singly=self.commits_singly,
        )

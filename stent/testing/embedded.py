"""The engine without threads, files and a watch: its store, link and worker on one event loop, for tests.

Rules of this file:
- what is written in one turn of the event loop is committed in the next one, in one transaction, as with the thread;
- a worker that is killed writes nothing more and hears nothing more: what it had in memory is gone, as after SIGKILL;
- time is the clock that is handed in; leases never run out, so that any jump of it is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from stent.clock import Clock
from stent.history.memory import MemoryStore
from stent.history.operations import Operation, Outcome
from stent.ids import Ids
from stent.registry import Registry
from stent.worker.committer import Answer, Committer
from stent.worker.leases import Lease
from stent.worker.link import Link
from stent.worker.polling import Poll
from stent.worker.worker import Worker, WorkerOptions

T = TypeVar("T")
P = ParamSpec("P")

FOREVER_US = 1_000 * 365 * 86_400 * 1_000_000  # longer than any test's virtual time


class Killed(BaseException):
    """The process that a committer belongs to ended at a commit."""


class InlineCommitter(Committer):
    """The committer with its thread taken out.

    `around` is called before and after each commit; by `Killed` it says that the process has ended there. With
    `is_singly` each operation has a commit of its own, as a thread that is quick enough would write them.
    """

    def __init__(
        self, store: MemoryStore, clock: Clock, on_submit: Callable[[], None], *, is_singly: bool = False
    ) -> None:
        super().__init__(store, clock)
        self.around: Callable[[bool, Sequence[Operation]], None] | None = None
        self.is_dead = False
        self._is_singly = is_singly
        self._on_submit = on_submit
        self._awaited: set[asyncio.Future[Any]] = set()

    def submit(self, operation: Operation, answer: Answer) -> None:
        if self.is_dead:
            return
        self._on_submit()
        super().submit(operation, answer)

    def commit(self, operation: Operation) -> asyncio.Future[Any]:
        if self.is_dead:
            raise asyncio.CancelledError
        future = super().commit(operation)
        self._awaited.add(future)
        future.add_done_callback(self._awaited.discard)
        return future

    def kill(self) -> None:
        """Write and answer nothing any more; whoever awaits an answer is cancelled."""
        self.is_dead = True
        for future in list(self._awaited):
            future.cancel()

    def close(self) -> None:
        """Write what is queued."""
        gathered, self._gathered = self._gathered, {}
        for each in gathered.values():
            self._put_locked(each)
        self._closed.set()

    def _put_locked(self, found: Any) -> None:
        commits = [[each] for each in found] if self._is_singly else [found]
        for together in commits:
            if self.is_dead or not together:
                return
            with contextlib.suppress(Killed):
                self._write(together)

    def _commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        if self.around is not None:
            self.around(False, operations)
        outcomes = super()._commit(operations)
        if self.around is not None:
            self.around(True, operations)
        return outcomes


class EmbeddedLink(Link):
    """A link that reads at once, and is told by its peers instead of watching the store."""

    def __init__(
        self,
        store: MemoryStore,
        clock: Clock,
        ids: Ids,
        registry: Registry,
        *,
        peers: Callable[[], Sequence[Link]],
        on_activity: Callable[[], None],
        commits_singly: bool = False,
    ) -> None:
        self.committer = InlineCommitter(store, clock, on_activity, is_singly=commits_singly)
        no_threads: Any = None
        super().__init__(store, self.committer, no_threads, clock, ids, registry, peers)
        self._on_activity = on_activity

    async def read(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self.committer.is_dead:
            raise asyncio.CancelledError
        return question(*args, **kwargs)

    def ended(self, run_id: str) -> asyncio.Future[Any]:
        self._on_activity()
        return super().ended(run_id)

    @property
    def waited_for(self) -> list[str]:
        """The runs that somebody waits for."""
        return list(self._waiting)

    def refuse(self, run_id: str, error: Exception) -> None:
        """Whoever waits for a run gets this error."""
        for future in self._waiting.pop(run_id, ()):
            if not future.done():
                future.set_exception(error)

    def _keep_watching(self) -> None:
        """There is nothing to watch: everybody who writes is a peer, and announces it."""


class _EmbeddedLease(Lease):
    """A lease without a lock file, which never runs out."""

    async def begin(self) -> None:
        await self.register()


class _NoPoll(Poll):
    """No net under the hints: everybody who writes is a peer, and an alarm of its own would keep time from jumping."""

    def looked(self, has_peers: bool) -> None:
        return


class EmbeddedWorker(Worker):
    """A worker that can be killed."""

    def __init__(self, link: EmbeddedLink, options: WorkerOptions, worker_id: str) -> None:
        super().__init__(link, options, worker_id)
        self.link = link
        self._is_killed = False
        self._lease = _EmbeddedLease(
            link, worker_id, options.lease_us, free_slots=lambda: self._bodies.free_slots, on_lost=self._on_lost
        )
        self._poll = _NoPoll(link.clock, options.poll_interval_us, self._look_soon)

    @property
    def body_count(self) -> int:
        """How many bodies are running."""
        return self._bodies.running_count

    def kill(self) -> None:
        """Forget everything at once and write nothing, as after SIGKILL; running bodies are cancelled."""
        self._is_killed = True
        self.link.committer.kill()
        self.link.close()
        self.runs.held.is_closing = True
        self.runs.drop_all()
        self._shared.drop_all()

    async def _let_go(self) -> None:
        if not self._is_killed:
            await super()._let_go()
            return
        if self._alarm is not None:
            self._alarm.cancel()
        await self._bodies.close(0)

    def _arm(self, due_us: int) -> None:
        if not self._is_killed:
            super()._arm(due_us)


__all__ = ["FOREVER_US", "EmbeddedLink", "EmbeddedWorker", "InlineCommitter", "Killed"]

"""The connection of one event loop to one store: writes, reads, and news of runs.

Rules of this file:
- writes go through the committer's thread, reads through a small pool of threads; nothing here blocks the loop;
- news are hints: whoever acts on one reads the facts from the store, except that a run which ended in this process
  hands its last event to those who wait for it here;
- the store's change stamp is looked at every WATCH_INTERVAL_US while somebody cares, and half as often when nothing was
  heard for QUIET_US; that costs no statement;
- a function that was defined is news like a commit: what this process could not go on with may be waiting.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

from stent.clock import Alarm, Clock
from stent.errors import StoreError
from stent.history import wire
from stent.history.events import Event, RunStarted
from stent.history.operations import Operation
from stent.history.records import Message, NewRun
from stent.history.store import Store
from stent.ids import Ids
from stent.log import get_logger
from stent.registry import Registry
from stent.worker.committer import Answer, Chore, Committer
from stent.worker.placement import Placement

log = get_logger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

WATCH_INTERVAL_US = 20_000  # two stat calls, and waking the loop for them: most of what an idle worker takes
QUIET_US = 1_000_000  # nothing was heard for so long: look half as often, for half of that
POLL_INTERVAL_US = 1_000_000  # the safety net under the hints
READER_THREADS = 2


class Holder(Protocol):
    """A worker of this event loop: it may hold a run from the moment a client starts it."""

    @property
    def placement(self) -> Placement:
        """What it takes for itself."""
        ...

    def adopt_new(self, run: NewRun, started: RunStarted) -> None:
        """The run was written with this worker as its owner: go on with it."""
        ...

    def take(self, message: Message) -> bool:
        """Hand over a message that was put into an inbox; False if its run is not held by this worker."""
        ...

    def wake(self, due_us: int | None = None) -> None:
        """A run that nobody holds may be claimed: at `due_us`, or now."""
        ...


class Link:
    """What a client or a worker has in its hands on one event loop."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        readers: ThreadPoolExecutor,
        clock: Clock,
        ids: Ids,
        registry: Registry,
        peers: Callable[[], Iterable[Link]] = tuple,
    ) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self.registry = registry
        self.loop = asyncio.get_running_loop()
        self.holders: list[Holder] = []
        self.lookouts: list[Callable[[], bool]] = []
        """Asked for news too, whenever the store's stamp is looked at; they must cost next to nothing."""
        self.is_closed = False
        self._committer = committer
        self._readers = readers
        self._peers = peers
        self._listeners: list[Callable[[bool], None]] = []
        self._waiting: dict[str, list[asyncio.Future[Event]]] = {}
        self._watch: Alarm | None = None
        self._since_poll_us = 0
        self._watch_us = WATCH_INTERVAL_US
        self._quiet_us = 0
        self._generation = registry.generation
        self._look: asyncio.Task[None] | None = None

    # -- writing and reading ---------------------------------------------------------------------------------------

    def submit(self, operation: Operation, answer: Answer) -> None:
        self._committer.submit(operation, answer)

    async def commit(self, operation: Operation) -> Any:
        """The outcome of an operation. Cancelling the wait does not undo it: the outcome is awaited, then raised."""
        future = self._committer.commit(operation)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.done():
                await asyncio.wait([future])
            raise

    @property
    def uncertain_count(self) -> int:
        """How many commits of this process had an unknown outcome."""
        return self._committer.uncertain_count

    def add_chore(self, chore: Chore) -> None:
        self._committer.add_chore(chore)

    def remove_chore(self, chore: Chore) -> None:
        self._committer.remove_chore(chore)

    async def read(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the store something, on a reading thread."""
        return await self.loop.run_in_executor(self._readers, lambda: question(*args, **kwargs))

    # -- workers of this event loop --------------------------------------------------------------------------------

    def holder_for(self, run: NewRun) -> tuple[Holder, str] | None:
        """The worker that takes a run from birth, and its id."""
        for holder in self.holders:
            owner = holder.placement.owner_for(run)
            if owner is not None:
                return holder, owner
        return None

    def route(self, message: Message) -> None:
        """A message is in an inbox: its run has it at once if it is held here, else somebody may have to claim it."""
        if not any(holder.take(message) for holder in self.holders):
            self.wake()

    def wake(self, due_us: int | None = None) -> None:
        """A run that nobody holds may be claimed: at `due_us`, or now."""
        for holder in self.holders:
            holder.wake(due_us)
        self.announce()

    # -- news ------------------------------------------------------------------------------------------------------

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(True)` when there may be something new to do, `listener(False)` every POLL_INTERVAL_US."""
        if not self._listeners:
            self._generation = self.registry.generation  # nobody listened: what was defined until now is no news
        self._listeners.append(listener)
        self._keep_watching()

    def unlisten(self, listener: Callable[[bool], None]) -> None:
        self._listeners.remove(listener)

    def announce(self) -> None:
        """Tell the other event loops of this process that something was written: the store's own hints do not."""
        for peer in self._peers():
            if peer is not self and not peer.is_closed and (peer._listeners or peer._waiting):
                _call_on(peer.loop, peer._on_announced)

    def run_ended(self, run_id: str, event: Event) -> None:
        """A run ended in this process: whoever waits for it here, on any event loop, is told."""
        self._settle(run_id, event)
        for peer in self._peers():
            if peer is not self and run_id in peer._waiting:
                _call_on(peer.loop, peer._settle, run_id, event)

    def _settle(self, run_id: str, event: Event) -> None:
        for future in self._waiting.pop(run_id, ()):
            if not future.done():
                future.set_result(event)

    def ended(self, run_id: str) -> asyncio.Future[Event]:
        """The event that ends a run, when it has ended. The run must exist."""
        future: asyncio.Future[Event] = self.loop.create_future()
        self._waiting.setdefault(run_id, []).append(future)
        future.add_done_callback(lambda done: self._forget(run_id, done))
        self._keep_watching()
        return future

    def look_now(self) -> None:
        """Look for the end of awaited runs without waiting for a hint."""
        if self._waiting and (self._look is None or self._look.done()):
            self._look = self.loop.create_task(self._look_for_ends(), name="stent-look")

    def close(self) -> None:
        self.is_closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._look is not None:
            self._look.cancel()

    def _forget(self, run_id: str, future: asyncio.Future[Event]) -> None:
        waiting = self._waiting.get(run_id)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._waiting[run_id]

    def _keep_watching(self) -> None:
        if self._watch is None:
            self._watch_us = 2 * WATCH_INTERVAL_US if self._quiet_us >= QUIET_US else WATCH_INTERVAL_US
            self._watch = self.clock.call_later(self._watch_us, self._on_watch)

    def _on_watch(self) -> None:
        self._watch = None
        if not (self._listeners or self._waiting):
            return
        self._since_poll_us += self._watch_us
        has_changed = self._has_changed()
        self._quiet_us = 0 if has_changed else self._quiet_us + self._watch_us
        if has_changed or self._since_poll_us >= POLL_INTERVAL_US:
            self._since_poll_us = 0
            for listener in list(self._listeners):
                listener(has_changed)
            self.look_now()
        self._keep_watching()

    def _has_changed(self) -> bool:
        """Whether anything was written elsewhere, a function was defined here, or a lookout sees something."""
        if any(lookout() for lookout in self.lookouts):
            return True
        if self._generation != self.registry.generation:
            self._generation = self.registry.generation
            return True
        try:
            return self.store.changed()
        except StoreError:
            return False  # the poll goes on, and its questions say what is wrong

    def _on_announced(self) -> None:
        for listener in list(self._listeners):
            listener(True)
        self.look_now()

    async def _look_for_ends(self) -> None:
        try:
            ended = await self.read(self.store.ended_among, list(self._waiting))
        except StoreError as error:
            log.warning("look_failed", error=str(error))  # the next look comes by itself
            return
        for row in ended:
            self._settle(row.run_id, wire.decode(row))


def _call_on(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return  # that loop is closed: nobody is left to be told


class StoreThreads:
    """The threads that serve a store, shared by all event loops of the process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.committer = Committer(store, clock)
        self.readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="stent-reader")
        self._clock = clock
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()

    def link(self, ids: Ids, registry: Registry) -> Link:
        """A link for the running event loop."""
        link = Link(self.store, self.committer, self.readers, self._clock, ids, registry, self._open_links)
        self._links.add(link)
        return link

    def _open_links(self) -> list[Link]:
        return [link for link in list(self._links) if not link.is_closed]

    def close(self) -> None:
        """Write what is queued, end the threads, close the store."""
        self.committer.close()
        self.readers.shutdown(wait=True, cancel_futures=True)
        self.store.close()


__all__: Sequence[str] = ("Link", "StoreThreads")

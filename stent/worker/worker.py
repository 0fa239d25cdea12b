"""A worker: it takes on runs and calls, and lets go of everything in bounded time.

Rules of this file:
- looking is cheap and claiming is not: a hint leads to one statement that says whether there is anything to claim;
- stopping is: claim nothing more, give waiting runs back at once, let bodies finish for the grace, stop them, go.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from stent.clock import Alarm
from stent.errors import StoreUnavailableError
from stent.history.operations import (
    Capabilities,
    ClaimCalls,
    ClaimedCalls,
    ClaimedRuns,
    ClaimRuns,
    GiveBack,
)
from stent.history.records import ClaimedRun, Glance
from stent.log import get_logger
from stent.registry import Registry
from stent.worker.bodies import Bodies
from stent.worker.draft import EVENTS_A_TURN
from stent.worker.leases import Lease
from stent.worker.link import Link
from stent.worker.outcomes import Outcome
from stent.worker.polling import Poll
from stent.worker.runs import Runs
from stent.worker.shared import SharedWork
from stent.worker.slots import Attempt
from stent.worker.strays import Strays

log = get_logger(__name__)

RUNS_A_CLAIM = 100
HOUSEKEEPING_US = 1_000_000
STORE_PAUSE_S = 0.5  # after a read that the store could not answer
LEND_AFTER_US = 100_000  # work that waits for a shorter time is done sooner here than written down for others
LOAN_A_SLOT = 2  # of a peer's free slots: what it takes next lies ready while it works on the first
STALLED_AT_ONCE = 20  # stalled runs that are tried again together: no stampede of replays after a deploy


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works. Durations in microseconds."""

    slots: int = 10
    queues: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    lease_us: int = 10_000_000
    poll_interval_us: int = 1_000_000
    grace_us: int = 1_000_000
    until_idle: bool = False
    events_a_turn: int = EVENTS_A_TURN
    """What is delivered beyond them comes with the next commit; with 1 each delivery has a commit of its own."""


class Worker:
    """One worker of this process, on one event loop."""

    def __init__(self, link: Link, options: WorkerOptions, worker_id: str | None = None) -> None:
        self.worker_id = worker_id or link.ids.worker_id()
        self.options = options
        self.is_ready = asyncio.Event()
        self._link = link
        self._bodies = Bodies(options.slots, self._finished)
        self._shared = SharedWork(link, self.worker_id, self._bodies, link.route, self._on_ready)
        self.runs = Runs(
            link,
            self.worker_id,
            self._bodies,
            queues=options.queues,
            tags=options.tags,
            on_ready=self._on_ready,
            on_due=self._arm,
            on_sleeper=self._on_sleeper,
            on_cancelled=self._shared.cancelled,
            on_quiet=lambda: self._wakeup.set() if options.until_idle else None,
            on_signal=self._look_soon,
            events_a_turn=options.events_a_turn,
        )
        self._wakeup = asyncio.Event()
        self._stopping = asyncio.Event()
        self._must_look = True
        self._may_claim = True
        self._lease = Lease(
            link,
            self.worker_id,
            options.lease_us,
            free_slots=lambda: self._bodies.free_slots,
            on_lost=self._on_lost,
        )
        self._poll = Poll(link.clock, options.poll_interval_us, self._look_soon)
        self._polled_us = 0
        self._housekept_us = 0
        self._next_sleeper_us: int | None = None
        self._alarm: Alarm | None = None
        self._alarm_us: int | None = None
        self._tried_generation = link.registry.generation
        self._strays = Strays()
        self._claimed: dict[str, int] = {}
        """Runs that were claimed and are not read yet, with their epochs."""
        self._left_some = False
        """The last claim left work behind because there was no slot for it."""

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until `stop` is called or, with `until_idle`, until nothing is left that it takes."""
        link = self._link
        await self._lease.begin()
        link.listen(self._on_news)
        link.holders.append(self.runs)
        log.info("worker_started", worker_id=self.worker_id, slots=self.options.slots)
        try:
            await self._reap(await self._lease.dead_peers())
            await self._attend()
        finally:
            link.unlisten(self._on_news)
            self._poll.stop()
            self._lease.stop_renewing()
            link.holders.remove(self.runs)
            if link.loop.is_running():  # else it was thrown away with its event loop: its lease runs out
                await asyncio.shield(self._let_go())

    def stop(self) -> None:
        """Stop working; `run` returns when everything has been given back."""
        self._stopping.set()
        self._wakeup.set()

    async def _let_go(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        grace_s = self.options.grace_us / 1_000_000
        self.runs.release_waiting()
        await self._bodies.close(grace_s)
        self.runs.flush()
        self._shared.flush()
        await self._written_out()
        self.runs.release_all()
        await self._written_out()
        self.runs.drop_all()
        self._shared.drop_all()
        await self._lease.end()
        log.info("worker_stopped", worker_id=self.worker_id)

    async def _written_out(self) -> None:
        """Wait until no append of a held run is in flight; bounded, because the store may be away."""
        for _ in range(100):
            if not self.runs.held.is_writing:
                return
            await asyncio.sleep(0.005)

    # -- attending -------------------------------------------------------------------------------------------------

    async def _attend(self) -> None:
        while not self._stopping.is_set():
            try:
                if not (self._must_look or self._may_claim):
                    if self.options.until_idle and await self._is_idle():
                        return
                    await self._wakeup.wait()
                self._wakeup.clear()
                await self._take_on()
                self.is_ready.set()  # what was there before is taken on: from here on slots go to what comes
            except StoreUnavailableError as error:
                log.warning("store_unavailable", error=str(error), retry_in_s=STORE_PAUSE_S)
                self._must_look = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), STORE_PAUSE_S)

    async def _take_on(self) -> None:
        """What there is to be taken on, and first what was claimed before and could not be read."""
        if self._claimed:
            await self._adopt_claimed()
        if self._must_look:
            self._must_look = False
            await self._look()
        if self._may_claim and not self._stopping.is_set():
            self._may_claim = False
            await self._claim()

    async def _look(self) -> None:
        """One statement, and then only what it says is worth it."""
        link, store = self._link, self._link.store
        glance = await link.read(store.glance, self.worker_id, _capabilities(link.registry, self.options))
        self._polled_us = link.clock.monotonic_us()
        self._next_sleeper_us = glance.next_due_us
        if glance.next_due_us is not None:
            self._arm(glance.next_due_us)
        if glance.has_messages and len(self.runs.held):
            for row in await link.read(store.read_inbox, self.worker_id):
                self.runs.hand_over(row.message)
        if glance.has_cancelled and len(self._shared):
            for place in await link.read(store.cancelled_calls, self.worker_id):
                self._shared.cancelled(*place)
        dead = await self._lease.look_round(glance, needs_room=self._bodies.waiting_count > 0)
        self._poll.looked(bool(self._lease.peers))
        if glance.has_expired:  # its own lease too, after the machine slept: nobody took anything, so it may go on
            await self._lease.renew()
        if glance.has_expired or dead:
            await self._reap(dead)
        if glance.has_ready or _is_sleeper_due(glance, store.now_us()):
            self._may_claim = True
        if glance.has_stalled:
            await self._try_stalled()
        if not glance.has_ready and self._bodies.waiting_count:
            self._lend()
        if self._strays.is_due(self._polled_us):
            await self._return_strays()

    def _lend(self) -> None:
        """Offer to all workers what waits here, as much as the others have room for."""
        room = self._lease.peers_room
        if room:
            self.runs.lend(LOAN_A_SLOT * room)
            self._left_some = True  # what nobody takes is taken back when there is a slot

    async def _return_strays(self) -> None:
        """Give back what this worker has without knowing of it."""
        link = self._link
        owned, claimed = await link.read(link.store.possessions, self.worker_id)
        known_runs = {*self.runs.held.ids(), *self._claimed}
        runs, calls = self._strays.found(owned, claimed, known_runs, self._shared.places(), self._polled_us)
        if runs or calls:
            log.warning("strays_given_back", worker_id=self.worker_id, runs=runs, calls=calls)
            await link.commit(GiveBack(self.worker_id, tuple(runs), tuple(calls)))
            self._may_claim = True

    async def _claim(self) -> None:
        """Take on what is ready and fits."""
        link = self._link
        await self._lease.write_limits()
        can = _capabilities(link.registry, self.options)
        slots = max(0, self._bodies.free_slots - self._bodies.waiting_count - self.runs.placement.promised_count)
        self._bodies.reserved = slots
        try:
            taken = await self._take_claimed(can, slots)
        finally:
            self._bodies.reserved = 0
        self._left_some = taken >= slots

    async def _take_claimed(self, can: Capabilities, slots: int) -> int:
        """Claim, and begin what was claimed; how many slots that takes."""
        link = self._link
        taken = 0
        claims = [link.commit(ClaimRuns(self.worker_id, can, RUNS_A_CLAIM, slots))]
        if slots:
            claims.append(link.commit(ClaimCalls(self.worker_id, can, slots)))
        for claimed in await asyncio.gather(*claims):
            if isinstance(claimed, ClaimedRuns) and claimed.runs:
                await self._adopt_claimed(claimed.runs)
                self._may_claim = self._may_claim or len(claimed.runs) >= RUNS_A_CLAIM
                taken += sum(run.is_activity for run in claimed.runs)
            elif isinstance(claimed, ClaimedCalls):
                for call in claimed.calls:
                    self._shared.take_on(call)
                    taken += call.call.size
        return taken

    async def _adopt_claimed(self, claimed: Sequence[ClaimedRun] = ()) -> None:
        """Go on with runs that were claimed: kept in mind until they are read, for nobody else will take them."""
        self._claimed.update((run.run_id, run.epoch) for run in claimed)
        found = await self.runs.reader.load(self._claimed)
        self._claimed = {}
        for loaded in found:
            if loaded.run.owner == self.worker_id:  # else this worker was given up since, and the epoch is another's
                await self.runs.adopt_loaded(loaded)
        self._must_look = True  # messages that came after the reading were for a run that was not held yet

    async def _try_stalled(self) -> None:
        """Give stalled runs one try under the code that is here now."""
        link = self._link
        if self._tried_generation != link.registry.generation:
            self._tried_generation = link.registry.generation
            self.runs.reader.tried_stalled.clear()
        stalled = await link.read(link.store.stalled_runs, STALLED_AT_ONCE, self.runs.reader.tried_stalled)
        known = [run.run_id for run in stalled if link.registry.get(run.function) is not None]
        if known:
            can = Capabilities(link.registry.names())
            claimed = await link.commit(ClaimRuns(self.worker_id, can, len(known), 0, tuple(known)))
            self.runs.reader.tried_stalled.update(known)
            await self._adopt_claimed(claimed.runs)
            self._must_look = self._must_look or len(stalled) >= STALLED_AT_ONCE

    async def _is_idle(self) -> bool:
        if self._bodies.running_count or self._bodies.waiting_count:
            return False
        if not (self._shared.is_quiet and self.runs.held.is_quiet):
            return False
        store, can = self._link.store, _capabilities(self._link.registry, self.options)
        glance = await self._link.read(store.glance, self.worker_id, can)
        if glance.has_ready or glance.has_messages:
            return False
        return glance.next_due_us is None or not await self._link.read(store.has_sleepers, can)

    # -- being told ------------------------------------------------------------------------------------------------

    def _on_news(self, has_changed: bool) -> None:
        now_us = self._link.clock.monotonic_us()
        self._lease.beat()
        self._strays.notice(self._link.uncertain_count, now_us)
        is_due = self._may_lend(now_us) or self._strays.is_due(now_us)
        if has_changed or is_due:
            self._look_soon()
        if now_us - self._housekept_us >= HOUSEKEEPING_US:
            self._housekept_us = now_us
            self.runs.release_idle()

    def _look_soon(self) -> None:
        """There may be something that this worker was not told of."""
        self._must_look = True
        self._wakeup.set()

    def _may_lend(self, now_us: int) -> bool:
        """Whether work waits here while there are others, who may have room."""
        return bool(self._lease.peers and self._bodies.waiting_count) and now_us - self._polled_us >= LEND_AFTER_US

    def _on_ready(self) -> None:
        """Something was written here that may be claimed."""
        self._may_claim = True
        self._wakeup.set()

    def _finished(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.claim is not None:
            self._shared.finished(attempt, outcome)
        else:
            self.runs.finished(attempt, outcome)
        if self._left_some and self._bodies.waiting_count == 0:
            self._on_ready()
        elif self.options.until_idle:
            self._wakeup.set()

    # -- time ------------------------------------------------------------------------------------------------------

    def _on_sleeper(self, due_us: int) -> None:
        """A run that nobody holds wakes at a time."""
        if self._next_sleeper_us is None or due_us < self._next_sleeper_us:
            self._next_sleeper_us = due_us
        self._arm(due_us)

    def _arm(self, due_us: int) -> None:
        """Wake at a time, if not earlier."""
        if self._alarm_us is not None and self._alarm_us <= due_us:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_us = due_us
        self._alarm = self._link.clock.call_later(due_us - self._link.clock.now_us(), self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_us = None
        self.runs.wake_due()
        now_us = self._link.clock.now_us()
        if self._next_sleeper_us is not None:
            if self._next_sleeper_us <= now_us:
                self._next_sleeper_us = None
                self._on_ready()
                self._must_look = True
            else:
                self._arm(self._next_sleeper_us)
        due_us = self.runs.alarms.next_due_us()
        if due_us is not None:
            self._arm(due_us)
        self._wakeup.set()

    # -- the lease -------------------------------------------------------------------------------------------------

    def _on_lost(self) -> None:
        """The peers gave this worker up: what it held is theirs, and it begins anew."""
        if self._stopping.is_set():
            return
        self.runs.drop_all()
        self._shared.drop_all()
        self._link.loop.create_task(self._lease.register(), name="stent-register")
        self._must_look = True
        self._wakeup.set()

    async def _reap(self, dead: tuple[str, ...]) -> None:
        if await self._lease.reap(dead):
            self._on_ready()


def _capabilities(registry: Registry, options: WorkerOptions) -> Capabilities:
    """What a worker takes. The registry may grow."""
    return Capabilities(registry.names(), options.queues, options.tags)


def _is_sleeper_due(glance: Glance, now_us: int) -> bool:
    """Whether a run that nobody holds wakes now."""
    return glance.next_due_us is not None and glance.next_due_us <= now_us

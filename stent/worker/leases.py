"""The lease of one worker: begun, kept, noticed to be lost, and the leases of its peers, given up when they die.

Rules of this file:
- the lease is renewed by the committer's thread, so that a blocked event loop does not lose it; a loop that has not
  moved for HUNG_LOOP_US is given up on purpose;
- a lock file says at once that a peer of this machine died; where there is none, its lease runs out;
- the limits of the functions that this worker knows are written down before it claims any call of them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from stent.history.operations import ReapWorkers, RegisterWorker, Renewed, RenewWorker
from stent.history.records import Glance, WorkerRow
from stent.log import get_logger
from stent.worker.committer import Chore
from stent.worker.link import Link
from stent.worker.liveness import WorkerLock, is_dead, remove_lock

log = get_logger(__name__)

HUNG_LOOP_US = 60_000_000  # an event loop that stands still for a minute does not come back by waiting
DEAD_LOOK_US = 100_000  # three system calls a peer: at every look of the link they would be a fifth of an idle worker
PEERS_AGE_US = 5_000_000  # one may have gone and another come, so that there are as many as before


class Lease:
    """The right of this worker to act on what it holds, and what it knows of its peers."""

    def __init__(
        self,
        link: Link,
        worker_id: str,
        lease_us: int,
        *,
        free_slots: Callable[[], int],
        on_lost: Callable[[], None],
    ) -> None:
        self.peers: list[WorkerRow] = []
        self._link = link
        self._worker_id = worker_id
        self._lease_us = lease_us
        self._free_slots = free_slots
        self._on_lost = on_lost
        self._beacon_us = 0
        self._listed_us = 0
        self._looked_us = 0
        self._limits: tuple[tuple[str, int], ...] | None = None
        self._generation = -1
        self._lock: WorkerLock | None = None
        self._chore: Chore | None = None

    async def begin(self) -> None:
        """Take the lock file, register, and renew from here on."""
        self._lock = WorkerLock(self._worker_id)
        await self.register()
        self._chore = Chore(self._lease_us // 3, self._renewal, self._link.loop, self._renewed)
        self._link.add_chore(self._chore)
        self._link.lookouts.append(self._sees_death)

    def stop_renewing(self) -> None:
        if self._chore is not None:
            self._link.remove_chore(self._chore)
            self._link.lookouts.remove(self._sees_death)

    async def end(self) -> None:
        """Give the lease up, and with it whatever is still under it."""
        await self._link.commit(ReapWorkers((self._worker_id,)))
        if self._lock is not None:
            self._lock.release()

    async def register(self) -> None:
        registry = self._link.registry
        self._generation, self._limits = registry.generation, registry.limits()
        lock_path = self._lock.path if self._lock is not None else None
        host, process_id = socket.gethostname(), os.getpid()
        await self._link.commit(
            RegisterWorker(self._worker_id, host, process_id, self._lease_us, lock_path, self._limits)
        )
        await self.renew()
        self.beat()

    async def write_limits(self) -> None:
        """Functions may have been defined since: their limits must be there before their calls are claimed."""
        registry = self._link.registry
        if self._generation != registry.generation:
            self._generation = registry.generation
            if self._limits != registry.limits():
                await self.register()

    async def renew(self) -> None:
        await self._link.commit(RenewWorker(self._worker_id, self._lease_us, self._free_slots()))

    def beat(self) -> None:
        """The event loop moves."""
        self._beacon_us = self._link.clock.monotonic_us()

    def _renewal(self) -> RenewWorker | None:
        """Called by the committer's thread."""
        if self._link.clock.monotonic_us() - self._beacon_us > HUNG_LOOP_US:
            return None
        return RenewWorker(self._worker_id, self._lease_us, self._free_slots())

    def _renewed(self, outcome: Renewed | None, error: BaseException | None) -> None:
        if outcome is not None and not outcome.is_alive:
            log.warning("worker_given_up", worker_id=self._worker_id, error=repr(error) if error else None)
            self._on_lost()

    # -- peers -----------------------------------------------------------------------------------------------------

    def _sees_death(self) -> bool:
        """Whether a peer has died, every DEAD_LOOK_US; a death changes nothing in the store, so nothing else tells."""
        now_us = self._link.clock.monotonic_us()
        if not self.peers or now_us - self._looked_us < DEAD_LOOK_US:
            return False
        self._looked_us = now_us
        return self.has_dead_peer

    @property
    def has_dead_peer(self) -> bool:
        """Whether a peer of this machine is certainly dead; costs no statement."""
        return any(is_dead(peer.lock_path) for peer in self.peers)

    @property
    def peers_room(self) -> int:
        """How many free slots the peers had when they last renewed."""
        return sum(peer.free_slots for peer in self.peers)

    async def look_round(self, glance: Glance, *, needs_room: bool) -> tuple[str, ...]:
        """Those of this machine that are certainly dead; asks who is there only where that may have changed.

        `needs_room` asks in any case: how much room the peers have changes with every renewal.
        """
        if glance.worker_count <= 1:
            self.peers = []
            return ()
        is_new = glance.worker_count != len(self.peers) + 1 or glance.has_expired or self.has_dead_peer
        is_old = self._link.clock.monotonic_us() - self._listed_us >= PEERS_AGE_US
        return await self.dead_peers() if is_new or is_old or needs_room else ()

    async def dead_peers(self) -> tuple[str, ...]:
        """Look who is there; those of this machine that are certainly dead."""
        self._listed_us = self._link.clock.monotonic_us()
        rows = await self._link.read(self._link.store.list_workers)
        self.peers = [row for row in rows if row.worker_id != self._worker_id]
        return tuple(row.worker_id for row in self.peers if is_dead(row.lock_path))

    async def reap(self, dead: tuple[str, ...]) -> bool:
        """Give up the dead, and whoever's lease has run out; True if there was anybody."""
        reaped = await self._link.commit(ReapWorkers(dead))
        if not reaped.workers:
            return False
        log.info("workers_reaped", workers=reaped.workers, runs=reaped.run_count, calls=reaped.call_count)
        for peer in self.peers:
            if peer.worker_id in reaped.workers:
                remove_lock(peer.lock_path)
        self.peers = [peer for peer in self.peers if peer.worker_id not in reaped.workers]
        return True

"""The lease of a worker: when it is renewed, when its loss is noticed, and the limits that are written down with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from stent.errors import StoreUnavailableError
from stent.history.operations import Renewed, RenewWorker
from stent.worker.committer import Chore
from stent.worker.leases import DEAD_LOOK_US, HUNG_LOOP_US, Lease
from stent.worker.link import WATCH_INTERVAL_US
from stent.worker.polling import PEERS_US
from stent.worker.worker import Worker
from tests.worker.world import World

LEASE_US = 10_000_000


@dataclass
class Kept:
    """A lease that has begun, what it wants to be done again and again, and how often it was lost."""

    chores: list[Chore] = field(default_factory=list)
    losses: list[bool] = field(default_factory=list)
    lease: Lease | None = None

    @property
    def renewal(self) -> Chore:
        (chore,) = self.chores
        return chore


@pytest.fixture
async def kept(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    kept = Kept()
    monkeypatch.setattr(world.link, "add_chore", kept.chores.append)
    lease = Lease(world.link, "w1", LEASE_US, free_slots=lambda: 3, on_lost=lambda: kept.losses.append(True))
    kept.lease = lease
    await lease.begin()
    yield kept
    await lease.end()


async def test_it_is_renewed_three_times_as_often_as_it_ends(kept: Kept) -> None:
    assert LEASE_US // 3 == kept.renewal.interval_us
    assert RenewWorker("w1", LEASE_US, 3) == kept.renewal.operation()


async def test_a_worker_whose_event_loop_hangs_for_good_loses_it(world: World, kept: Kept) -> None:
    """A loop that is only late does not: nobody would thank us for doing its work twice."""
    assert kept.lease is not None
    world.clock.advance(HUNG_LOOP_US)
    assert kept.renewal.operation() is not None
    world.clock.advance(1)
    assert None is kept.renewal.operation()
    kept.lease.beat()
    assert kept.renewal.operation() is not None


async def test_who_was_given_up_learns_of_it_from_the_next_renewal(kept: Kept) -> None:
    """A store that is away for a while says nothing about the lease."""
    kept.renewal.answer(Renewed(True), None)
    kept.renewal.answer(None, StoreUnavailableError("away"))
    assert [] == kept.losses
    kept.renewal.answer(Renewed(False), None)
    assert [True] == kept.losses


async def test_the_limit_of_a_function_that_was_defined_later_holds_too(world: World) -> None:
    """The worker had written down its limits when there was none."""
    running, most = 0, 0
    await world.node.work(slots=10)
    await asyncio.sleep(0.02)

    @world.durable(max_concurrent=2)
    async def careful(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return number

    @world.durable
    async def fan_out(count: int) -> int:
        return sum(await asyncio.gather(*[careful(number) for number in range(count)]))

    assert 66 == await world.call(fan_out, 12)
    assert 2 == most


async def test_the_death_of_a_peer_is_seen_within_a_tenth_of_a_second_though_it_changes_nothing(world: World) -> None:
    """Nothing is written by a death, so neither the store's stamp nor anybody's hint tells of it, only its lock."""
    survivor = await world.node.work()
    dying = await world.new_node().work()
    await world.until(lambda: len(survivor._lease.peers) == 1, tick_us=WATCH_INTERVAL_US)
    for _ in range(10):  # until all news are old
        world.clock.advance(WATCH_INTERVAL_US)
        await asyncio.sleep(0.01)
    world.clock.advance(PEERS_US // 2)
    await asyncio.sleep(0.02)
    _let_go_of_lock(dying)
    world.clock.advance(DEAD_LOOK_US + 2 * WATCH_INTERVAL_US)  # far less than the next look would take
    await world.until(lambda: not survivor._lease.peers)
    assert [survivor.worker_id] == [row.worker_id for row in await world.link.read(world.link.store.list_workers)]


def _let_go_of_lock(worker: Worker) -> None:
    """As the kernel does it for a process that dies."""
    lock = worker._lease._lock
    assert lock is not None
    os.dup2(os.open(os.devnull, os.O_RDONLY), lock._descriptor)

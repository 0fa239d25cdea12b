"""Processes that want the same at the same moment, on PostgreSQL: limits hold, a run has one owner, nothing is lost.

Each thread has a store of its own, which is to the database what a process is.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from stent.clock import SystemClock
from stent.history import wire
from stent.history.events import indexes_of
from stent.history.operations import Append, Appended, Fenced, PutMessage, Release
from stent.history.sql import postgres_writes
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_talk import Statement
from stent.testing.conformance.rigging import Rig, call, part, scheduled, signal, token

pytestmark = pytest.mark.slow

LONG_US = 600_000_000
CLOCK: Any = SystemClock()
Open = Callable[..., PostgresStore]


def together(works: Sequence[Callable[[], None]]) -> None:
    """Do all of this at once; the first error is the test's."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def guarded(work: Callable[[], None]) -> None:
        try:
            barrier.wait()
            work()
        except BaseException as error:  # border: the test reports whatever it is
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def rigs(url: str, open_store: Open, count: int) -> list[Rig]:
    return [Rig(open_store(url, listen_dsn=""), CLOCK) for _ in range(count)]


class Gauge:
    """How many bodies run right now, and how many ran at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0
        self.most = 0
        self.done: Counter[object] = Counter()

    def begin(self, size: int = 1) -> None:
        with self.lock:
            self.now += size
            self.most = max(self.most, self.now)

    def end(self, *names: object) -> None:
        with self.lock:
            self.now -= len(names)
            self.done.update(names)


def test_a_limit_that_was_not_locked_lets_nobody_through(
    database: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its first call came between the question what is open and the claim: such a count would be a guess."""
    (rig,) = rigs(database, open_store, 1)
    rig.register("w1", LONG_US, slow=5)
    rig.start("a")
    (run,) = rig.claim_runs()
    rig.share(run.run_id, call("a", 1, limit_key="slow"), call("a", 2))
    rig.start("b", "shop.pay", "activity", limit_key="slow")
    with monkeypatch.context() as patch:
        patch.setattr(postgres_writes, "lock_limits", lambda *_: Statement("SELECT NULL WHERE false"))
        assert [("a", 2, -1)] == rig.claim_places()
        assert [] == rig.claim_ids()
        assert [] == rig.claim_ids(only=("b",))
    assert [("a", 1, -1)] == rig.claim_places()
    assert ["b"] == rig.claim_ids()


@pytest.mark.parametrize("limit", [1, 3])
def test_calls_never_exceed_their_limit(database: str, open_store: Open, limit: int) -> None:
    items, workers = 60, 4
    gauge = Gauge()
    all_rigs = rigs(database, open_store, workers)
    first = all_rigs[0]
    first.register("w0", LONG_US, slow=limit)
    first.hold("main", "w0")
    first.share("main", part("main", 1, (0, items), limit_key="slow"))
    singles = [call("main", 2 + number, limit_key="slow") for number in range(20)]
    first.share("main", *singles)

    def work(rig: Rig, worker: str) -> None:
        rig.register(worker, LONG_US)
        while True:
            claimed = [claim.call for claim in rig.claim_calls(worker, slots=2)]
            if not claimed and rig.store.queue_depth() == 0:
                return
            gauge.begin(sum(shared.size for shared in claimed))
            for shared in claimed:
                gauge.end(*[(shared.call, item) for item in indexes_of(shared.items) or [0]])
                assert rig.finish(shared, worker)

    together([partial(work, rig, f"w{n}") for n, rig in enumerate(all_rigs, 1)])
    assert gauge.most <= limit
    assert {1} == set(gauge.done.values())
    assert items + len(singles) == len(gauge.done)


@pytest.mark.parametrize("limit", [1, 2])
def test_runs_never_exceed_their_limit(database: str, open_store: Open, limit: int) -> None:
    gauge = Gauge()
    all_rigs = rigs(database, open_store, 4)
    all_rigs[0].register("w0", LONG_US, slow=limit)
    names = [f"r{number:02}" for number in range(40)]
    for name in names:
        all_rigs[0].start(name, "shop.pay", "activity", limit_key="slow")

    def work(rig: Rig, worker: str) -> None:
        rig.register(worker, LONG_US)
        while rig.store.count_unfinished():
            for run in rig.claim_runs(worker, slots=2):
                gauge.begin()
                gauge.end(run.run_id)
                rig.end(run.run_id)

    together([partial(work, rig, f"w{n}") for n, rig in enumerate(all_rigs, 1)])
    assert gauge.most <= limit
    assert dict.fromkeys(names, 1) == gauge.done


def test_a_run_is_claimed_once_and_none_is_left(database: str, open_store: Open) -> None:
    all_rigs = rigs(database, open_store, 4)
    names = [f"r{number:03}" for number in range(120)]
    for name in names:
        all_rigs[0].start(name)
    claimed: Counter[str] = Counter()

    def work(rig: Rig, worker: str) -> None:
        rig.register(worker, LONG_US)
        while rig.store.queue_depth():
            claimed.update(run.run_id for run in rig.claim_runs(worker, limit=3))

    together([partial(work, rig, f"w{n}") for n, rig in enumerate(all_rigs, 1)])
    assert dict.fromkeys(names, 1) == claimed
    assert {1} == {all_rigs[0].epoch(name) for name in names}


def test_calls_and_items_are_carried_out_once(database: str, open_store: Open) -> None:
    all_rigs = rigs(database, open_store, 4)
    first = all_rigs[0]
    first.hold("main", "w0")
    first.share("main", part("main", 1, (0, 60)), *(call("main", 2 + number) for number in range(40)))
    done: Counter[tuple[int, int]] = Counter()

    def work(rig: Rig, worker: str) -> None:
        rig.register(worker, LONG_US)
        while rig.store.queue_depth():
            for claimed in rig.claim_calls(worker, slots=3):
                done.update((claimed.call.call, item) for item in indexes_of(claimed.call.items) or [0])
                assert rig.finish(claimed.call, worker)

    together([partial(work, rig, f"w{n}") for n, rig in enumerate(all_rigs, 1)])
    assert {1} == set(done.values())
    assert 100 == len(done)


def test_a_late_append_is_refused_whatever_the_moment(database: str, open_store: Open) -> None:
    """One goes on appending under the epoch it was given, another takes the run away again and again."""
    zombie, thief = rigs(database, open_store, 2)
    zombie.hold("a", "w0")
    accepted: list[tuple[int, int]] = []
    refused = 0
    stop = threading.Event()

    def append_for_ever() -> None:
        nonlocal refused
        while not stop.is_set():
            run, last = zombie.run("a"), zombie.store.last_row("a")
            assert last is not None
            epoch = run.epoch
            for seq in range(last.seq + 1, last.seq + 200):
                placed = replace(scheduled(seq), seq=seq)
                (row,) = wire.encode_all([placed], "a", epoch, last.hash, token())
                if isinstance(zombie.do(Append("a", epoch, (row,))), Fenced):
                    refused += 1
                    break
                accepted.append((epoch, seq))

    def steal() -> None:
        for number in range(60):
            owner = thief.run("a").owner
            thief.reap(owner or "")
            thief.register(f"t{number}", LONG_US)
            assert ["a"] == thief.claim_ids(f"t{number}", only=("a",))
            time.sleep(0.003)
        stop.set()

    together([append_for_ever, steal])
    rows = zombie.store.read_rows("a")
    assert refused >= 10
    assert list(range(1, len(rows) + 1)) == [row.seq for row in rows]
    assert [row.epoch for row in rows] == sorted(row.epoch for row in rows), "nobody wrote after a later holder"
    assert accepted == [(row.epoch, row.seq) for row in rows[1:]]


def test_a_message_and_a_release_never_miss_each_other(database: str, open_store: Open) -> None:
    """A run that nobody holds and that has messages is ready, or it would sleep on them for ever."""
    holder, *tellers = rigs(database, open_store, 3)
    holder.register("w1", LONG_US)
    holder.hold("a", "w1")
    count = 80
    seen: list[str] = []

    def tell(rig: Rig, name: str) -> None:
        for number in range(count):
            rig.put(signal("a", f"{name}-{number}"))

    def hold() -> None:
        deadline = time.monotonic() + 60
        while len(seen) < count * len(tellers):
            assert time.monotonic() < deadline, "a message woke nobody"
            run = holder.run("a")
            if run.owner is None:
                holder.claim_ids("w1")
                continue
            keys = tuple(holder.keys("a"))[:7]
            assert isinstance(holder.do(Append("a", run.epoch, consumed=keys, release=Release())), Appended)
            seen.extend(keys)

    together([hold, *[partial(tell, rig, f"t{n}") for n, rig in enumerate(tellers)]])
    assert {1} == set(Counter(seen).values())


def test_what_is_begun_for_a_worker_that_is_given_up_is_not_lost(database: str, open_store: Open) -> None:
    """The start and the end of its starter cannot pass each other unseen."""
    starter, reaper = rigs(database, open_store, 2)
    names = [f"r{number:03}" for number in range(150)]

    def start() -> None:
        for name in names:
            starter.start(name, owner="w1")

    def reap() -> None:
        for _ in range(60):
            reaper.register("w1", LONG_US)
            time.sleep(0.002)
            reaper.reap("w1")

    together([start, reap])
    reaper.reap("w1")
    reaper.register("w2", LONG_US)
    ready = set(reaper.claim_ids("w2", limit=1_000))
    assert set(names) == ready


def test_opposite_orders_do_not_lock_each_other_out(database: str, open_store: Open) -> None:
    """Batches that touch the same runs, each in an order of its own."""
    one, two = rigs(database, open_store, 2)
    names = [f"r{number}" for number in range(6)]
    for name in names:
        one.hold(name, "w1")

    def tell(rig: Rig, order: list[str], by: str) -> None:
        for number in range(60):
            outcomes = rig.store.commit([PutMessage(signal(name, f"{by}-{number}")) for name in order])
            assert ["delivered"] * len(order) == [outcome.result for outcome in outcomes]  # type: ignore[union-attr]

    def conflicts() -> int:
        with one.store._single.connect() as connection:  # type: ignore[attr-defined]
            sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            return int(connection.exec_driver_sql(sql).scalar_one())

    before = conflicts()
    together([lambda: tell(one, names, "x"), lambda: tell(two, names[::-1], "y")])
    assert before == conflicts()
    assert 120 * len(names) == sum(len(one.keys(name)) for name in names)


def test_what_is_due_is_woken_once_by_many(database: str, open_store: Open) -> None:
    all_rigs = rigs(database, open_store, 3)
    due_us = all_rigs[0].store.now_us() + 300_000
    names = [f"r{number:03}" for number in range(60)]
    for name in names:
        all_rigs[0].start(name, due_us=due_us)
    claimed: Counter[str] = Counter()

    def work(rig: Rig, worker: str) -> None:
        rig.register(worker, LONG_US)
        deadline = time.monotonic() + 30
        while len(claimed) < len(names):
            assert time.monotonic() < deadline, "a sleeper never woke"
            for run in rig.claim_runs(worker, limit=7):
                assert run.started_at_us is not None
                assert due_us <= run.started_at_us, "too early"
                claimed[run.run_id] += 1

    together([partial(work, rig, f"w{n}") for n, rig in enumerate(all_rigs)])
    assert dict.fromkeys(names, 1) == claimed

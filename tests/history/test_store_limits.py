"""Limits hold on every store whatever workers do and in whatever order, and work is never lost or done twice."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from stent.clock import ManualClock, SystemClock
from stent.history.events import indexes_of, ranges_of
from stent.history.records import SharedCall
from stent.history.sql.sqlite import SQLiteStore
from stent.testing.conformance.opening import opened
from stent.testing.conformance.rigging import LEASE_US, Rig, call, part
from tests.history.stores import STORES

LIMITS = {"slow": 3, "slower": 1}
WORKERS = ("w1", "w2", "w3")
ITEMS = 7

workers = st.sampled_from(WORKERS)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("claim runs"), workers, st.integers(0, 4)),
        st.tuples(st.just("claim calls"), workers, st.integers(0, 4)),
        st.tuples(st.just("finish"), workers, st.integers(0, 5)),
        st.tuples(st.just("sleep"), workers, st.integers(0, 5)),
        st.tuples(st.just("die"), workers, st.just(0)),
        st.tuples(st.just("expire"), workers, st.just(0)),
    ),
    max_size=60,
)


@dataclass
class Ledger:
    """What each worker believes that it carries out, kept beside the store."""

    runs: dict[str, str] = field(default_factory=dict)  # run -> worker
    sleeping: set[str] = field(default_factory=set)
    calls: dict[str, list[SharedCall]] = field(default_factory=lambda: {worker: [] for worker in WORKERS})
    done: Counter[tuple[int, int]] = field(default_factory=Counter)
    ended: set[str] = field(default_factory=set)

    def count(self, limit_key: str) -> int:
        calls = sum(call.size for held in self.calls.values() for call in held if call.limit_key == limit_key)
        runs = sum(run_id.startswith(f"{limit_key}-") for run_id in {*self.runs, *self.sleeping} - self.ended)
        return calls + runs


def prepare(rig: Rig) -> None:
    rig.hold("main", "holder", function="shop.order")
    for worker in WORKERS:
        rig.register(worker, **LIMITS)
    for number in range(5):
        rig.start(f"slow-{number}", "shop.pay", "activity", limit_key="slow", priority=number % 2)
    rig.share(
        "main",
        part("main", 1, (0, ITEMS), limit_key="slow"),
        *(call("main", number, limit_key="slower", priority=number) for number in (2, 3)),
        call("main", 4),
    )


def act(rig: Rig, ledger: Ledger, action: tuple[str, str, int]) -> None:
    what, worker, number = action
    if what == "claim runs":
        for run in rig.claim_runs(worker, slots=number):
            assert run.run_id not in ledger.runs, "claimed while another holds it"
            ledger.runs[run.run_id] = worker
            ledger.sleeping.discard(run.run_id)
    elif what == "claim calls":
        claimed = [claim.call for claim in rig.claim_calls(worker, slots=number)]
        assert sum(call.size for call in claimed) <= number
        ledger.calls[worker] += claimed
    elif what == "finish":
        finish(rig, ledger, worker, number)
    elif what == "sleep":
        for run_id in [run_id for run_id, holder in ledger.runs.items() if holder == worker][:1]:
            rig.release(run_id, rig.clock.now_us() + number)
            del ledger.runs[run_id]
            ledger.sleeping.add(run_id)
            rig.clock.advance(number)
    else:
        give_up(rig, ledger, worker, by_time=what == "expire")


def finish(rig: Rig, ledger: Ledger, worker: str, number: int) -> None:
    held = ledger.calls[worker]
    if held and number % 2:
        shared = held.pop(number % len(held))
        items = indexes_of(shared.items)
        remaining = ranges_of(items[number:])
        assert rig.finish(shared, worker, remaining=remaining)
        ledger.done.update((shared.call, item) for item in items[:number] or [-1] * (not items))
        if remaining:
            held.append(replace(shared, items=remaining))
        return
    for run_id in [run_id for run_id, holder in ledger.runs.items() if holder == worker][:1]:
        rig.end(run_id)
        ledger.ended.add(run_id)
        del ledger.runs[run_id]


def give_up(rig: Rig, ledger: Ledger, worker: str, *, by_time: bool) -> None:
    """A worker dies and comes back under its name: what it held is open again, its runs still count."""
    if by_time:
        rig.clock.advance(LEASE_US + 1)
        dead = rig.reap().workers
        assert {"holder", *WORKERS} == set(dead)
        for name in dead:
            rig.register(name)
    else:
        rig.reap(worker)
        rig.register(worker)
        dead = (worker,)
    for name in dead:
        if name in ledger.calls:
            ledger.calls[name].clear()
    for run_id in [run_id for run_id, holder in ledger.runs.items() if holder in dead]:
        del ledger.runs[run_id]
        ledger.sleeping.add(run_id)


@pytest.mark.slow
@pytest.mark.timeout(400)  # on PostgreSQL, beside busy programs, 65 s to more than 120 were seen
@pytest.mark.parametrize("name", STORES)
@settings(max_examples=40, deadline=None)
@given(script=actions)
def test_no_order_of_claims_and_deaths_exceeds_a_limit(name: str, script: list[tuple[str, str, int]]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder, opened(STORES[name](Path(folder), clock)) as (store,):
        rig, ledger = Rig(store, clock), Ledger()
        prepare(rig)
        for action in script:
            act(rig, ledger, action)
            for limit_key, limit in LIMITS.items():
                assert ledger.count(limit_key) <= limit
        drain(rig, ledger)
        assert {(1, item): 1 for item in range(ITEMS)} | {(number, -1): 1 for number in (2, 3, 4)} == ledger.done
        assert {f"slow-{number}" for number in range(5)} <= ledger.ended
        assert ([], 0) == (rig.shared("main"), rig.store.queue_depth())


def drain(rig: Rig, ledger: Ledger) -> None:
    """Let one worker finish what is left: nothing may be lost, and no limit may stay taken."""
    for _ in range(60):
        rig.clock.advance(10)
        for worker in WORKERS:
            for what, number in (("claim runs", 9), ("claim calls", 9), ("finish", 99), ("finish", 98)):
                if what == "claim runs" and "main" in ledger.runs:
                    rig.release("main")
                    del ledger.runs["main"]
                act(rig, ledger, (what, worker, number))
            for limit_key, limit in LIMITS.items():
                assert ledger.count(limit_key) <= limit


@pytest.mark.slow
def test_threads_with_connections_of_their_own_never_exceed_a_limit(tmp_path: Path) -> None:
    """The same under real contention on one SQLite file."""
    limit, items = 3, 200
    path = tmp_path / "stent.db"
    most, running, done = 0, 0, Counter[int]()
    lock = threading.Lock()

    def work(worker: str) -> None:
        nonlocal most, running
        with opened(lambda: SQLiteStore(path, durability="relaxed")) as (store,):
            rig = Rig(store, SystemClock())  # type: ignore[arg-type]  # this test does not move time
            while True:
                claimed = [claim.call for claim in rig.claim_calls(worker, slots=2)]
                if not claimed and rig.store.queue_depth() == 0:
                    return
                for shared in claimed:
                    with lock:
                        running += shared.size
                        most = max(most, running)
                for shared in claimed:
                    with lock:
                        done.update(indexes_of(shared.items))
                        running -= shared.size
                    assert rig.finish(shared, worker)

    with opened(lambda: SQLiteStore(path, durability="relaxed")) as (store,):
        rig = Rig(store, SystemClock())  # type: ignore[arg-type]
        rig.register("w0", lease_us=600_000_000, slow=limit)
        rig.hold("main", "w0")
        rig.share("main", part("main", 1, (0, items), limit_key="slow"))
        names = [f"w{number}" for number in range(1, 5)]
        for name in names:
            rig.register(name, lease_us=600_000_000)
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert dict.fromkeys(range(items), 1) == done
    assert most <= limit

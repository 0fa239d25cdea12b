"""What every store promises of workers: how long each has what it holds, and what follows when one dies."""

from __future__ import annotations

import pytest

from stent.history.operations import (
    Append,
    Fenced,
    Reaped,
    RegisterWorker,
    Renewed,
    RenewWorker,
)
from stent.testing.conformance.rigging import LEASE_US, Rig, call, part, scheduled


class TestWorkers:
    def test_a_worker_is_seen_by_its_peers(self, rig: Rig) -> None:
        rig.do(RegisterWorker("w1", "here", 7, 100, "/tmp/lock", ()))
        rig.do(RenewWorker("w1", 200, 3))
        (worker,) = rig.store.list_workers()
        now_us = rig.clock.now_us()
        assert ("w1", "here", 7, now_us, now_us + 200, "/tmp/lock", 3) == (
            *(worker.worker_id, worker.host, worker.pid, worker.started_at_us),
            *(worker.valid_until_us, worker.lock_path, worker.free_slots),
        )

    def test_a_lease_is_valid_to_its_end(self, rig: Rig) -> None:
        rig.hold("a")
        rig.clock.advance(LEASE_US)
        assert Reaped((), 0, 0) == rig.reap()
        rig.clock.advance(1)
        assert Reaped(("w1",), 1, 0) == rig.reap()

    def test_a_renewed_lease_lasts_longer(self, rig: Rig) -> None:
        rig.hold("a")
        rig.clock.advance(LEASE_US)
        assert Renewed(True) == rig.do(RenewWorker("w1", LEASE_US))
        rig.clock.advance(LEASE_US)
        assert Reaped((), 0, 0) == rig.reap()

    def test_who_was_given_up_is_told_so(self, rig: Rig) -> None:
        rig.register()
        rig.reap("w1")
        assert Renewed(False) == rig.do(RenewWorker("w1", LEASE_US))
        rig.register()
        assert Renewed(True) == rig.do(RenewWorker("w1", LEASE_US))

    def test_what_a_dead_worker_held_is_ready_and_fenced(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        late = rig.rows("a", scheduled(1))
        assert Reaped(("w1",), 1, 0) == rig.reap("w1", "nobody")
        assert (None, 2) == (rig.run("a").owner, rig.run("a").epoch)
        assert Fenced() == rig.do(Append("a", 1, late))
        assert ["a"] == rig.claim_ids("w2")
        assert ["w2"] == [worker.worker_id for worker in rig.store.list_workers()]

    def test_what_a_dead_worker_carried_out_can_be_claimed_again(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        rig.share("a", call("a", 1), part("a", 2, (0, 3)), call("a", 3))
        one, two, _ = rig.claim_calls("w2")
        rig.finish(two.call, "w2", remaining=((1, 2),))
        assert Reaped(("w2",), 0, 3) == rig.reap("w2")
        assert [(1, -1, (), None), (2, 0, ((1, 2),), None), (3, -1, (), None)] == rig.shared("a")
        assert not rig.finish(one.call, "w2")
        assert [("a", 1, -1), ("a", 2, 0), ("a", 3, -1)] == rig.claim_places("w1")

    def test_what_nobody_wants_dies_with_its_worker(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        rig.share("a", call("a", 1), call("a", 2))
        rig.claim_calls("w2")
        rig.append("a", scheduled(3), withdrawn=(1,))
        assert Reaped(("w2",), 0, 1) == rig.reap("w2")
        assert [(2, -1, (), None)] == rig.shared("a")

    def test_the_living_keep_what_they_hold(self, rig: Rig) -> None:
        rig.hold("a")
        rig.hold("b", "w2")
        rig.reap("w1")
        assert ("w2", 1, 0) == (rig.run("b").owner, rig.run("b").epoch, rig.run("b").crashes)

    def test_deaths_without_a_record_are_counted(self, rig: Rig) -> None:
        """A run that kills whoever takes it must be seen."""
        rig.hold("a")
        counts = []
        for _ in range(3):
            rig.reap("w1")
            counts.append(rig.run("a").crashes)
            rig.register()
            assert ["a"] == rig.claim_ids()
        assert [1, 2, 3] == counts

    def test_a_record_begins_the_count_anew(self, rig: Rig) -> None:
        rig.hold("a")
        rig.reap("w1")
        rig.register()
        rig.claim_runs()
        rig.append("a", scheduled(1))
        rig.reap("w1")
        assert 1 == rig.run("a").crashes

    @pytest.mark.parametrize("is_ended", [False, True])
    def test_a_reaped_run_goes_on_wherever_it_was(self, rig: Rig, is_ended: bool) -> None:
        """Also one that has ended, but whose calls go on: somebody has to record their outcomes."""
        rig.hold("a")
        if is_ended:
            rig.append("a", status="failed", at_us=5)
        rig.reap("w1")
        rig.register("w2")
        assert ["a"] == rig.claim_ids("w2")

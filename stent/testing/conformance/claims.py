"""What every store promises of claims: who carries out what."""

from __future__ import annotations

from dataclasses import replace

from stent.history.events import BatchScheduled, CallCompleted
from stent.history.operations import (
    Append,
    Appended,
    Capabilities,
    ClaimedRuns,
    ClaimRuns,
    Fenced,
    Release,
)
from stent.history.records import ClaimedRun, Message, SharedCall
from stent.testing.conformance.rigging import ALL, FUNCTIONS, Rig, call, part, payload, scheduled, signal


class TestClaimingRuns:
    def test_a_claim_raises_the_epoch_and_names_the_owner(self, rig: Rig) -> None:
        rig.register()
        rig.start("a")
        (run,) = rig.claim_runs()
        assert ("a", 1, "w1", "running", rig.clock.now_us()) == (
            *(run.run_id, run.epoch, run.owner),
            *(run.status, run.started_at_us),
        )
        assert run == rig.run("a")
        assert [] == rig.claim_runs("w1"), "a run is claimed once"

    def test_a_claim_tells_under_which_epoch_and_what_takes_a_slot(self, rig: Rig) -> None:
        rig.hold("a")
        rig.release("a", now=True)
        rig.start("b", "shop.pay", "activity")
        expected = ClaimedRuns((ClaimedRun("a", 2, False), ClaimedRun("b", 1, True)))
        assert expected == rig.do(ClaimRuns("w1", ALL, 10, 10))

    def test_whoever_held_it_before_can_append_no_more(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        rig.release("a", now=True)
        late = rig.rows("a", scheduled(1), epoch=1)
        assert ["a"] == rig.claim_ids("w2")
        assert Fenced() == rig.do(Append("a", 1, late))
        assert Appended() == rig.append("a", scheduled(1), epoch=2)

    def test_the_first_claim_is_when_a_run_started(self, rig: Rig) -> None:
        rig.hold("a")
        started_at_us = rig.clock.now_us()
        rig.release("a", now=True)
        rig.clock.advance(10)
        assert [started_at_us] == [run.started_at_us for run in rig.claim_runs()]

    def test_only_known_functions(self, rig: Rig) -> None:
        rig.register()
        rig.start("a", "shop.order")
        rig.start("b", "shop.pay")
        assert [] == rig.claim_ids(can=Capabilities(frozenset()))
        assert ["b"] == rig.claim_ids(can=Capabilities(frozenset({"shop.pay", "shop"})))

    def test_only_its_queues(self, rig: Rig) -> None:
        rig.register()
        rig.start("a")
        rig.start("b", queue="fast")
        rig.start("c", queue="slow")
        assert ["b"] == rig.claim_ids(can=Capabilities(FUNCTIONS, queues=frozenset({"fast"})))
        assert ["a"] == rig.claim_ids(can=Capabilities(FUNCTIONS, queues=frozenset({"default"})))
        assert [] == rig.claim_ids(can=Capabilities(FUNCTIONS, queues=frozenset()))
        assert ["c"] == rig.claim_ids(can=ALL)

    def test_only_its_tags(self, rig: Rig) -> None:
        rig.register()
        rig.start("a")
        rig.start("b", tags=("gpu", "eu"))
        rig.start("c", tags=("gp",))
        assert ["b"] == rig.claim_ids(can=Capabilities(FUNCTIONS, tags=frozenset({"gpu", "us"})))
        assert [] == rig.claim_ids(can=Capabilities(FUNCTIONS, tags=frozenset({"g%", "GP"})))
        assert ["a", "c"] == rig.claim_ids(can=ALL)

    def test_the_highest_priority_first_then_the_longest_waiting(self, rig: Rig) -> None:
        rig.register()
        for run_id, priority in (("late", 0), ("low", -1), ("high", 5)):
            rig.start(run_id, priority=priority)
            rig.clock.advance(1)
        rig.start("later")
        assert ["high", "late"] == rig.claim_ids(limit=2)
        assert ["later", "low"] == rig.claim_ids(limit=2)

    def test_priority_counts_over_limited_and_unlimited(self, rig: Rig) -> None:
        rig.register(slow=5)
        rig.start("a")
        rig.start("b", limit_key="slow", priority=1)
        assert ["b"] == rig.claim_ids(limit=1)

    def test_activities_take_slots_and_orchestrators_do_not(self, rig: Rig) -> None:
        rig.register()
        for number in range(3):
            rig.start(f"o{number}")
            rig.start(f"a{number}", "shop.pay", "activity")
        assert ["o0", "o1", "o2"] == rig.claim_ids(slots=0)
        assert ["a0", "a1"] == rig.claim_ids(slots=2)
        assert ["a2"] == rig.claim_ids(slots=2)

    def test_no_more_than_the_limit_of_the_claim(self, rig: Rig) -> None:
        rig.register()
        for number in range(5):
            rig.start(f"a{number}", "shop.pay", "activity")
        assert ["a0", "a1", "a2"] == rig.claim_ids(limit=3, slots=4)

    def test_runs_by_name(self, rig: Rig) -> None:
        rig.hold("a")
        rig.append("a", status="stalled", stall="why", release=Release())
        rig.hold("b")
        rig.start("c")
        can = Capabilities(frozenset())
        assert ["a", "c"] == rig.claim_ids(can=can, limit=0, slots=0, only=("a", "b", "nobody", "c"))
        assert ("stalled", 2) == (rig.run("a").status, rig.run("a").epoch)
        assert 0 == rig.store.queue_depth()

    def test_a_worker_without_a_lease_gets_nothing(self, rig: Rig) -> None:
        """What it took could be lost for good: nobody would see its lease run out."""
        rig.hold("a")
        rig.share("a", call("a", 1))
        rig.start("b")
        assert ([], [], []) == (rig.claim_ids("gone"), rig.claim_ids("gone", only=("b",)), rig.claim_places("gone"))
        assert 2 == rig.store.queue_depth()

    def test_many_sleepers_wake_a_part_at_a_time(self, rig: Rig) -> None:
        rig.register()
        due_us = rig.clock.now_us() + 10
        for number in range(501):
            rig.start(f"{number:03}", due_us=due_us)
        rig.clock.advance(10)
        assert [f"{number:03}" for number in range(500)] == rig.claim_ids(limit=1_000)
        assert ["500"] == rig.claim_ids(limit=1_000)


class TestClaimingCalls:
    def test_a_claim_brings_what_scheduled_it(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", call("a", 1, queue="q", priority=2, tags=("t",)))
        (claimed,) = rig.claim_calls()
        assert call("a", 1, queue="q", priority=2, tags=("t",)) == replace_seq(claimed.call, 0)
        assert rig.store.read_rows("a")[claimed.call.seq - 1] == claimed.scheduled
        assert [(1, -1, (), "w1")] == rig.shared("a")
        assert [] == rig.claim_calls()

    def test_a_claim_brings_large_arguments(self, rig: Rig) -> None:
        rig.hold("a")
        batch = BatchScheduled(0, 0, 1, "shop.pay", 2, payload("x" * 50_000), "activity")
        rows = rig.rows("a", batch)
        rig.do(Append("a", 1, rows, shared=(replace_seq(part("a", 1, (0, 2)), 2),)))
        (claimed,) = rig.claim_calls()
        assert rows[0] == claimed.scheduled

    def test_only_what_it_can_carry_out(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", call("a", 1), call("a", 2, "shop.ship"), call("a", 3, queue="q"), call("a", 4, tags=("t",)))
        assert [("a", 2, -1)] == rig.claim_places(can=Capabilities(frozenset({"shop.ship"})))
        assert [("a", 3, -1)] == rig.claim_places(can=Capabilities(FUNCTIONS, queues=frozenset({"q"})))
        assert [("a", 4, -1)] == rig.claim_places(can=Capabilities(FUNCTIONS, tags=frozenset({"t"})))
        assert [("a", 1, -1)] == rig.claim_places()

    def test_no_more_than_its_slots(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", *(call("a", number) for number in (1, 2, 3)))
        assert [] == rig.claim_places(slots=0)
        assert [("a", 1, -1), ("a", 2, -1)] == rig.claim_places(slots=2)

    def test_a_batch_is_claimed_by_ranges(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        rig.share("a", part("a", 1, (0, 10)))
        assert 10 == rig.store.queue_depth()
        assert [((0, 4),)] == [claimed.call.items for claimed in rig.claim_calls("w1", slots=4)]
        assert [((4, 7),)] == [claimed.call.items for claimed in rig.claim_calls("w2", slots=3)]
        assert 3 == rig.store.queue_depth()
        assert [(1, 0, ((0, 4),), "w1"), (1, 4, ((4, 7),), "w2"), (1, 7, ((7, 10),), None)] == rig.shared("a")

    def test_a_part_with_gaps_is_split_where_the_slots_end(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", part("a", 1, (0, 2), (5, 9)))
        assert [((0, 2), (5, 6))] == [claimed.call.items for claimed in rig.claim_calls(slots=3)]
        assert [((6, 9),)] == [claimed.call.items for claimed in rig.claim_calls()]

    def test_slots_go_to_the_highest_priority_whatever_its_limit(self, rig: Rig) -> None:
        rig.register(slow=9)
        rig.hold("a")
        rig.share("a", part("a", 1, (0, 5)), call("a", 2, limit_key="slow", priority=1))
        assert [("a", 2, -1), ("a", 1, 0)] == rig.claim_places(slots=5)
        assert [(1, 0, ((0, 4),), "w1"), (1, 4, ((4, 5),), None), (2, -1, (), "w1")] == rig.shared("a")

    def test_the_outcome_ends_the_claim_and_tells_the_run(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", call("a", 1))
        (claimed,) = rig.claim_calls()
        assert rig.finish(claimed.call, message=Message("a", "k", CallCompleted(0, 0, 1, payload())))
        assert ([], ["k"]) == (rig.shared("a"), rig.keys("a"))

    def test_what_was_not_held_is_discarded(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        rig.share("a", call("a", 1))
        (claimed,) = rig.claim_calls()
        assert not rig.finish(claimed.call, "w2", signal("a", "k"))
        rig.reap("w1")
        assert not rig.finish(claimed.call, "w1", signal("a", "k"))
        assert ([], [(1, -1, (), None)]) == (rig.keys("a"), rig.shared("a"))

    def test_an_outcome_told_twice_is_told_once(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", call("a", 1), part("a", 2, (0, 2)))
        one, two = rig.claim_calls()
        told = [rig.finish(one.call, message=signal("a", "k")) for _ in range(2)]
        told += [rig.finish(two.call, message=signal("a", "l"), remaining=((1, 2),)) for _ in range(2)]
        assert [True, False, True, True] == told
        assert ["k", "l"] == rig.keys("a")

    def test_what_remains_of_a_part_stays_claimed(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", part("a", 1, (0, 4)))
        (claimed,) = rig.claim_calls()
        assert rig.finish(claimed.call, message=signal("a", "k"), remaining=((1, 2), (3, 4)))
        assert [(1, 0, ((1, 2), (3, 4)), "w1")] == rig.shared("a")
        assert rig.finish(claimed.call)
        assert [] == rig.shared("a")

    def test_a_retried_item_is_offered_although_its_part_goes_on(self, rig: Rig) -> None:
        """The part that began with the item keeps its name: an offer under the same name would be lost."""
        rig.hold("a")
        rig.share("a", part("a", 1, (0, 2)))
        (claimed,) = rig.claim_calls()
        rig.finish(claimed.call, message=signal("a", "failed-0"), remaining=((1, 2),))
        retry = part("a", 1, (0, 1), attempt=2)
        for _ in range(2):  # a new holder may offer it again: that is the same offer
            rig.append("a", shared=(replace_seq(retry, 2),))
        assert 1 == rig.store.queue_depth()
        (again,) = rig.claim_calls()
        assert (((0, 1),), 2) == (again.call.items, again.call.attempt)
        assert rig.finish(again.call, message=signal("a", "done-0"))
        assert rig.finish(claimed.call, message=signal("a", "done-1"))
        assert ([], ["failed-0", "done-0", "done-1"]) == (rig.shared("a"), rig.keys("a"))

    def test_a_retried_part_is_split_like_any_other(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", part("a", 1, (0, 4), attempt=2))
        parts = [rig.claim_calls(slots=1)[0].call for _ in range(4)]
        assert [((0, 1),), ((1, 2),), ((2, 3),), ((3, 4),)] == [claimed.items for claimed in parts]
        assert all(rig.finish(claimed) for claimed in parts)

    def test_a_call_that_was_retried_is_offered_again(self, rig: Rig) -> None:
        rig.register(slow=1)
        rig.hold("a")
        rig.share("a", call("a", 1, limit_key="slow"))
        (claimed,) = rig.claim_calls()
        rig.finish(claimed.call, message=signal("a", "failed"))
        rig.append("a", shared=(replace_seq(call("a", 1, limit_key="slow", attempt=2), 2),))
        assert [2] == [claimed.call.attempt for claimed in rig.claim_calls()]

    def test_an_open_call_that_nobody_wants_is_gone(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", call("a", 1), call("a", 2), part("a", 3, (0, 3)))
        assert Appended() == rig.append("a", scheduled(4), withdrawn=(1, 3))
        assert [(2, -1, (), None)] == rig.shared("a")

    def test_a_claimed_call_that_nobody_wants_is_marked(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        rig.share("a", part("a", 1, (0, 9)), call("a", 2))
        first = rig.claim_calls("w2", slots=2)[0].call
        rig.claim_calls("w1", slots=3)
        assert Appended(((1, 0), (1, 2))) == rig.append("a", scheduled(3), withdrawn=(1,))
        assert [("a", 1, 0)] == rig.store.cancelled_calls("w2")
        assert [("a", 1, 2)] == rig.store.cancelled_calls("w1")
        assert [(1, 0, ((0, 2),), "w2"), (1, 2, ((2, 5),), "w1"), (2, -1, (), None)] == rig.shared("a")
        assert rig.finish(first, "w2")
        assert [] == rig.store.cancelled_calls("w2")

    def test_offered_and_withdrawn_in_one_append_is_not_offered(self, rig: Rig) -> None:
        rig.hold("a")
        rig.append("a", scheduled(1), shared=(replace_seq(call("a", 1), 2),), withdrawn=(1,))
        assert [] == rig.shared("a")


def replace_seq(shared: SharedCall, seq: int) -> SharedCall:
    return replace(shared, seq=seq)

"""What every store promises of limits: how much of a kind is carried out at once, by all workers together."""

from __future__ import annotations

from stent.history.operations import (
    Capabilities,
)
from stent.testing.conformance.rigging import FUNCTIONS, Rig, call, part


class TestLimits:
    def test_no_more_runs_than_the_limit(self, rig: Rig) -> None:
        rig.register(slow=2)
        for number in range(4):
            rig.start(f"{number}", "shop.pay", "activity", limit_key="slow")
        assert ["0", "1"] == rig.claim_ids()
        assert [] == rig.claim_ids()
        rig.end("0")
        assert ["2"] == rig.claim_ids()

    def test_a_waiting_run_keeps_its_place(self, rig: Rig) -> None:
        """The limit is held across a durable sleep; and to wake, no second place is needed."""
        rig.register(slow=1)
        rig.start("a", limit_key="slow")
        rig.start("b", limit_key="slow")
        assert ["a"] == rig.claim_ids()
        rig.release("a", rig.clock.now_us() + 10)
        assert [] == rig.claim_ids()
        rig.clock.advance(10)
        assert ["a"] == rig.claim_ids()

    def test_a_run_whose_holder_died_keeps_its_place(self, rig: Rig) -> None:
        rig.register("w1", slow=1)
        rig.register("w2")
        rig.start("a", limit_key="slow")
        rig.start("b", limit_key="slow")
        assert ["a"] == rig.claim_ids("w1")
        rig.reap("w1")
        assert ["a"] == rig.claim_ids("w2")
        assert [] == rig.claim_ids("w2")

    def test_no_more_calls_and_items_than_the_limit(self, rig: Rig) -> None:
        rig.register("w1", slow=3)
        rig.register("w2")
        rig.hold("a")
        rig.share("a", call("a", 1, limit_key="slow"), part("a", 2, (0, 9), limit_key="slow"))
        assert [1, 2] == [claimed.call.size for claimed in rig.claim_calls("w1")]
        assert [] == rig.claim_calls("w2")
        rig.finish(part("a", 2, (0, 2)), "w1", remaining=((1, 2),))
        assert [((2, 3),)] == [claimed.call.items for claimed in rig.claim_calls("w2")]

    def test_runs_and_calls_share_a_limit(self, rig: Rig) -> None:
        rig.register(slow=2)
        rig.hold("a")
        rig.start("b", "shop.pay", "activity", limit_key="slow")
        rig.share("a", part("a", 1, (0, 5), limit_key="slow"))
        assert ["b"] == rig.claim_ids()
        assert [1] == [claimed.call.size for claimed in rig.claim_calls()]

    def test_keys_do_not_meet(self, rig: Rig) -> None:
        rig.register(slow=1, slower=1)
        rig.hold("a")
        rig.share("a", *(call("a", number, limit_key=key) for number, key in ((1, "slow"), (2, "slow"), (3, "slower"))))
        assert [("a", 1, -1), ("a", 3, -1)] == rig.claim_places()

    def test_what_a_limit_blocks_takes_no_room(self, rig: Rig) -> None:
        """However much of it stands in front."""
        rig.register(slow=1)
        rig.hold("a")
        rig.share("a", *(call("a", number, limit_key="slow") for number in range(1, 9)), call("a", 9))
        assert [("a", 1, -1)] == rig.claim_places(slots=1)
        assert [("a", 9, -1)] == rig.claim_places(slots=4)

    def test_nor_do_runs(self, rig: Rig) -> None:
        rig.register(slow=1)
        for number in range(8):
            rig.start(f"{number}", "shop.pay", "activity", limit_key="slow")
        rig.start("z", "shop.pay", "activity")
        assert ["0"] == rig.claim_ids(slots=1)
        assert ["z"] == rig.claim_ids(slots=4)

    def test_what_one_worker_cannot_do_does_not_use_up_the_limit(self, rig: Rig) -> None:
        rig.register(slow=1)
        rig.hold("a")
        rig.share("a", call("a", 1, queue="other", limit_key="slow"), call("a", 2, limit_key="slow"))
        assert [("a", 2, -1)] == rig.claim_places(can=Capabilities(FUNCTIONS, queues=frozenset({"default"})))

    def test_a_key_without_a_number_is_no_limit(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", part("a", 1, (0, 9), limit_key="other"))
        assert [9] == [claimed.call.size for claimed in rig.claim_calls()]

    def test_the_newest_number_counts(self, rig: Rig) -> None:
        rig.register("w1", slow=3)
        rig.hold("a")
        rig.share("a", part("a", 1, (0, 9), limit_key="slow"))
        assert [3] == [claimed.call.size for claimed in rig.claim_calls()]
        rig.register("w2", slow=1)
        assert [] == rig.claim_calls()
        rig.register("w2", slow=5)
        assert [2] == [claimed.call.size for claimed in rig.claim_calls()]

    def test_a_run_by_name_needs_its_place_too(self, rig: Rig) -> None:
        rig.register(slow=1)
        rig.start("a", limit_key="slow")
        rig.start("b", limit_key="slow")
        assert ["a"] == rig.claim_ids(only=("a", "b"))
        assert ("pending", 1) == (rig.run("b").status, rig.store.queue_depth())
        rig.release("a")
        assert ["a"] == rig.claim_ids(only=("a", "b"))

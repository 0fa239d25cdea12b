"""What every store promises of runs: how they begin, are told things, and go on."""

from __future__ import annotations

from typing import Any

import pytest

from stent.history import wire
from stent.history.events import CallCompleted, CallScheduled, SignalReceived
from stent.history.operations import Append, Appended, Fenced, PutMessage, Release, Started, StartRun
from stent.history.records import Message
from stent.testing.conformance.rigging import ALL, Rig, call, cancel, completed, new_run, payload, scheduled, signal


class TestCommit:
    def test_one_outcome_for_each_operation_in_order(self, rig: Rig) -> None:
        outcomes = rig.store.commit([StartRun(new_run("a")), StartRun(new_run("a")), StartRun(new_run("b"))])
        assert [Started(True), Started(False), Started(True)] == outcomes

    def test_nothing_to_do_is_no_outcome(self, rig: Rig) -> None:
        assert [] == rig.store.commit([])

    def test_all_or_nothing(self, rig: Rig) -> None:
        rig.hold("a")
        before = everything(rig, "a", "b")
        good: list[Any] = [
            Append("a", 1, rig.rows("a", scheduled(1)), children=(new_run("b"),), shared=(call("a", 1),)),
            PutMessage(signal("a", "k")),
        ]
        what_no_store_can_apply: Any = object()
        with pytest.raises(KeyError):
            rig.store.commit([*good, what_no_store_can_apply])
        assert before == everything(rig, "a", "b")
        assert isinstance(rig.store.commit(good)[0], Appended)

    def test_a_refused_operation_leaves_its_neighbours(self, rig: Rig) -> None:
        rig.hold("a")
        refused = Append("a", 99, rig.rows("a", scheduled(1)))
        outcomes = rig.store.commit([StartRun(new_run("b")), refused, StartRun(new_run("c"))])
        assert [Started(True), Fenced(), Started(True)] == outcomes
        assert ["b", "c"] == [run_id for run_id in ("b", "c") if rig.store.get_run(run_id)]

    def test_an_operation_sees_those_before_it(self, rig: Rig) -> None:
        outcomes = rig.store.commit([StartRun(new_run("a")), PutMessage(signal("a", "k"))])
        assert "delivered" == outcomes[1].result  # type: ignore[union-attr]


class TestStarting:
    def test_a_run_begins_pending_with_its_first_event(self, rig: Rig) -> None:
        run = new_run("a", queue="q", priority=3, tags=("x", "y"), parent_run="p", parent_call=4, parent_item=5)
        rig.do(StartRun(run))
        found = rig.run("a")
        assert ("a", "shop.order", "orchestrator", "pending") == (
            found.run_id,
            found.function,
            found.role,
            found.status,
        )
        assert ("q", 3, ("x", "y"), "p", 4, 5) == (
            *(found.queue, found.priority, found.tags),
            *(found.parent_run, found.parent_call, found.parent_item),
        )
        assert (0, None, rig.clock.now_us(), None, None, None, 0) == (
            *(found.epoch, found.owner, found.created_at_us, found.started_at_us),
            *(found.finished_at_us, found.stall, found.crashes),
        )
        assert [run.started] == rig.store.read_rows("a")
        assert 1 == rig.store.queue_depth()

    def test_an_id_names_one_run(self, rig: Rig) -> None:
        assert rig.start("a")
        before = everything(rig, "a")
        assert not rig.start("a", "shop.pay", "activity", due_us=rig.clock.now_us() + 9)
        assert before == everything(rig, "a")

    def test_a_delayed_run_is_not_ready_before_its_time(self, rig: Rig) -> None:
        rig.register()
        rig.start("a", due_us=rig.clock.now_us() + 10)
        rig.clock.advance(9)
        assert [] == rig.claim_ids()
        rig.clock.advance(1)
        assert ["a"] == rig.claim_ids()

    def test_a_time_that_has_come_is_no_delay(self, rig: Rig) -> None:
        rig.register()
        rig.start("a", due_us=rig.clock.now_us())
        assert 1 == rig.store.queue_depth()

    def test_a_run_can_be_held_from_birth(self, rig: Rig) -> None:
        rig.register()
        rig.start("a", owner="w1")
        run = rig.run("a")
        assert ("running", 1, "w1", rig.clock.now_us()) == (run.status, run.epoch, run.owner, run.started_at_us)
        assert 0 == rig.store.queue_depth()
        assert Appended() == rig.append("a", scheduled(1), epoch=1)

    def test_who_has_no_lease_holds_nothing_from_birth(self, rig: Rig) -> None:
        """Else the run would be lost with its starter: there would be no lease to run out."""
        rig.start("a", owner="nobody")
        assert ("pending", 0, None) == (rig.run("a").status, rig.run("a").epoch, rig.run("a").owner)
        assert 1 == rig.store.queue_depth()

    def test_a_limited_run_is_not_held_from_birth(self, rig: Rig) -> None:
        rig.register(slow=0)
        rig.start("a", owner="w1", limit_key="slow")
        assert None is rig.run("a").owner
        assert [] == rig.claim_ids()


class TestMessages:
    def test_a_message_waits_for_the_holder(self, rig: Rig) -> None:
        rig.hold("a")
        message = Message("a", "k", SignalReceived(0, 0, "news", payload("[1]"), "k"))
        assert "delivered" == rig.put(message)
        (waiting,) = rig.store.read_inbox("w1")
        assert message == waiting.message

    def test_a_message_has_no_place_and_no_time(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(Message("a", "k", CallCompleted(7, 8, 1, payload())))
        (waiting,) = rig.store.read_inbox("w1")
        assert CallCompleted(0, 0, 1, payload()) == waiting.message.event

    def test_a_key_is_one_message(self, rig: Rig) -> None:
        rig.hold("a")
        assert "delivered" == rig.put(signal("a", "k", "first"))
        assert "duplicate" == rig.put(signal("a", "k", "second"))
        (waiting,) = rig.store.read_inbox("w1")
        assert "first" == waiting.message.event.name  # type: ignore[attr-defined]

    def test_keys_are_of_one_run(self, rig: Rig) -> None:
        rig.hold("a")
        rig.hold("b")
        assert ["delivered", "delivered"] == [rig.put(signal(run_id, "k")) for run_id in ("a", "b")]

    def test_messages_keep_their_order(self, rig: Rig) -> None:
        rig.hold("a")
        for key in ("z", "m", "a"):
            rig.put(signal("a", key))
        assert Appended() == rig.append("a", consumed=("m",))
        rig.put(signal("a", "b"))
        assert ["z", "a", "b"] == rig.keys("a")
        assert ["z", "a", "b"] == [row.message.key for row in rig.store.read_inbox("w1")]

    def test_an_unknown_run_gets_nothing(self, rig: Rig) -> None:
        assert "unknown" == rig.put(signal("nobody", "k"))
        assert rig.start("nobody")
        assert [] == rig.keys("nobody")

    @pytest.mark.parametrize("message", [signal("a", "k"), cancel("a")])
    def test_an_ended_run_takes_nothing_from_outside(self, rig: Rig, message: Message) -> None:
        rig.hold("a")
        rig.end("a")
        assert "ended" == rig.put(message)
        assert [] == rig.keys("a")

    def test_an_ended_run_still_takes_outcomes(self, rig: Rig) -> None:
        """What it left running is recorded, though it changes nothing any more."""
        rig.hold("a")
        rig.end("a")
        assert "delivered" == rig.put(Message("a", "k", CallCompleted(0, 0, 1, payload())))
        assert ["a"] == rig.claim_ids()

    def test_a_message_makes_an_unheld_run_ready(self, rig: Rig) -> None:
        rig.hold("a")
        rig.release("a")
        assert [] == rig.claim_ids()
        rig.put(signal("a", "k"))
        rig.put(signal("a", "l"))
        assert 1 == rig.store.queue_depth()
        assert ["a"] == rig.claim_ids()

    def test_a_message_wakes_a_sleeper_early(self, rig: Rig) -> None:
        rig.hold("a")
        rig.release("a", rig.clock.now_us() + 1_000)
        rig.put(signal("a", "k"))
        assert ["a"] == rig.claim_ids()
        rig.release("a", None)
        assert ["a"] == rig.claim_ids(), "the message is still there"

    def test_a_message_does_not_make_a_held_run_ready(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(signal("a", "k"))
        assert 0 == rig.store.queue_depth()

    def test_a_signal_does_not_shorten_the_delay_of_a_run_that_has_not_begun(self, rig: Rig) -> None:
        rig.register()
        rig.start("a", due_us=rig.clock.now_us() + 10)
        assert "delivered" == rig.put(signal("a", "k"))
        assert [] == rig.claim_ids()
        rig.clock.advance(10)
        assert ["a"] == rig.claim_ids()
        assert ["k"] == rig.keys("a")

    def test_a_cancel_does(self, rig: Rig) -> None:
        rig.register()
        rig.start("a", due_us=rig.clock.now_us() + 10)
        rig.put(cancel("a"))
        assert ["a"] == rig.claim_ids()


class TestAppending:
    def test_events_follow_each_other(self, rig: Rig) -> None:
        rig.hold("a")
        first = rig.rows("a", scheduled(1), scheduled(2))
        assert Appended() == rig.do(Append("a", 1, first))
        second = rig.rows("a", scheduled(3))
        assert Appended() == rig.do(Append("a", 1, second))
        assert [*first, *second] == rig.store.read_rows("a", after_seq=1)

    @pytest.mark.parametrize("count", [1, 8, 9, 40])
    def test_an_append_of_any_length(self, rig: Rig, count: int) -> None:
        rig.hold("a")
        rows = rig.rows("a", *(scheduled(n) for n in range(1, count + 1)))
        assert Appended() == rig.do(Append("a", 1, rows))
        assert list(rows) == rig.store.read_rows("a", after_seq=1)

    @pytest.mark.parametrize("count", [0, 1, 9])
    def test_another_epoch_is_fenced(self, rig: Rig, count: int) -> None:
        rig.hold("a")
        events = [scheduled(n) for n in range(1, count + 1)]
        for epoch in (0, 2):
            assert Fenced() == rig.append("a", *events, epoch=epoch, status="failed")
            assert Fenced() == rig.append("a", *events, epoch=epoch), "a plain append may go another way"
        assert ([1], "running") == (rig.seqs("a"), rig.run("a").status)

    @pytest.mark.parametrize("count", [1, 9])
    @pytest.mark.parametrize("gap", [-1, 1])
    def test_another_seq_is_fenced(self, rig: Rig, count: int, gap: int) -> None:
        rig.hold("a")
        rig.append("a", scheduled(1), scheduled(2))
        rows = [scheduled(n) for n in range(3, 3 + count)]
        encoded = wire.encode_all(
            [type(e)(4 + gap + n, 0, *fields(e)) for n, e in enumerate(rows)], "a", 1, b"", b"other"
        )
        assert Fenced() == rig.do(Append("a", 1, encoded))
        assert [1, 2, 3] == rig.seqs("a")

    def test_a_run_that_is_not_there_is_fenced(self, rig: Rig) -> None:
        rig.start("a")
        rows = rig.rows("a", scheduled(1), epoch=0)
        assert Fenced() == rig.do(Append("nobody", 0, rows))

    @pytest.mark.parametrize("count", [1, 9])
    def test_the_same_append_again_is_appended_once(self, rig: Rig, count: int) -> None:
        rig.hold("a")
        rows = rig.rows("a", *(scheduled(n) for n in range(1, count + 1)))
        append = Append("a", 1, rows, messages=(signal("b", "k"),), children=(new_run("b"),), shared=(call("a", 1),))
        outcomes = [rig.do(append), rig.do(append)]
        assert [Appended(), Appended()] == outcomes
        assert list(range(1, count + 2)) == rig.seqs("a")
        assert (["k"], 1) == (rig.keys("b"), len(rig.shared("a")))

    def test_the_same_append_again_even_after_others(self, rig: Rig) -> None:
        rig.hold("a")
        append = Append("a", 1, rig.rows("a", scheduled(1)), release=Release(now=True))
        rig.do(append)
        assert ["a"] == rig.claim_ids()
        rig.append("a", scheduled(2))
        assert Appended() == rig.do(append)
        assert [1, 2, 3] == rig.seqs("a")
        assert "w1" == rig.run("a").owner, "nothing of it is done again"

    def test_another_append_in_the_same_place_is_fenced(self, rig: Rig) -> None:
        rig.hold("a")
        mine, other = rig.rows("a", scheduled(1)), rig.rows("a", scheduled(1))
        assert [Appended(), Fenced()] == [rig.do(Append("a", 1, rows)) for rows in (mine, other)]
        assert list(mine) == rig.store.read_rows("a", after_seq=1)

    def test_a_fenced_append_does_nothing_at_all(self, rig: Rig) -> None:
        rig.hold("a")
        rig.hold("b")
        rig.put(signal("a", "k"))
        rig.share("a", call("a", 1))
        before = everything(rig, "a", "b", "c")
        outcome = rig.append(
            "a",
            completed(),
            epoch=2,
            consumed=("k",),
            children=(new_run("c"),),
            messages=(signal("b", "m"),),
            shared=(call("a", 2),),
            withdrawn=(1,),
            status="completed",
            at_us=5,
            release=Release(now=True),
        )
        assert Fenced() == outcome
        assert before == everything(rig, "a", "b", "c")

    def test_all_that_follows_from_an_append(self, rig: Rig) -> None:
        rig.hold("a")
        rig.hold("b")
        for key in ("k", "l"):
            rig.put(signal("a", key))
        rig.append(
            "a",
            scheduled(1),
            consumed=("k",),
            children=(new_run("c"),),
            messages=(signal("b", "m"),),
            shared=(call("a", 1),),
        )
        assert (["l"], ["m"]) == (rig.keys("a"), rig.keys("b"))
        assert "pending" == rig.run("c").status
        assert [(1, -1, (), None)] == rig.shared("a")

    def test_a_child_that_is_there_stays_as_it_is(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("b", "shop.ship")
        rig.append("a", scheduled(1), children=(new_run("b"),))
        assert "shop.ship" == rig.run("b").function

    def test_a_message_to_nobody_is_no_reason_to_refuse(self, rig: Rig) -> None:
        rig.hold("a")
        assert Appended() == rig.append("a", scheduled(1), messages=(signal("nobody", "k"),))

    def test_the_end_of_a_run(self, rig: Rig) -> None:
        rig.hold("a")
        rig.append("a", completed(), status="completed", at_us=77, release=Release())
        run = rig.run("a")
        assert ("completed", 77, None, True) == (run.status, run.finished_at_us, run.owner, run.is_ended)
        assert 0 == rig.store.queue_depth()

    def test_a_run_ends_once(self, rig: Rig) -> None:
        rig.hold("a")
        rig.append("a", completed(), status="completed", at_us=77)
        rig.append("a", CallCompleted(0, 0, 1, payload()), status="completed", at_us=99)
        assert 77 == rig.run("a").finished_at_us

    def test_a_stall_is_kept_until_the_run_goes_on(self, rig: Rig) -> None:
        rig.hold("a")
        rig.append("a", status="stalled", stall="line 7 is new", at_us=5)
        assert ("stalled", "line 7 is new", None) == stall_of(rig, "a")
        rig.append("a", status="running", at_us=6)
        assert ("running", None, None) == stall_of(rig, "a")

    @pytest.mark.parametrize("size", [0, 1024, 1025, 300_000])
    def test_payloads_of_any_size(self, rig: Rig, size: int) -> None:
        rig.hold("a", arguments=payload("x" * size))
        rows = rig.rows("a", CallScheduled(0, 0, 1, "shop.pay", payload("y" * size), "activity"), scheduled(2))
        rig.append("a")
        rig.do(Append("a", 1, rows))
        (loaded,) = rig.store.load_runs(["a"])
        assert rows == loaded.rows[1:]
        assert payload("x" * size) == loaded.rows[0].payload
        wire.decode_history(loaded.rows)

    def test_a_large_message(self, rig: Rig) -> None:
        rig.hold("a")
        message = Message("a", "k", CallCompleted(0, 0, 1, payload("z" * 100_000)))
        rig.put(message)
        assert message == rig.store.read_inbox("w1")[0].message


class TestReleasing:
    def test_a_released_run_waits_for_nobody(self, rig: Rig) -> None:
        rig.hold("a")
        rig.release("a")
        rig.clock.advance(10**12)
        assert (None, 0) == (rig.run("a").owner, rig.store.queue_depth())
        assert [] == rig.claim_ids()

    def test_now_is_at_once(self, rig: Rig) -> None:
        rig.hold("a")
        rig.release("a", now=True)
        assert ["a"] == rig.claim_ids()

    def test_a_sleeper_becomes_due_exactly_at_its_time(self, rig: Rig) -> None:
        rig.hold("a")
        rig.release("a", rig.clock.now_us() + 10)
        rig.clock.advance(9)
        assert [] == rig.claim_ids()
        rig.clock.advance(1)
        assert ["a"] == rig.claim_ids()
        rig.release("a")
        assert [] == rig.claim_ids(), "it wakes once"

    def test_messages_that_wait_already_are_not_missed(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(signal("a", "k"))
        rig.release("a", rig.clock.now_us() + 1_000)
        assert ["a"] == rig.claim_ids()

    def test_messages_that_this_append_consumes_do_not_wait(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(signal("a", "k"))
        rig.append("a", scheduled(1), consumed=("k",), release=Release())
        assert [] == rig.claim_ids()

    def test_a_stalled_run_is_not_woken_by_what_waits_already(self, rig: Rig) -> None:
        """It would stall again at once, for ever."""
        rig.hold("a")
        rig.put(signal("a", "k"))
        rig.append("a", status="stalled", stall="why", release=Release())
        assert [] == rig.claim_ids()
        assert ["k"] == rig.keys("a")

    def test_a_stalled_run_gets_one_try_for_a_new_message(self, rig: Rig) -> None:
        rig.hold("a")
        rig.append("a", status="stalled", stall="why", release=Release())
        rig.put(cancel("a"))
        assert ["a"] == rig.claim_ids()

    def test_the_latest_time_counts(self, rig: Rig) -> None:
        rig.hold("a")
        rig.release("a", rig.clock.now_us() + 10)
        rig.release("a", rig.clock.now_us() + 30)
        rig.clock.advance(29)
        assert [] == rig.claim_ids()
        rig.clock.advance(1)
        assert ["a"] == rig.claim_ids()


def fields(event: CallScheduled) -> tuple[Any, ...]:
    return (event.call, event.function, event.arguments, event.role)


def stall_of(rig: Rig, run_id: str) -> tuple[str, str | None, int | None]:
    run = rig.run(run_id)
    return run.status, run.stall, run.finished_at_us


def everything(rig: Rig, *run_ids: str) -> object:
    """All that can be seen of some runs."""
    store = rig.store
    return store.load_runs(run_ids), store.queue_depth(), store.glance("w1", ALL), store.count_unfinished()

"""What every store promises of the end of a run: no cancel is passed over, no signal lost, no key taken twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stent.history.events import CallCompleted, CancelRequested, Event, RunCancelled, RunContinuedAsNew, SignalReceived
from stent.history.operations import Append, Appended, Fenced, Release, Unread
from stent.history.records import Message
from stent.testing.conformance.rigging import Rig, call, cancel, completed, new_run, payload, scheduled, signal
from stent.testing.conformance.runs import everything


def continued() -> RunContinuedAsNew:
    return RunContinuedAsNew(0, 0, "a~2", payload("[]"))


def once(key: str, put: str | None = None) -> Message:
    return Message("a", key, SignalReceived(0, 0, "news", payload(), key, put), is_once=True)


class TestUnreadCancels:
    @pytest.mark.parametrize("end", [completed(), continued()], ids=["completed", "continued"])
    @pytest.mark.parametrize("count", [0, 9])
    def test_a_run_is_not_completed_over_a_cancel_that_waits(self, rig: Rig, end: Event, count: int) -> None:
        """Whoever sent it was told that the run had not ended. Of a refused append nothing stays."""
        rig.hold("a")
        rig.hold("b")
        rig.put(signal("a", "k"))
        assert "delivered" == rig.put(cancel("a"))
        before = everything(rig, "a", "b", "a~2")
        outcome = rig.append(
            "a",
            *(scheduled(number) for number in range(1, count + 1)),
            end,
            consumed=("k",),
            children=(new_run("a~2"),),
            messages=(signal("b", "m"),),
            shared=(call("a", 2),),
            status="completed",
            release=Release(),
            next_run="a~2",
        )
        assert Unread() == outcome
        assert before == everything(rig, "a", "b", "a~2")

    def test_any_cancel_counts(self, rig: Rig) -> None:
        """A parent's has another key than a client's."""
        rig.hold("a")
        rig.put(cancel("a"))
        rig.put(cancel("a", "cancel-7"))
        assert Unread() == rig.append("a", completed(), status="completed", consumed=("cancel",))

    def test_one_that_the_append_consumes_does_not(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(cancel("a"))
        assert Appended() == rig.append("a", completed(), status="completed", consumed=("cancel",))

    def test_nor_do_other_messages_or_those_of_other_runs(self, rig: Rig) -> None:
        for run_id in ("a", "b"):
            rig.hold(run_id)
        rig.put(signal("a", "k"))
        rig.put(Message("a", "l", CallCompleted(0, 0, 1, payload())))
        rig.put(cancel("b"))
        assert Appended() == rig.append("a", completed(), status="completed")

    @pytest.mark.parametrize("status", [None, "failed", "cancelled", "timed_out", "stalled"])
    def test_other_ends_are_no_promise_broken(self, rig: Rig, status: str | None) -> None:
        rig.hold("a")
        rig.put(cancel("a"))
        assert Appended() == rig.append("a", scheduled(1), status=status)

    @pytest.mark.parametrize("count", [0, 1, 9])
    def test_who_is_fenced_is_told_that_and_not_to_read(self, rig: Rig, count: int) -> None:
        rig.hold("a")
        rig.put(cancel("a"))
        events = [scheduled(number) for number in range(1, count + 1)]
        assert Fenced() == rig.append("a", *events, epoch=7, status="completed")

    def test_after_the_cancel_was_read_the_run_goes_on_under_the_same_lease(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(cancel("a"))
        refused = Append("a", 1, rig.rows("a", completed()), status="completed", release=Release())
        assert Unread() == rig.do(refused)
        assert Appended() == rig.append("a", cancel("a").event, consumed=("cancel",), epoch=1)

    def test_in_one_commit_the_order_decides(self, rig: Rig) -> None:
        for run_id in ("a", "b"):
            rig.hold(run_id)
        ends = [Append(run_id, 1, rig.rows(run_id, completed()), status="completed") for run_id in ("a", "b")]
        before = Append("b", 1, messages=(cancel("a"),))
        assert [Appended(), Unread()] == rig.store.commit([before, ends[0]])
        assert "running" == rig.run("a").status
        after = Append("a", 1, messages=(cancel("b"),))
        assert [Appended(), Appended()] == rig.store.commit([ends[1], after])
        assert "completed" == rig.run("b").status


class TestKeysForLife:
    def test_a_key_that_became_an_event_is_still_taken(self, rig: Rig) -> None:
        rig.hold("a")
        assert ["delivered", "duplicate"] == [rig.put(once("k")), rig.put(once("k"))]
        rig.append("a", once("k").event, consumed=("k",))
        assert ["duplicate", "delivered"] == [rig.put(once("k")), rig.put(once("l"))]
        assert ["l"] == rig.keys("a")

    def test_only_for_those_who_ask(self, rig: Rig) -> None:
        """Nobody else pays for the look into the history."""
        rig.hold("a")
        rig.append("a", signal("a", "k").event)
        assert "delivered" == rig.put(signal("a", "k"))

    def test_the_end_of_the_run_does_not_free_it(self, rig: Rig) -> None:
        """A sender that was not answered, and asks again, learns that its signal has come."""
        rig.hold("a")
        rig.append("a", once("k").event, completed(), status="completed")
        assert ["duplicate", "ended"] == [rig.put(once("k")), rig.put(once("l"))]

    def test_the_keys_of_others_are_free(self, rig: Rig) -> None:
        for run_id in ("a", "b"):
            rig.hold(run_id)
        rig.append("b", signal("b", "k").event)
        rig.append("a", SignalReceived(0, 0, "k", payload()), scheduled(1, "k"))
        assert "delivered" == rig.put(once("k"))

    @pytest.mark.parametrize("has_ended", [False, True])
    def test_the_same_put_again_is_no_second_one(self, rig: Rig, has_ended: bool) -> None:
        """Its answer was lost: it is told what it would have been told. Wherever its message is by then."""
        rig.hold("a")
        for _ in range(2):
            assert ["delivered", "duplicate"] == [rig.put(once("k", "first")), rig.put(once("k", "second"))]
            assert ["k"] == rig.keys("a")
        ends = (completed(),) if has_ended else ()
        rig.append("a", once("k", "first").event, *ends, consumed=("k",), status="completed" if has_ended else None)
        assert ["delivered", "duplicate"] == [rig.put(once("k", "first")), rig.put(once("k", "second"))]
        assert [] == rig.keys("a")

    def test_a_put_that_the_run_read_before_its_end_did_not_come_too_late(self, rig: Rig) -> None:
        """Of a signal without a key of its sender's, and of a cancel: there is no look into the history before."""
        rig.hold("a")
        asked = Message("a", "cancel", CancelRequested(0, 0, "enough", put="mine"))
        assert ["delivered", "delivered"] == [rig.put(asked), rig.put(asked)]
        assert "duplicate" == rig.put(replace(asked, event=CancelRequested(0, 0, "enough", put="another")))
        rig.put(signal("a", "k"))
        events = (signal("a", "k").event, asked.event, RunCancelled(0, 0))
        rig.append("a", *events, consumed=("k", "cancel"), status="cancelled")
        assert ["delivered", "duplicate"] == [rig.put(asked), rig.put(signal("a", "k"))]
        assert ["ended", "ended", "ended"] == [
            rig.put(signal("a", "l")),
            rig.put(cancel("a")),
            rig.put(replace(asked, event=CancelRequested(0, 0, "enough", put="another"))),
        ]

    def test_one_that_nobody_knows(self, rig: Rig) -> None:
        assert "unknown" == rig.put(once("k"))

    def test_the_wish_is_not_kept(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(once("k"))
        (waiting,) = rig.store.read_inbox("w1")
        assert not waiting.message.is_once


class TestGoingOnAsNew:
    def go_on(self, rig: Rig, *messages: Message, consumed: tuple[str, ...] = ()) -> None:
        outcome = rig.append(
            "a",
            continued(),
            consumed=consumed,
            children=(new_run("a~2"),),
            messages=messages,
            status="completed",
            release=Release(),
            next_run="a~2",
        )
        assert Appended() == outcome

    def test_signals_that_wait_go_on_behind_those_that_were_handed_on(self, rig: Rig) -> None:
        rig.hold("a")
        for key in ("z", "m", "b"):
            rig.put(signal("a", key))
        self.go_on(rig, signal("a~2", "x"), signal("a~2", "c"), consumed=("m",))
        assert ([], ["x", "c", "z", "b"]) == (rig.keys("a"), rig.keys("a~2"))
        rig.put(signal("a~2", "a"))
        assert ["a~2"] == rig.claim_ids(), "once, and only the run that goes on"
        assert ["x", "c", "z", "b", "a"] == [row.message.key for row in rig.store.read_inbox("w1")]
        (loaded,) = rig.store.load_runs(["a~2"])
        assert [signal("a~2", key) for key in ("x", "c", "z", "b", "a")] == [row.message for row in loaded.inbox]

    def test_a_large_signal_goes_on_whole(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(Message("a", "k", SignalReceived(0, 0, "news", payload("x" * 100_000), "k")))
        self.go_on(rig)
        (loaded,) = rig.store.load_runs(["a~2"])
        expected = Message("a~2", "k", SignalReceived(0, 0, "news", payload("x" * 100_000), "k"))
        assert [expected] == [row.message for row in loaded.inbox]

    def test_other_messages_stay_with_the_run_they_answer(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(Message("a", "answer-1", CallCompleted(0, 0, 1, payload())))
        self.go_on(rig)
        assert (["answer-1"], []) == (rig.keys("a"), rig.keys("a~2"))

    def test_signals_of_other_runs_stay(self, rig: Rig) -> None:
        for run_id in ("a", "b"):
            rig.hold(run_id)
        rig.put(signal("b", "k"))
        self.go_on(rig)
        assert (["k"], []) == (rig.keys("b"), rig.keys("a~2"))

    def test_a_key_is_still_one_signal_in_the_next_run(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(once("k"))
        self.go_on(rig)
        again = Message("a~2", "k", once("k").event, is_once=True)
        assert ["ended", "duplicate"] == [rig.put(once("k")), rig.put(again)]

    def test_the_same_append_again_changes_nothing(self, rig: Rig) -> None:
        rig.hold("a")
        rig.put(signal("a", "k"))
        append = Append(
            "a",
            1,
            rig.rows("a", continued()),
            children=(new_run("a~2"),),
            messages=(signal("a~2", "x"),),
            status="completed",
            next_run="a~2",
        )
        assert [Appended(), Appended()] == [rig.do(append), rig.do(append)]
        assert ["x", "k"] == rig.keys("a~2")

"""What every store promises to who starts and stops runs: a call has a run of its own or is told, a chain is one."""

from __future__ import annotations

from typing import Any

import pytest

from stent.codec import Payload, TypeRegistry, decode_exception, split
from stent.errors import RunConflictError
from stent.history.events import BatchItemsCompleted, CallFailed, RunContinuedAsNew
from stent.history.operations import Append, Appended, Release
from stent.history.records import Message, NewRun
from stent.testing.conformance.rigging import Rig, cancel, completed, new_run, payload, scheduled, signal


class TestTakenIds:
    """A call starts its own run, or is told that it cannot."""

    def child(self, run_id: str = "a.1", call: int = 1, item: int | None = None, **more: Any) -> NewRun:
        return new_run(run_id, parent_run="a", parent_call=call, parent_item=item, **more)

    def told(self, rig: Rig) -> list[Message]:
        (loaded,) = rig.store.load_runs(["a"])
        return [row.message for row in loaded.inbox]

    def error_of(self, payload: Payload) -> BaseException:
        return decode_exception(payload, TypeRegistry())

    @pytest.mark.parametrize("size", [2, 5_000])
    @pytest.mark.parametrize("count", [0, 9])
    def test_an_id_of_another_run_is_an_error_of_the_call(self, rig: Rig, size: int, count: int) -> None:
        """Also if that run does the same: it was started for somebody else, and will not answer this call."""
        rig.hold("a")
        rig.start("a.1", arguments=payload(f'["{"x" * size}"]'), tags=("mine",))
        before = rig.store.load_runs(["a.1"]), rig.store.queue_depth()
        events = [scheduled(number) for number in range(1, 2 + count)]
        child = self.child(arguments=payload(f'["{"x" * size}"]'), owner="w1")
        assert Appended(taken=(0,)) == rig.append("a", *events, children=(child,))
        assert before == (rig.store.load_runs(["a.1"]), rig.store.queue_depth())
        (message,) = self.told(rig)
        assert isinstance(message.event, CallFailed)
        error = self.error_of(message.event.error)
        assert isinstance(error, RunConflictError)
        assert ("STN407", "a.1", "a", 1) == (error.code, error.run_id, error.parent_run, error.call)
        assert "the id 'a.1' is taken by another run: this call of shop.order started none" == error.message
        assert error.fix.startswith("choose another id")

    def test_an_item_of_a_map_is_told_as_an_item(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("a.1.0")
        children = tuple(self.child(f"a.1.{item}", item=item) for item in range(2))
        assert Appended(taken=(0,)) == rig.append("a", scheduled(1), children=children)
        (message,) = self.told(rig)
        assert isinstance(message.event, BatchItemsCompleted)
        assert (1, ((0, 1),), (0,)) == (message.event.call, message.event.items, message.event.failed)
        assert RunConflictError is type(self.error_of(split(message.event.results)[0]))
        assert rig.run("a.1.1").parent_run == "a"

    @pytest.mark.parametrize("is_large", [False, True])
    def test_the_run_that_this_call_has_started_is_its_child(self, rig: Rig, is_large: bool) -> None:
        rig.hold("a")
        arguments = payload("x" * 5_000) if is_large else payload()
        assert Appended() == rig.append("a", scheduled(1), children=(self.child(arguments=arguments),))
        assert Appended(taken=(0,)) == rig.append("a", scheduled(2), children=(self.child(arguments=arguments),))
        assert [] == self.told(rig)

    @pytest.mark.parametrize(
        "other",
        [{"call": 2}, {"item": 3}, {"function": "shop.pay"}, {"arguments": payload("[7]")}],
        ids=["call", "item", "function", "arguments"],
    )
    def test_another_call_of_the_same_run_is_another_call(self, rig: Rig, other: dict[str, Any]) -> None:
        rig.hold("a")
        rig.append("a", scheduled(1), children=(self.child(),))
        assert Appended(taken=(0,)) == rig.append("a", scheduled(2), children=(self.child(**other),))
        assert 1 == len(self.told(rig))

    def test_of_two_in_one_append_the_first_is_started(self, rig: Rig) -> None:
        rig.hold("a")
        children = (self.child("x", 1), self.child("y", 2), self.child("x", 3))
        assert Appended(taken=(2,)) == rig.append("a", scheduled(1), children=children)
        assert [3] == [message.event.call for message in self.told(rig)]  # type: ignore[attr-defined]  # an answer
        assert 1 == rig.run("x").parent_call

    def test_a_repeated_append_knows_what_it_started(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("y")
        children = (self.child("x", 1), self.child("y", 2))
        append = Append("a", 1, rig.rows("a", scheduled(1)), children=children)
        assert [Appended(taken=(1,))] * 2 == [rig.do(append), rig.do(append)]
        assert 1 == len(self.told(rig))

    def test_in_one_commit_the_order_decides(self, rig: Rig) -> None:
        for run_id in ("a", "b"):
            rig.hold(run_id)
        children = {run_id: new_run("x", parent_run=run_id, parent_call=1) for run_id in ("a", "b")}
        appends = [Append(run_id, 1, rig.rows(run_id, scheduled(1)), children=(children[run_id],)) for run_id in "ab"]
        assert [Appended(), Appended(taken=(0,))] == rig.store.commit(appends)
        assert ([], 1) == (self.told(rig), len(rig.keys("b")))

    def test_who_waits_without_a_holder_is_woken(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("a.1")
        rig.append("a", scheduled(1), children=(self.child(),), release=Release())
        assert "a" in rig.claim_ids()

    def test_nobody_is_told_for_a_run_that_nobody_waits_for(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("a~2")
        assert Appended(taken=(0,)) == rig.append(
            "a", _continued("a~2"), children=(new_run("a~2"),), status="completed"
        )
        assert [] == self.told(rig)


class TestLateCancels:
    """A cancel that the parent of a chain sends is for the chain."""

    def chain(self, rig: Rig, length: int) -> None:
        run_id = "a"
        for number in range(2, length + 2):
            next_run = f"a~{number}"
            rig.hold(run_id)
            rig.append(
                run_id,
                _continued(next_run),
                children=(new_run(next_run),),
                status="completed",
                release=Release(),
                next_run=next_run,
            )
            run_id = next_run

    @pytest.mark.parametrize("length", [1, 2, 4])
    def test_they_reach_the_last_run(self, rig: Rig, length: int) -> None:
        rig.hold("p")
        self.chain(rig, length)
        last = f"a~{length + 1}"
        outcome = rig.append("p", scheduled(1), messages=(signal("p", "x"), cancel("a", "cancel-1")))
        assert Appended(led_on=((1, last),)) == outcome
        assert {last: ["cancel-1"]} == {
            run_id: rig.keys(run_id) for run_id in ("a", *(f"a~{n}" for n in range(2, length + 2))) if rig.keys(run_id)
        }
        assert last in rig.claim_ids(), "it is woken, though nobody has begun it"

    def test_one_for_a_run_that_has_not_ended_stays(self, rig: Rig) -> None:
        for run_id in ("a", "p"):
            rig.hold(run_id)
        assert Appended() == rig.append("p", scheduled(1), messages=(cancel("a", "cancel-1"),))
        assert ["cancel-1"] == rig.keys("a")

    def test_where_the_chain_has_ended_nobody_gets_it(self, rig: Rig) -> None:
        rig.hold("p")
        self.chain(rig, 1)
        rig.hold("a~2")
        rig.append("a~2", completed(), status="completed", release=Release())
        outcome = rig.append("p", scheduled(1), messages=(cancel("a", "cancel-1"), signal("a", "k")))
        assert Appended() == outcome
        assert [[], []] == [rig.keys("a"), rig.keys("a~2")]


def _continued(next_run: str) -> RunContinuedAsNew:
    return RunContinuedAsNew(0, 0, next_run, payload("[]"))

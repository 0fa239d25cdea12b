"""What every store promises of questions, and of noticing what others commit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stent.history import wire
from stent.history.events import CallCompleted, CallScheduled, RunContinuedAsNew, RunFailed
from stent.history.operations import Appended, Capabilities, Release, StartRun
from stent.history.records import Glance, RunFilter
from stent.testing.conformance.rigging import (
    ALL,
    FUNCTIONS,
    LEASE_US,
    Rig,
    call,
    completed,
    new_run,
    part,
    payload,
    scheduled,
    signal,
)

FITTING = [
    ALL,
    Capabilities(FUNCTIONS, queues=frozenset({"default", "fast"})),
    Capabilities(FUNCTIONS, tags=frozenset({"cpu", "us"})),
    Capabilities(frozenset({"shop.order"}), frozenset({"fast"}), frozenset({"gpu"})),
]
"""Workers that take a `shop.order` in the queue "fast" with the tags "gpu" and "us"."""
NOT_FITTING = [
    Capabilities(frozenset({"shop.pay"})),
    Capabilities(FUNCTIONS, queues=frozenset({"default"})),
    Capabilities(FUNCTIONS, queues=frozenset()),
    Capabilities(FUNCTIONS, tags=frozenset({"g", "GPU"})),
    Capabilities(FUNCTIONS, tags=frozenset()),
    Capabilities(FUNCTIONS, frozenset({"fast"}), frozenset({"cpu"})),
]


class TestListing:
    def start_some(self, rig: Rig) -> None:
        for run_id, more in (
            ("a1", {"tags": ("red", "50%"), "queue": "q"}),
            ("a2", {"tags": ("Red", "x_y"), "parent_run": "a1", "parent_call": 1}),
            ("b1", {"tags": ("a, b", 'say "red"'), "function": "shop.pay", "role": "activity"}),
            ("b2", {}),
        ):
            rig.do(StartRun(new_run(run_id, **more)))
            rig.clock.advance(10)

    def ids(self, rig: Rig, **wanted: Any) -> list[str]:
        return [run.run_id for run in rig.store.list_runs(RunFilter(**wanted))]

    def test_the_newest_first(self, rig: Rig) -> None:
        self.start_some(rig)
        assert ["b2", "b1", "a2", "a1"] == self.ids(rig)

    def test_a_whole_row(self, rig: Rig) -> None:
        self.start_some(rig)
        assert [rig.run(run_id) for run_id in ("b2", "b1", "a2", "a1")] == rig.store.list_runs(RunFilter())

    def test_each_field_narrows(self, rig: Rig) -> None:
        self.start_some(rig)
        rig.hold("c")
        rig.end("c")
        assert ["c"] == self.ids(rig, statuses=("completed", "failed"))
        assert ["b1"] == self.ids(rig, function="shop.pay")
        assert ["a2"] == self.ids(rig, parent_run="a1")
        assert ["c", "b2", "b1", "a1"] == self.ids(rig, roots_only=True)
        assert ["a1"] == self.ids(rig, queue="q")
        assert ["c", "b2", "b1", "a2"] == self.ids(rig, queue="default")
        assert ["a2", "a1"] == self.ids(rig, id_prefix="a")
        assert [] == self.ids(rig, id_prefix="a", function="shop.pay")

    @pytest.mark.parametrize("prefix", ["%", "_", "a%", "_1", "A", "a1%", "'"])
    def test_a_prefix_is_text_not_a_pattern(self, rig: Rig, prefix: str) -> None:
        self.start_some(rig)
        assert ([], []) == (self.ids(rig, id_prefix=prefix), rig.store.find_runs(prefix, 9))

    @pytest.mark.parametrize(
        ("tag", "expected"),
        [
            ("red", ["a1"]),
            ("Red", ["a2"]),
            ("50%", ["a1"]),
            ("x_y", ["a2"]),
            ("a, b", ["b1"]),
            ('say "red"', ["b1"]),
            *((tag, []) for tag in ("%", "_ed", "re", "5%", "xay", ", ", '", "', '"', "\\", "b")),
        ],
    )
    def test_a_tag_is_found_whole_and_exactly(self, rig: Rig, tag: str, expected: list[str]) -> None:
        self.start_some(rig)
        assert expected == self.ids(rig, tags=(tag,))

    def test_all_of_several_tags(self, rig: Rig) -> None:
        self.start_some(rig)
        assert ["a1"] == self.ids(rig, tags=("50%", "red"))
        assert [] == self.ids(rig, tags=("red", "Red"))

    def test_from_and_until(self, rig: Rig) -> None:
        begin_us = rig.clock.now_us()
        self.start_some(rig)
        assert ["b1", "a2"] == self.ids(rig, created_after_us=begin_us + 10, created_before_us=begin_us + 30)

    def test_pages_give_each_run_once(self, rig: Rig) -> None:
        """Also when several were created in the same microsecond, and when new ones come meanwhile."""
        for number in range(7):
            rig.start(f"r{number}")
            rig.clock.advance(number % 2)
        pages: list[str] = []
        before = None
        while page := rig.store.list_runs(RunFilter(before=before, limit=2)):
            pages += [run.run_id for run in page]
            before = (page[-1].created_at_us, page[-1].run_id)
            rig.start(f"new{len(pages)}")
        assert ["r6", "r5", "r4", "r3", "r2", "r1", "r0"] == pages

    def test_ids_by_their_beginning(self, rig: Rig) -> None:
        self.start_some(rig)
        assert ["a1", "a2"] == rig.store.find_runs("a", 9)
        assert ["a1", "a2", "b1"] == rig.store.find_runs("", 3)
        assert [] == rig.store.find_runs("c", 9)


class TestReadingHistories:
    def test_a_part_of_a_history(self, rig: Rig) -> None:
        rig.hold("a")
        rig.append("a", *(scheduled(number) for number in range(1, 6)))
        rows = rig.store.read_rows("a")
        assert [1, 2, 3, 4, 5, 6] == [row.seq for row in rows]
        assert rows[2:4] == rig.store.read_rows("a", after_seq=2, limit=2)
        assert [] == rig.store.read_rows("a", after_seq=6)
        assert rows[-1] == rig.store.last_row("a")

    def test_a_long_history_with_small_and_large_payloads_comes_back_as_it_was_written(self, rig: Rig) -> None:
        """Stores read a history piece by piece, and large payloads apart from it."""
        rig.hold("a")
        texts = ["x" * 3_000 if number in (3, 600, 601, 1_150) else str(number) for number in range(1, 1_201)]
        calls = [replace(scheduled(n), arguments=payload(text)) for n, text in enumerate(texts, 1)]
        assert Appended() == rig.append("a", *calls)
        rows = rig.store.read_rows("a")
        assert rows[599:602] == rig.store.read_rows("a", after_seq=599, limit=3)
        read = wire.decode_history(rows)
        assert [payload(text) for text in texts] == [each.arguments for each in read if isinstance(each, CallScheduled)]
        assert list(range(1, 1_202)) == [event.seq for event in read]

    def test_what_happened_in_many_runs_without_their_data(self, rig: Rig) -> None:
        """Stores ask for many runs in portions, and for those of a portion at once."""
        run_ids = [f"r{number}" for number in range(1_200)]
        for run_id in ("b", "a", "c"):
            rig.hold(run_id)
        rig.append("a", scheduled(1), CallCompleted(0, 0, 1, payload("x" * 2_000)))
        rig.append("b", scheduled(7, "shop.ship"))
        found = rig.store.read_outlines(["b", *run_ids, "a", "x"])
        assert {"a", "b"} == set(found)
        for run_id, outlines in found.items():
            rows = rig.store.read_rows(run_id)
            assert [(run_id, row.code, row.version, row.call, row.body) for row in rows] == outlines
        assert {} == rig.store.read_outlines([])

    def test_a_run_that_is_not_there(self, rig: Rig) -> None:
        store = rig.store
        assert (None, [], None, None, []) == (
            *(store.get_run("x"), store.read_rows("x"), store.last_row("x")),
            *(store.terminal_row("x"), store.load_runs(["x"])),
        )

    @pytest.mark.parametrize("end", [RunFailed(0, 0, payload()), RunContinuedAsNew(0, 0, "b", payload()), completed()])
    def test_the_end_of_a_history_is_found_behind_what_came_later(self, rig: Rig, end: Any) -> None:
        rig.hold("a")
        rig.append("a", scheduled(1))
        assert None is rig.store.terminal_row("a")
        rig.append("a", end, CallCompleted(0, 0, 1, payload("x" * 2_000)), status="failed", at_us=5)
        row = rig.store.terminal_row("a")
        assert row is not None
        assert row == rig.store.read_rows("a")[2]

    def test_which_of_many_have_ended(self, rig: Rig) -> None:
        for run_id in ("a", "b", "c"):
            rig.hold(run_id)
        rig.end("a")
        rig.end("c")
        ended = rig.store.ended_among(["c", "b", "x", "a", *(f"y{number}" for number in range(1_200))])
        assert [rig.store.terminal_row("a"), rig.store.terminal_row("c")] == sorted(ended, key=lambda row: row.run_id)
        assert [] == rig.store.ended_among([])

    def test_all_that_a_holder_needs(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("b")
        rig.share("a", call("a", 1), call("a", 2), part("a", 3, (0, 4)))
        rig.claim_calls(slots=1)
        rig.append("a", scheduled(4), withdrawn=(1,))
        rig.put(signal("a", "k"))
        first, second = rig.store.load_runs(["b", "x", "a"])
        assert ("b", (), ()) == (first.run.run_id, first.inbox, first.shared)
        assert rig.run("a") == second.run
        assert tuple(rig.store.read_rows("a")) == second.rows
        assert ["k"] == [row.message.key for row in second.inbox]
        assert [(1, "w1", True), (2, None, False), (3, None, False)] == [
            (row.call.call, row.claimed_by, row.is_cancelled) for row in second.shared
        ]

    def test_only_the_messages_of_held_runs(self, rig: Rig) -> None:
        rig.hold("a")
        rig.hold("b", "w2")
        rig.start("c")
        for run_id in ("a", "b", "c"):
            rig.put(signal(run_id, "k"))
        assert ["a"] == [row.message.run_id for row in rig.store.read_inbox("w1")]


class TestLooking:
    def test_an_empty_store(self, rig: Rig) -> None:
        assert Glance(False, None, False, False, False, False, 0) == rig.store.glance("w1", ALL)
        assert (0, 0, [], []) == (
            *(rig.store.queue_depth(), rig.store.count_unfinished()),
            *(rig.store.list_workers(), rig.store.stalled_runs(9)),
        )

    def test_something_is_ready_for_a_known_function(self, rig: Rig) -> None:
        rig.register()
        rig.start("a")
        assert rig.store.glance("w1", ALL).has_ready
        assert not rig.store.glance("w1", Capabilities(frozenset({"shop.pay"}))).has_ready
        rig.claim_runs()
        assert not rig.store.glance("w1", ALL).has_ready

    def test_only_what_is_ready_for_the_queues_and_tags_of_a_worker(self, rig: Rig) -> None:
        rig.hold("a")
        rig.share("a", call("a", 1, function="shop.order", queue="fast", tags=("gpu", "us")))
        assert all(rig.store.glance("w1", can).has_ready for can in FITTING)
        assert not any(rig.store.glance("w1", can).has_ready for can in NOT_FITTING)

    def test_sleepers_of_the_functions_queues_and_tags_of_a_worker(self, rig: Rig) -> None:
        assert not rig.store.has_sleepers(ALL)
        rig.start("a", due_us=rig.clock.now_us() + 20, queue="fast", tags=("gpu", "us"))
        assert all(rig.store.has_sleepers(can) for can in FITTING)
        assert not any(rig.store.has_sleepers(can) for can in NOT_FITTING)

    def test_the_next_sleeper(self, rig: Rig) -> None:
        now_us = rig.clock.now_us()
        rig.start("a", due_us=now_us + 20)
        rig.start("b", due_us=now_us + 10)
        assert now_us + 10 == rig.store.glance("w1", ALL).next_due_us

    def test_messages_for_held_runs(self, rig: Rig) -> None:
        rig.hold("a")
        rig.hold("b", "w2")
        rig.put(signal("b", "k"))
        assert [False, True] == [rig.store.glance(worker, ALL).has_messages for worker in ("w1", "w2")]

    def test_calls_that_nobody_wants(self, rig: Rig) -> None:
        rig.hold("a")
        rig.register("w2")
        rig.share("a", call("a", 1))
        rig.claim_calls("w2")
        rig.append("a", scheduled(2), withdrawn=(1,))
        assert [False, True] == [rig.store.glance(worker, ALL).has_cancelled for worker in ("w1", "w2")]

    def test_leases_that_have_run_out(self, rig: Rig) -> None:
        rig.register()
        rig.clock.advance(LEASE_US)
        assert not rig.store.glance("w1", ALL).has_expired
        rig.clock.advance(1)
        glance = rig.store.glance("w1", ALL)
        assert (True, 1) == (glance.has_expired, glance.worker_count)

    def test_stalled_runs_that_nobody_holds(self, rig: Rig) -> None:
        for run_id in ("b", "a", "c"):
            rig.hold(run_id)
            rig.append(run_id, status="stalled", stall="why")
            rig.clock.advance(1)
        assert not rig.store.glance("w1", ALL).has_stalled
        for run_id in ("b", "a", "c"):
            rig.release(run_id)
        assert rig.store.glance("w1", ALL).has_stalled
        assert ["b", "a", "c"] == [run.run_id for run in rig.store.stalled_runs(9)]
        assert ["a"] == [run.run_id for run in rig.store.stalled_runs(1, {"b", "other"})]

    def test_how_much_waits(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("b", queue="q")
        rig.start("c", due_us=rig.clock.now_us() + 9)
        rig.share("a", call("a", 1), part("a", 2, (0, 5), (7, 9)))
        assert [9, 1, 8, 0] == [rig.store.queue_depth(queue) for queue in (None, "q", "default", "x")]
        rig.claim_calls(slots=3)
        assert 6 == rig.store.queue_depth()

    def test_how_many_have_not_ended(self, rig: Rig) -> None:
        rig.hold("a")
        rig.start("b")
        rig.hold("c")
        rig.append("c", status="stalled", stall="why", release=Release())
        assert 3 == rig.store.count_unfinished()
        rig.end("a")
        assert 2 == rig.store.count_unfinished()

    def test_time_is_the_stores_own(self, rig: Rig) -> None:
        assert rig.clock.now_us() == rig.store.now_us()


class TestTwoProcesses:
    def test_both_see_the_same(self, rigs: list[Rig]) -> None:
        one, two = rigs
        one.hold("a")
        two.put(signal("a", "k"))
        assert ["k"] == one.keys("a")
        assert one.run("a") == two.run("a")

    def test_a_commit_elsewhere_is_noticed(self, rigs: list[Rig]) -> None:
        one, two = rigs
        one.settle()
        assert not one.store.changed()
        two.start("a")
        assert one.notices()
        assert not one.store.changed()

    def test_a_commit_of_its_own_hides_nothing(self, rigs: list[Rig]) -> None:
        one, two = rigs
        one.settle()
        two.start("a")
        one.start("b")
        assert one.notices()

    def test_closing_twice_is_closing_once(self, rigs: list[Rig]) -> None:
        one, two = rigs
        one.store.close()
        one.store.close()
        assert two.start("a")

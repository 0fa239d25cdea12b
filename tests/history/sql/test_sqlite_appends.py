"""Appends that are written together: the same outcomes and rows as one after the other, in fewer statements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from stent.clock import ManualClock
from stent.history import wire
from stent.history.events import CallCompleted, CallScheduled, Event, placed
from stent.history.operations import Append, Appended, Fenced, Operation, PutMessage, StartRun
from stent.history.sql.schema import INLINE_PAYLOAD_BYTES
from stent.history.sql.sqlite import SQLiteStore
from stent.history.sql.sqlite_appends import MOST_ROWS, MOST_RUNS, are_one_statement, groups, write
from stent.testing.conformance.rigging import Rig, completed, new_run, payload, scheduled, signal, token


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "stent.db", durability="relaxed", clock=clock)
    store.initialise()
    yield store
    store.close()


@pytest.fixture
def rig(store: SQLiteStore, clock: ManualClock) -> Rig:
    rig = Rig(store, clock)
    for number in range(MOST_RUNS + 8):
        rig.start(f"run {number}", function="shop.order")
    rig.register()
    rig.claim_runs()
    return rig


def append(run_id: str, *events: Event, seq: int = 2, epoch: int = 1) -> Append:
    """Events from `seq` on, with tokens of their own."""
    rows, previous = [], b"before"
    for place, event in enumerate(events):
        rows.append(wire.encode(placed(event, seq + place, 5), run_id, epoch, previous, None if rows else token()))
        previous = rows[-1].hash
    return Append(run_id, epoch, tuple(rows))


def said_by(store: SQLiteStore, operations: Sequence[Operation]) -> list[str]:
    """The statements of a batch."""
    said: list[str] = []
    assert store._writer is not None
    store._writer.set_trace_callback(said.append)
    store.commit(operations)
    store._writer.set_trace_callback(None)
    return [text.split(maxsplit=1)[0] for text in said if not text.startswith("--")]


def dump(store: SQLiteStore) -> list[str]:
    assert store._writer is not None
    return list(store._writer.iterdump())


def stored_apart(store: SQLiteStore, run_id: str) -> list[int]:
    """The events whose payload has a row of its own."""
    assert store._writer is not None
    found = store._writer.execute("SELECT seq FROM stent_payloads WHERE run_id = ? ORDER BY seq", (run_id,))
    return [seq for (seq,) in found]


# -- as one after the other ------------------------------------------------------------------------------------------


Wish = Callable[[str], Operation]
"""An operation on one of three runs, whose ids begin with a prefix."""


def wishes() -> st.SearchStrategy[Wish]:
    """Appends that fit, come too early or too late, of holders and of others, small and large; and other operations."""
    runs = st.sampled_from("abc")
    sizes = st.sampled_from([1, 1, INLINE_PAYLOAD_BYTES, INLINE_PAYLOAD_BYTES + 1])
    events = st.builds(lambda size: CallCompleted(0, 0, 1, payload("1" * size)), sizes)

    def plain(run: str, found: list[Event], seq: int, epoch: int) -> Wish:
        return lambda prefix: append(prefix + run, *found, seq=seq, epoch=epoch)

    def ending(run: str) -> Wish:
        return lambda prefix: append(prefix + run, completed())._replace(status="completed")

    def empty(run: str) -> Wish:
        return lambda prefix: Append(prefix + run, 1)

    def message(run: str, key: str) -> Wish:
        return lambda prefix: PutMessage(signal(prefix + run, key))

    of_all_kinds = st.builds(
        plain,
        runs,
        st.lists(events, min_size=1, max_size=3),
        st.sampled_from([1, 2, 2, 2, 3, 4, 5]),
        st.sampled_from([0, 1, 1, 1, 1, 2]),
    )
    others = st.builds(ending, runs), st.builds(empty, runs), st.builds(message, runs, st.sampled_from("xyz"))
    return st.one_of(of_all_kinds, of_all_kinds, of_all_kinds, *others)


def test_a_batch_has_the_outcomes_and_leaves_the_rows_of_one_operation_after_the_other(
    tmp_path: Path, clock: ManualClock
) -> None:
    one, all_ = (SQLiteStore(tmp_path / name, durability="relaxed", clock=clock) for name in ("one.db", "all.db"))
    rigs = [Rig(store, clock) for store in (one, all_)]
    for rig in rigs:
        rig.store.initialise()
        rig.register()
    numbers = itertools.count()

    @given(st.lists(st.lists(wishes(), min_size=1, max_size=5), min_size=1, max_size=4))
    def check(batches: list[list[Wish]]) -> None:
        prefix = f"{next(numbers)} "
        started = [new_run(prefix + run, owner="w1") for run in "abc"]
        for rig in rigs:
            rig.store.commit([StartRun(run) for run in started])
        for batch in batches:
            operations = [wish(prefix) for wish in batch]
            expected = [outcome for operation in operations for outcome in one.commit([operation])]
            assert expected == all_.commit(operations)
            for run in started:
                assert one.read_rows(run.run_id) == all_.read_rows(run.run_id)
                assert one.get_run(run.run_id) == all_.get_run(run.run_id)
                assert stored_apart(one, run.run_id) == stored_apart(all_, run.run_id)

    check()
    for rig in rigs:
        rig.store.close()


def test_a_fenced_run_in_a_batch_fails_alone(rig: Rig, store: SQLiteStore) -> None:
    batch = [append("run 0", scheduled(1)), append("run 1", scheduled(1), epoch=7), append("run 2", scheduled(1))]
    assert [Appended(), Fenced(), Appended()] == store.commit(batch)
    assert [2, 1, 2] == [len(store.read_rows(f"run {number}")) for number in range(3)]


def test_a_gap_is_refused(rig: Rig, store: SQLiteStore) -> None:
    assert [Appended(), Fenced()] == store.commit([append("run 0", scheduled(1)), append("run 1", scheduled(1), seq=3)])
    assert 1 == len(store.read_rows("run 1"))


def test_a_batch_whose_answer_was_lost_may_be_written_again(rig: Rig, store: SQLiteStore) -> None:
    batch = [append(f"run {number}", scheduled(1)) for number in range(5)]
    assert [Appended()] * 5 == store.commit(batch)
    before = dump(store)
    assert [Appended()] * 5 == store.commit(batch)
    assert before == dump(store)


# -- in few statements -----------------------------------------------------------------------------------------------


def test_a_batch_of_plain_appends_is_one_statement(rig: Rig, store: SQLiteStore) -> None:
    batch = [append(f"run {number}", CallCompleted(0, 0, 1, payload()), scheduled(2)) for number in range(20)]
    assert ["INSERT"] == said_by(store, batch)
    assert [3] * 20 == [len(store.read_rows(f"run {number}")) for number in range(20)]


def test_a_batch_that_is_too_long_for_one_statement_is_a_transaction_of_few(rig: Rig, store: SQLiteStore) -> None:
    batch = [append(f"run {number}", scheduled(1)) for number in range(MOST_RUNS + 5)]
    assert ["BEGIN", "INSERT", "INSERT", "COMMIT"] == said_by(store, batch)


def test_groups_keep_order_and_have_each_run_once() -> None:
    one, two, again = (append(run_id, scheduled(1)) for run_id in ("a", "b", "a"))
    message = PutMessage(signal("a", "k"))
    long = append("c", *(scheduled(call) for call in range(1, MOST_ROWS + 2)))
    batch = [one, two, again, message, one, long, two]
    assert [[one, two], [again], [message], [one], [long], [two]] == list(groups(batch))
    assert [are_one_statement(group) for group in groups(batch)] == [True, True, False, True, False, True]


def test_an_append_that_does_more_than_add_events_is_not_plain() -> None:
    plain = append("a", CallScheduled(0, 0, 1, "f", payload("[]"), "activity"))
    assert plain.adds_events_only
    more = {
        "consumed": ("k",),
        "children": (new_run("c"),),
        "messages": (signal("b", "k"),),
        "shared": ("anything",),
        "withdrawn": (1,),
        "status": "completed",
        "release": "anything",
        "next_run": "b",
    }
    assert set(more) == set(Append._fields) - {"run_id", "epoch", "rows", "at_us", "stall"}
    for name, value in more.items():
        assert not plain._replace(**{name: value}).adds_events_only, name
    assert not Append("a", 1).adds_events_only


def test_the_statement_reads_no_table_from_end_to_end(rig: Rig, store: SQLiteStore) -> None:
    class Asked:
        rowcount = 0

        def execute(self, sql: str, values: Sequence[object]) -> None:
            assert store._writer is not None
            self.plan = [line for *_, line in store._writer.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    asked = Asked()
    write(asked, [append("run 0", scheduled(1)), append("run 1", scheduled(1))])  # type: ignore[arg-type]  # enough of one
    tables = {"SCAN r", "SCAN e", "SCAN stent_runs", "SCAN stent_events"}
    assert [] == [line for line in asked.plan if line in tables or "TEMP B-TREE" in line]
    assert 2 == sum(line.startswith(("SEARCH r USING", "SEARCH e USING")) for line in asked.plan), asked.plan

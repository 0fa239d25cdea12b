"""Alarms give back every run that is due, once, in order."""

from __future__ import annotations

from hypothesis import given, strategies as st

from stent.worker.alarms import Alarms


def test_the_earliest_is_announced() -> None:
    alarms = Alarms()
    assert None is alarms.next_due_us()
    assert alarms.add(50, "a")
    assert alarms.add(20, "b")
    assert not alarms.add(30, "c")
    assert 20 == alarms.next_due_us()


def test_what_is_due_comes_once_in_order_and_the_rest_stays() -> None:
    alarms = Alarms()
    for due_us, run_id in ((30, "c"), (10, "a"), (20, "b"), (15, "a"), (31, "d")):
        alarms.add(due_us, run_id)
    assert ["a", "b", "c"] == alarms.pop_due(30)
    assert 31 == alarms.next_due_us()
    assert [] == alarms.pop_due(30)


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abcde"))), st.integers(0, 20))
def test_nobody_is_forgotten_and_nobody_wakes_early(added: list[tuple[int, str]], now_us: int) -> None:
    alarms = Alarms()
    for due_us, run_id in added:
        alarms.add(due_us, run_id)
    due = alarms.pop_due(now_us)
    first = {run_id: min(at_us for at_us, of in added if of == run_id) for _, run_id in added}
    assert {run_id for run_id, at_us in first.items() if at_us <= now_us} == set(due)
    assert sorted(due, key=lambda run_id: first[run_id]) == due or len({*first.values()}) < len(first)
    assert min((at_us for at_us, _ in added if at_us > now_us), default=None) == alarms.next_due_us()

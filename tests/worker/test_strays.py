"""What a worker has without knowing of it is given back at the second look, and never at the first."""

from __future__ import annotations

from stent.worker.strays import INTERVAL_US, Strays

NOW_US = 5_000_000
CALL = ("run", 1, -1)


def suspicious() -> Strays:
    strays = Strays()
    strays.notice(1, NOW_US)
    return strays


def test_nothing_is_looked_at_while_every_commit_has_an_answer() -> None:
    strays = Strays()
    strays.notice(0, NOW_US)
    assert not strays.is_due(NOW_US + 100 * INTERVAL_US)


def test_a_commit_of_unknown_outcome_leads_to_a_look_after_a_while() -> None:
    strays = suspicious()
    assert not strays.is_due(NOW_US)
    assert strays.is_due(NOW_US + INTERVAL_US)


def test_what_is_strange_twice_is_given_back() -> None:
    strays = suspicious()
    assert ([], []) == strays.found(["a", "b"], [CALL], {"b"}, set(), NOW_US)
    assert strays.is_due(NOW_US + INTERVAL_US)
    assert (["a"], [CALL]) == strays.found(["a", "b"], [CALL], {"b"}, set(), NOW_US + INTERVAL_US)
    assert not strays.is_due(NOW_US + 100 * INTERVAL_US)


def test_an_answer_that_was_on_its_way_clears_the_suspicion() -> None:
    strays = suspicious()
    strays.found(["a"], [CALL], set(), set(), NOW_US)
    assert ([], []) == strays.found(["a"], [CALL], {"a"}, {CALL}, NOW_US + INTERVAL_US)


def test_what_is_strange_for_the_first_time_at_the_second_look_waits_for_a_third() -> None:
    strays = suspicious()
    strays.found(["a"], [], set(), set(), NOW_US)
    assert (["a"], []) == strays.found(["a", "c"], [], set(), set(), NOW_US + INTERVAL_US)
    assert strays.is_due(NOW_US + 2 * INTERVAL_US)
    assert (["c"], []) == strays.found(["c"], [], set(), set(), NOW_US + 2 * INTERVAL_US)


def test_nothing_strange_ends_it_at_the_first_look() -> None:
    strays = suspicious()
    strays.found(["a"], [], {"a"}, set(), NOW_US)
    assert not strays.is_due(NOW_US + 100 * INTERVAL_US)

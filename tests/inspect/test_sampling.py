"""Of many histories the first of each shape is replayed, and a sample of the others that nobody can foresee or lose."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, strategies as st

from stent.errors import CorruptHistoryError, DivergenceError, UnregisteredFunctionError
from stent.inspect.sampling import ONE_IN, Choice, Survey, choose, survey
from stent.inspect.verdict import Finding, Verdict

shapes = st.lists(st.none() | st.sampled_from([b"a", b"b", b"c"]), max_size=60).map(
    lambda found: [(f"run-{number}", shape) for number, shape in enumerate(found)]
)


@given(shapes)
def test_the_first_of_each_shape_is_replayed_and_whatever_has_none(pairs: list[tuple[str, bytes | None]]) -> None:
    choice = choose(pairs)
    firsts = {shape: run_id for run_id, shape in reversed(pairs) if shape is not None}
    assert {*firsts.values(), *(run_id for run_id, shape in pairs if shape is None)} <= set(choice.shapes)


@given(shapes)
def test_every_history_is_replayed_or_counted(pairs: list[tuple[str, bytes | None]]) -> None:
    choice = choose(pairs)
    assert Counter(shape for _, shape in pairs) == choice.others + Counter(choice.shapes.values())
    assert [run_id for run_id, _ in pairs if run_id in choice.shapes] == list(choice.shapes)


def test_of_many_equal_ones_about_one_in_so_many_is_replayed() -> None:
    choice = choose((f"run-{number}", b"a") for number in range(20_000))
    assert abs(len(choice.shapes) - 20_000 / ONE_IN) < 100


def test_the_sample_does_not_depend_on_the_order_but_for_the_first() -> None:
    pairs = [(f"run-{number}", b"a") for number in range(2_000)]
    shuffled = random.Random(7).sample(pairs, len(pairs))
    assert set(choose(pairs).shapes) - {pairs[0][0]} == set(choose(shuffled).shapes) - {shuffled[0][0]}


def test_the_sum_says_what_became_of_all() -> None:
    choice = Choice(
        {"a1": b"a", "a2": b"a", "b1": b"b", "b2": b"b", "c1": b"c", "d1": b"d", "x1": None},
        Counter({b"a": 10, b"b": 20, b"c": 30, b"d": 40}),
    )
    verdicts = [
        Verdict("a1", "f", "fits"),
        Verdict("a2", "f", "fits"),
        Verdict("b1", "f", "fits"),
        Verdict("b2", "f", "diverged", error=DivergenceError("no", kind="call")),
        Verdict("c1", "g", "unknown", error=UnregisteredFunctionError("no g")),
        Verdict("d1", "h", "activity"),
        Verdict("x1", "?", "unreadable", error=CorruptHistoryError("damage")),
    ]
    found = survey(choice, verdicts)
    facts = found.facts()
    assert ["b2", "x1"] == [verdict["run_id"] for verdict in facts.pop("verdicts")]
    assert {
        "histories": 107,
        "replayed": 5,
        "sampled": 2,
        "passed_over": 10,
        "suspect": 20,
        "skipped": 31,
        "activities": 41,
        "diverged": 1,
        "unreadable": 1,
        "unknown_functions": ["g"],
    } == facts
    assert (
        "107 histories: 3 fit, 41 without a program (single activities), 1 diverged, 31 of functions that are not known"
        " here, 1 unreadable, 10 of the same shapes (not replayed), 20 suspect (not replayed)"
    ) == found.summary()


def test_the_sum_of_all_replayed_is_that_of_the_verdicts() -> None:
    assert "1 history: 1 fit" == Survey((Verdict("a", "f", "fits"),)).summary()


findings: st.SearchStrategy[Finding] = st.sampled_from(["fits", "activity", "diverged", "unknown", "unreadable"])


@given(shapes, st.data())
def test_the_counts_add_up(pairs: list[tuple[str, bytes | None]], data: st.DataObject) -> None:
    choice = choose(pairs)
    verdicts = [Verdict(run_id, "f", data.draw(findings)) for run_id in choice.shapes]
    facts = survey(choice, verdicts).facts()
    assert len(pairs) == facts["histories"]
    assert len(pairs) == sum(facts[name] for name in ("replayed", "passed_over", "suspect", "skipped", "activities"))
    assert facts["sampled"] <= facts["replayed"]

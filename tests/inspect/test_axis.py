"""The time axis: worked time keeps its length, idle time cannot squash it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from stent.inspect.axis import GAP_SHARE, Axis, Span, axis_of, merged

DAY_US = 86_400_000_000


def test_without_gaps_the_axis_is_straight() -> None:
    axis = axis_of((0, 100), [(0, 100)])
    assert [0.0, 0.25, 1.0] == [axis.place(at_us) for at_us in (0, 25, 100)]
    assert () == axis.gaps


def test_a_day_of_sleep_takes_a_small_part_of_the_line() -> None:
    axis = axis_of((0, DAY_US), [(0, 1_000), (DAY_US - 1_000, DAY_US)])
    assert ((1_000, DAY_US - 1_000),) == axis.gaps
    first, gap_end = axis.place(1_000), axis.place(DAY_US - 1_000)
    assert pytest.approx(first) == 1 - gap_end
    assert pytest.approx(GAP_SHARE / (1 + GAP_SHARE)) == gap_end - first


def test_a_short_gap_is_drawn_to_scale() -> None:
    axis = axis_of((0, 100), [(0, 48), (52, 100)])
    assert () == axis.gaps
    assert pytest.approx(0.5) == axis.place(50)


def test_a_run_that_only_waits_is_drawn_to_scale() -> None:
    axis = axis_of((0, 100), [])
    assert 0.5 == axis.place(50)
    assert () == axis.gaps


def test_a_run_of_no_length_has_an_axis_too() -> None:
    axis = axis_of((7, 7), [(7, 7)])
    assert 0.0 == axis.place(7)
    assert (0, 10) == (axis.columns((7, 7), 10)[0], 10)


def test_spans_that_touch_or_overlap_are_one() -> None:
    assert [(0, 5), (7, 9)] == merged([(7, 9), (0, 3), (2, 5), (6, 6)])


@pytest.mark.parametrize(
    ("span", "columns"),
    [((0, 100), (0, 10)), ((0, 0), (0, 1)), ((100, 100), (9, 1)), ((50, 60), (5, 1)), ((-5, 5), (0, 1))],
)
def test_a_span_has_at_least_one_column_and_stays_on_the_line(span: Span, columns: tuple[int, int]) -> None:
    assert columns == Axis((0, 100), (0.0, 1.0)).columns(span, 10)


spans = st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)).map(lambda pair: (min(pair), max(pair)))


@given(spans, st.lists(spans, max_size=6), st.lists(st.integers(-10, 1_010), min_size=2, max_size=20))
def test_later_times_never_lie_before_earlier_ones(whole: Span, worked: list[Span], times: list[int]) -> None:
    axis = axis_of(whole, worked)
    places = [axis.place(at_us) for at_us in sorted(times)]
    assert all(0.0 <= place <= 1.0 for place in places)
    assert all(earlier <= later + 1e-9 for earlier, later in pairwise(places))


@given(spans, st.lists(spans, max_size=6), spans, st.integers(1, 200))
def test_columns_are_on_the_line(whole: Span, worked: list[Span], span: Span, width: int) -> None:
    first, count = axis_of(whole, worked).columns(span, width)
    assert 0 <= first
    assert 1 <= count <= width - first

"""Runs as users see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stent.client.views import ExecutionState, info_of, page_of, run_filter
from stent.errors import OptionError
from stent.history.records import RunRow

FILTER: dict[str, Any] = {
    "state": None,
    "function": None,
    "parent": None,
    "roots_only": False,
    "tags": (),
    "queue": None,
    "created_after": None,
    "created_before": None,
    "id_prefix": None,
    "limit": 10,
    "after": None,
}


def row(number: int = 1, status: Any = "running", finished_at_us: int | None = None) -> RunRow:
    return RunRow(
        f"run-{number}",
        "shop:order",
        "orchestrator",
        status,
        None,
        0,
        ("vip",),
        None,
        None,
        None,
        None,
        1,
        "w1",
        1_000_000 * number,
        1_000_000 * number,
        finished_at_us,
        None,
        0,
    )


def test_a_state_is_its_name_and_more() -> None:
    state = ExecutionState.of(info_of(row(status="completed", finished_at_us=2_000_000)))
    assert "completed" == state == state.state
    assert state.is_ended
    assert ("order", "run-1", ("vip",)) == (state.info.name, state.info.execution_id, state.info.tags)
    assert datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC) == state.info.finished_at


def test_a_page_names_the_next_one_only_if_there_is_one() -> None:
    rows = [row(3), row(2), row(1)]
    page = page_of(rows, 2)
    assert ["run-3", "run-2"] == [info.execution_id for info in page]
    assert "2000000:run-2" == page.next_page
    assert page_of(rows, 3).next_page is None


def test_the_place_of_a_page_is_read_back() -> None:
    assert (2_000_000, "run:2") == run_filter(**{**FILTER, "after": "2000000:run:2"}).before


def test_a_page_asks_for_one_row_more() -> None:
    assert 11 == run_filter(**FILTER).limit


def test_one_state_or_many() -> None:
    assert ("failed",) == run_filter(**{**FILTER, "state": "failed"}).statuses
    assert ("failed", "stalled") == run_filter(**{**FILTER, "state": ["failed", "stalled"]}).statuses


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "done"},
        {"limit": 0},
        {"limit": 10**9},
        {"limit": True},
        {"after": "yesterday"},
        {"created_after": datetime(2026, 1, 1)},  # noqa: DTZ001  # the mistake itself
    ],
)
def test_what_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        run_filter(**{**FILTER, **wrong})

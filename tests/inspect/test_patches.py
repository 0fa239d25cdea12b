"""Which patches have live runs, and what may be taken out of the code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stent.history.events import Event, PatchRecorded
from stent.history.fold import Status
from stent.history.records import RunRow
from stent.inspect.patches import patches_in
from tests.inspect.literals import START_US

RUN = RunRow(
    *("r1", "shop:order", "orchestrator", "running", None, 0, (), None, None, None, None, 1, "w1"),
    *(START_US, START_US, None, None, 0),
)


def run(run_id: str, status: Status, *changes: str, function: str = "shop:order") -> tuple[RunRow, list[Event]]:
    row = replace(RUN, run_id=run_id, status=status, function=function)
    return row, [PatchRecorded(0, 0, change) for change in changes]


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ([], "dead"),
        ([run("r2", "completed"), run("r3", "failed", "a")], "dead"),
        ([run("r2", "running", "a")], "old side is dead"),
        ([run("r2", "stalled", "a")], "old side is dead"),
        ([run("r2", "running", "a"), run("r3", "pending")], "both sides"),
        ([run("r3", "running")], "old side only"),
        ([run("r3", "running", "b")], "old side only"),
        ([run("r3", "running", function="shop:other")], "dead"),
    ],
)
def test_what_the_runs_in_flight_say_of_a_patch(others: list[tuple[RunRow, list[Event]]], verdict: str) -> None:
    found = {use.change: use for use in patches_in([run("r1", "completed", "a"), *others])}
    assert verdict == found["a"].verdict


def test_the_facts_name_the_runs() -> None:
    runs = [run("r1", "completed", "a", "b"), run("r2", "running", "a"), run("r3", "running")]
    first, second = patches_in(runs)
    assert {
        "change": "a",
        "functions": ["shop:order"],
        "verdict": "both sides",
        "advice": "keep it: runs are on both sides",
        "live": ["r2"],
        "others": ["r3"],
        "ended": 1,
    } == first.facts()
    assert ("b", [], ["r2", "r3"]) == (second.change, second.live, second.others)


def test_runs_without_patches_are_nothing_to_tell() -> None:
    assert [] == patches_in([run("r1", "running")])

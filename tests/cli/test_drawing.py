"""The drawing of a timeline: what is where on which line."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from stent.cli.drawing import draw, lines_of, span_text
from stent.history.events import CallAttemptFailed, CallCompleted, CallFailed, RunCompleted, TimerFired, TimerStarted
from stent.inspect.entries import Entry
from stent.inspect.timeline import timeline_of
from tests.inspect.literals import SECOND_US, START_US, at, call, error, history, payload

DONE = payload(None)
DAY_S = 86_400


def drawn(*events: Any, width: int = 60, encoding: str = "utf-8", **more: Any) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    draw(console, timeline_of(history(*events), START_US + 10 * SECOND_US), **more)
    stream.flush()
    return [line.rstrip() for line in stream.buffer.getvalue().decode(encoding).splitlines()]


def test_each_call_is_a_line_with_its_bar_on_one_axis() -> None:
    assert [
        "order-1  completed  shop:order(42)",
        "2025-06-15 15:06:40 UTC, 10s, 6 events",
        "✓ pay(1)                               █████████          5s",
        "✗ ship(2)  ValueError('no')                     █████████ 5s",
        "returned 'ok'",
    ] == drawn(
        call(1, "pay", 1),
        at(5, CallCompleted(0, 0, 1, DONE)),
        at(5, call(2, "ship", 2)),
        at(10, CallFailed(0, 0, 2, error("no"))),
        at(10, RunCompleted(0, 0, payload("ok"))),
    )


def test_a_day_of_sleep_leaves_room_for_the_work_around_it() -> None:
    lines = drawn(
        call(1),
        at(1, CallCompleted(0, 0, 1, DONE)),
        at(1, TimerStarted(0, 0, 2, START_US + DAY_S * SECOND_US)),
        at(DAY_S, TimerFired(0, 0, 2)),
        at(DAY_S, call(3)),
        at(DAY_S + 1, CallCompleted(0, 0, 3, DONE)),
        at(DAY_S + 1, RunCompleted(0, 0, DONE)),
    )
    bars = [line[-30:] for line in lines[2:5]]
    assert [True, True] == [bar.count("█") >= 6 for bar in (bars[0], bars[2])]
    assert "░ idle time, drawn shorter than it was: 23h59m59s" in lines


def test_an_attempt_that_failed_is_a_mark_on_the_bar() -> None:
    line = drawn(
        call(1), at(5, CallAttemptFailed(0, 0, 1, 1, START_US, error("no"))), at(10, CallCompleted(0, 0, 1, DONE))
    )[2]
    assert "✓ pay()  attempt 2" in line
    assert "███✗███" in line


def test_where_only_ascii_can_be_shown_only_ascii_is() -> None:
    lines = drawn(call(1), call(2), at(3, CallCompleted(0, 0, 1, DONE)), encoding="ascii")
    assert ["> 2 x pay  1 of 2", "|- + pay()", "`- > pay()"] == [line[:18].rstrip() for line in lines[2:]]
    assert not any("\\" in line for line in lines)


def test_of_many_side_by_side_those_that_matter_are_shown_and_the_rest_is_counted() -> None:
    calls = [call(number, "pay", number) for number in range(1, 101)]
    ends = [at(1, CallCompleted(0, 0, number, DONE)) for number in range(1, 100) if number != 50]
    failed = at(2, CallFailed(0, 0, 50, error("no")))
    lines = drawn(*calls, *ends, failed)
    assert 3 + 8 == len(lines)
    assert any("✗ pay(50)" in line for line in lines)
    assert any("▸ pay(100)" in line for line in lines)
    assert "└─ 93 more done (--all)" in lines[-1]
    assert 103 == len(drawn(*calls, *ends, failed, is_whole=True))


def test_the_tree_has_its_lines() -> None:
    leaf = Entry("call", "leaf", "done", 0, 1)
    tree = (
        Entry(
            "group", "top", "done", 0, 1, children=(Entry("branch", "mid", "done", 0, 1, children=(leaf, leaf)), leaf)
        ),
    )
    assert ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ "] == [line.tree for line in lines_of(tree, is_ascii=False, limit=None)]


def test_no_text_of_a_payload_acts_on_the_terminal() -> None:
    assert "\x1b" not in "".join(drawn(call(1, "pay", "\x1b[31m"), at(1, CallFailed(0, 0, 1, error("\x1b[2J")))))


@pytest.mark.parametrize(
    ("duration_us", "text"),
    [(0, "0s"), (999, "999us"), (12_345, "12.345ms"), (123_456, "123ms"), (1_234_567, "1.23s"), (3_600_000_000, "1h")],
)
def test_durations_have_about_three_digits(duration_us: int, text: str) -> None:
    assert text == span_text(duration_us)

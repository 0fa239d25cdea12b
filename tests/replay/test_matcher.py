"""Commands are held against the recorded ones: in their order, by kind, number, function and arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stent.codec import encode
from stent.history.events import CallScheduled, Event
from stent.replay import commands as wishes
from stent.replay.commands import Command, event_of
from stent.replay.matcher import RULES, Matcher, fits
from tests.replay.driver import TYPES, durable, record


@durable
async def pay(amount: int) -> int: ...


@durable
async def ship(amount: int) -> int: ...


PAY, SHIP = record(pay), record(ship)
ONE, TWO = PAY.encode_arguments((1,), {}), PAY.encode_arguments((2,), {})
OPTIONS = PAY.call_options

SAMPLES: list[tuple[Command, dict[str, Any], dict[str, Any]]] = [
    (  # a command, changes that make it another one, changes that do not matter
        wishes.ScheduleCall(1, PAY, ONE, "0", None, OPTIONS),
        {"call": 2, "function": SHIP, "arguments": TWO},
        {"path": "0.1", "run_id": "other"},
    ),
    (
        wishes.ScheduleBatch(1, PAY, ONE, 1, "0", None, OPTIONS, None),
        {"call": 2, "function": SHIP, "items": TWO},
        {"limit": 5},
    ),
    (wishes.CancelCall(1), {"call": 2}, {}),
    (wishes.StartTimer(1, 500, "0", None), {"call": 2}, {"due_us": 501}),
    (wishes.CancelTimer(1), {"call": 2}, {}),
    (wishes.AwaitSignal(1, "go", "0", None), {"call": 2, "name": "stop"}, {"path": "0.2"}),
    (wishes.RecordPatch("x", None), {"change": "y"}, {}),
    (wishes.CompleteRun(ONE), {"result": TWO}, {}),
    (wishes.FailRun(ONE), {}, {"error": TWO}),
    (wishes.CancelRun("a"), {}, {"reason": "b"}),
    (wishes.ContinueRunAsNew(ONE), {"arguments": TWO}, {}),
]


def recorded(command: Command) -> Event:
    return event_of(command, 1, 1)


def test_every_command_has_a_rule_and_a_sample() -> None:
    assert set(RULES) == {type(command) for command, _, _ in SAMPLES}


@pytest.mark.parametrize(("command", "changes", "same"), SAMPLES, ids=lambda value: type(value).__name__)
def test_a_command_fits_the_event_that_records_it_and_no_other(
    command: Command, changes: dict[str, Any], same: dict[str, Any]
) -> None:
    event = recorded(command)
    assert fits(event, command)
    for name, value in changes.items():
        assert not fits(event, replace(command, **{name: value})), name
    for name, value in same.items():
        assert fits(event, replace(command, **{name: value})), name
    for other, _, _ in SAMPLES:
        assert (type(other) is type(command)) == fits(event, other)


def test_commands_past_the_recorded_ones_are_new_where_the_history_ends() -> None:
    first, second = wishes.CancelCall(1), wishes.CancelCall(2)
    matcher = Matcher()
    matcher.begin((recorded(first),), is_open=True)
    assert matcher.is_replaying
    matcher.take(first)
    assert not matcher.is_replaying
    matcher.take(second)
    assert [second] == matcher.end()
    assert matcher.mismatch is None


def test_commands_past_the_recorded_ones_do_not_fit_anywhere_else() -> None:
    matcher = Matcher()
    matcher.begin((), is_open=False)
    assert matcher.is_replaying
    matcher.take(wishes.CancelCall(1))
    assert matcher.mismatch is not None
    assert (None, wishes.CancelCall(1)) == (matcher.mismatch.expected, matcher.mismatch.actual)
    assert [] == matcher.end()


def test_a_recorded_command_that_does_not_come_does_not_fit() -> None:
    event = recorded(wishes.CancelCall(1))
    matcher = Matcher()
    matcher.begin((event,), is_open=True)
    assert event is matcher.next()
    assert [] == matcher.end()
    assert matcher.mismatch is not None
    assert (event, None) == (matcher.mismatch.expected, matcher.mismatch.actual)


def test_the_first_mismatch_is_kept() -> None:
    event = recorded(wishes.CancelCall(1))
    matcher = Matcher()
    matcher.begin((event, event), is_open=True)
    for number in (2, 3):
        matcher.take(wishes.CancelCall(number))
    assert matcher.mismatch is not None
    assert wishes.CancelCall(2) == matcher.mismatch.actual
    matcher = Matcher()
    matcher.begin((), is_open=False)
    for number in (2, 3):
        matcher.take(wishes.CancelCall(number))
    assert matcher.mismatch is not None
    assert wishes.CancelCall(2) == matcher.mismatch.actual


def test_a_turn_that_does_not_fit_gives_no_commands() -> None:
    """What such a program wants beyond its history must not be done."""
    event = recorded(wishes.CancelCall(1))
    matcher = Matcher()
    matcher.begin((event,), is_open=True)
    for number in (2, 3):
        matcher.take(wishes.CancelCall(number))
    assert [] == matcher.end()


def test_an_argument_of_another_type_is_another_argument() -> None:
    def event(value: Any) -> CallScheduled:
        return CallScheduled(1, 1, 1, PAY.name, encode([value], TYPES), "activity")

    command = wishes.ScheduleCall(1, PAY, encode([1], TYPES), "0", None, OPTIONS)
    assert fits(event(1), command)
    assert not fits(event(True), command)
    assert not fits(event(1.0), command)
    assert not fits(event("1"), command)

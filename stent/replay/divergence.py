"""The report of a divergence: recorded against now, both places, the first difference, and what to do.

Pure text and data: who prints it decides about colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stent.clock import to_datetime
from stent.codec import Payload
from stent.codec.difference import first_argument_difference, first_difference
from stent.codec.view import describe, describe_arguments
from stent.errors import DivergenceError
from stent.history.events import (
    BatchScheduled,
    CallCancelRequested,
    CallScheduled,
    Event,
    PatchRecorded,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    SignalAwaited,
    Site,
    TimerCancelled,
    TimerStarted,
    Turn,
)
from stent.registry import Function, display_name
from stent.replay.commands import Command, event_of
from stent.replay.matcher import Mismatch

NEIGHBOURS = 3  # calls shown on either side of the one that does not fit
TEXT_LIMIT = 60


def describe_mismatch(function: Function, history: Sequence[Event], turn: Turn, mismatch: Mismatch) -> DivergenceError:
    """The error for a program that does not fit its history."""
    run_id = history[0].run_id if history and hasattr(history[0], "run_id") else "?"
    expected = mismatch.expected
    actual = _as_event(mismatch.actual)
    lines = [f"run {run_id} of {function.display_name}() cannot go on with this code."]
    lines.append(_line("history", expected, turn, is_recorded=True))
    lines.append(_line("code", actual, turn, is_recorded=False))
    difference = _difference(expected, actual)
    if difference:
        lines.append(f"  differs  {difference}")
    lines.append(f"  calls    {_aligned(history, _place_of(expected, turn), actual)}")
    report = "\n".join(lines)
    guard = f"guard the change:  if Stent.patched({_change_name(expected, actual)!r}): ..."
    look = f"look at it:        stent show {run_id}"
    back = "put fitting code back: the run goes on by itself"
    return DivergenceError(
        f"{report}\n{_advice('Nothing was written. The run is stalled, not failed.', guard, look, back)}",
        report=report,
        guard=guard,
        run_id=run_id,
        function=function.name,
        kind=_kind(expected, actual),
        expected=_facts(expected),
        actual=_facts(actual),
        seq=expected.seq if expected is not None else turn.delivery.seq,
        call=getattr(expected or actual, "call", None),
        difference=difference or None,
    )


def told_of_file(error: DivergenceError, name: str) -> DivergenceError:
    """The same for a history out of a file: of its run nothing is known here, so nothing is said of it."""
    first = f"The history in {name} does not fit this code. A run with this history would be stalled, not failed."
    advice = _advice(first, error.guard, "put fitting code back")
    return DivergenceError(f"{error.report}\n{advice}", **error.facts, file=name)


def told_of_stored(error: DivergenceError) -> DivergenceError:
    """The same for a run that was only looked at: it may have ended, or go on elsewhere with other code."""
    first = "Nothing was written. With this code a worker would stall the run, not fail it."
    advice = _advice(first, error.guard, f"look at it:        stent show {error.run_id}", "put fitting code back")
    return DivergenceError(f"{error.report}\n{advice}", **error.facts)


def _advice(first: str, *fixes: str) -> str:
    return "\n".join([first, *(f"  fix {number}    {fix}" for number, fix in enumerate(fixes, 1))])


def _as_event(command: Command | None) -> Event | None:
    return event_of(command, 0, 0) if command is not None else None


def _line(label: str, event: Event | None, turn: Turn, *, is_recorded: bool) -> str:
    if event is None:
        after = f"after seq {turn.delivery.seq} {turn.delivery.type}"
        what = f"nothing more {after}" if is_recorded else f"waits or ends {after}"
        return f"  {label:<8} {what}"
    place = f"seq {event.seq}, " if is_recorded else ""
    call = f"call {call_number}" if (call_number := getattr(event, "call", None)) is not None else "the run"
    when = f", recorded {to_datetime(event.at_us):%Y-%m-%d}" if is_recorded else ""
    site = getattr(event, "site", None)
    return f"  {label:<8} {place + call:<16} {text_of(event):<40} {site or ''}{when}".rstrip()


def text_of(event: Event) -> str:
    """A command event as the line of code behind it."""
    match event:
        case CallScheduled(function=name, arguments=arguments):
            return f"{display_name(name)}({arguments_text(arguments)})"
        case BatchScheduled(function=name, count=count):
            return f"map({display_name(name)}, {count} items)"
        case TimerStarted():
            return "sleep"
        case TimerCancelled(call=call):
            return f"cancel timer {call}"
        case CallCancelRequested(call=call):
            return f"cancel call {call}"
        case SignalAwaited(name=name):
            return f"wait_for_signal({name!r})"
        case PatchRecorded(change=change):
            return f"patched({change!r})"
        case RunCompleted(result=result):
            return f"return {describe(result, TEXT_LIMIT)}"
        case RunFailed(error=error):
            return f"raise {describe(error, TEXT_LIMIT)}"
        case RunCancelled():
            return "end as cancelled"
        case RunContinuedAsNew(arguments=arguments):
            return f"continue_as_new({arguments_text(arguments)})"
    return event.type


def arguments_text(arguments: Payload) -> str:
    """Arguments without the brackets around them."""
    return describe_arguments(arguments, TEXT_LIMIT)


def _difference(expected: Event | None, actual: Event | None) -> str:
    """The first place where two commands of one kind differ in what they carry."""
    match expected, actual:
        case CallScheduled(), CallScheduled() if expected.function == actual.function:
            found = first_argument_difference(expected.arguments, actual.arguments)
        case BatchScheduled(), BatchScheduled() if expected.function == actual.function:
            if expected.count != actual.count:
                return f"items: {expected.count} were recorded, now {actual.count}"
            found = first_difference(expected.items, actual.items, where="items")
        case RunContinuedAsNew(), RunContinuedAsNew():
            found = first_argument_difference(expected.arguments, actual.arguments)
        case RunCompleted(), RunCompleted():
            found = first_difference(expected.result, actual.result)
        case _:
            return ""
    return f"{found.path}: {found.left} was recorded, now {found.right}" if found is not None else ""


def _place_of(expected: Event | None, turn: Turn) -> int:
    """The seq of what was recorded where the code differs: the command, or the first one after the turn."""
    if expected is not None:
        return expected.seq
    return (turn.decisions[-1] if turn.decisions else turn.delivery).seq + 1


def _aligned(history: Sequence[Event], place: int, actual: Event | None) -> str:
    """The calls around the place: `=` as recorded, `+` new in the code, bare numbers what the history holds next."""
    commands = [event for event in history if getattr(event, "call", None) is not None and hasattr(event, "path")]
    index = sum(1 for event in commands if event.seq < place)
    before = [f"{_short(event)} =" for event in commands[max(0, index - NEIGHBOURS) : index]]
    new = [f"+ {_name(actual)}"] if actual is not None else []
    after = [_short(event) for event in commands[index : index + NEIGHBOURS]]
    return "   ".join(before + new + after) or "(none)"


def _short(event: Any) -> str:
    return f"{event.call} {_name(event)}"


def _name(event: Any) -> str:
    match event:
        case CallScheduled(function=name):
            return display_name(name)
        case BatchScheduled(function=name):
            return f"map({display_name(name)})"
    return text_of(event)


def _kind(expected: Event | None, actual: Event | None) -> str:
    """One word for what happened, for tools."""
    if expected is None:
        return "extra"
    if actual is None:
        return "missing"
    if type(expected) is not type(actual):
        return "kind"
    match expected, actual:
        case (CallScheduled() | BatchScheduled(), CallScheduled() | BatchScheduled()):
            return "arguments" if expected.function == actual.function else "function"
        case RunCompleted(), _:
            return "result"
        case RunContinuedAsNew(), _:
            return "arguments"
        case ((SignalAwaited() | PatchRecorded()), _):
            return "name"
    return "call"


def _facts(event: Event | None) -> dict[str, Any] | None:
    """An event as plain data, for `error.expected` and `error.actual`."""
    if event is None:
        return None
    site: Site | None = getattr(event, "site", None)
    return {
        "type": event.type,
        "seq": event.seq or None,
        "call": getattr(event, "call", None),
        "function": getattr(event, "function", None),
        "text": text_of(event),
        "site": str(site) if site is not None else None,
        "path": getattr(event, "path", None),
    }


def _change_name(expected: Event | None, actual: Event | None) -> str:
    event = actual or expected
    return _name(event).split("(")[0].strip().replace(" ", "-") if event is not None else "change"

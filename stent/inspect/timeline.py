"""A run's history as a timeline: what was called, on which branch, when, how often, and with what outcome.

Rules of this file:
- data in, data out: no store, no clock (`now_us` is handed in), no terminal;
- nothing is decoded into objects: a history can be drawn without the program that wrote it;
- what the program started together stands together (`Entry.kind == "group"`): the calls of a gather, for example.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stent.codec import describe, describe_arguments
from stent.history.events import (
    Event,
    RoleCorrected,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    RunStarted,
    RunTimedOut,
)
from stent.history.fold import TERMINAL_STATUS
from stent.inspect.axis import Axis, Span, axis_of
from stent.inspect.entries import Entry, entries_of

TEXT_LIMIT = 100
MAX_DEPTH = 5  # of runs within runs that are drawn in place


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn of a run. `stopped_us` is None while it goes on; `until_us` is where the drawing ends."""

    run_id: str
    function: str
    arguments: str
    state: str
    role: str
    started_us: int
    stopped_us: int | None
    until_us: int
    event_count: int
    outcome: str
    entries: tuple[Entry, ...]
    axis: Axis


def timeline_of(
    history: Sequence[Event],
    now_us: int,
    *,
    state: str | None = None,
    children: Mapping[str, Sequence[Event]] | None = None,
) -> Timeline:
    """The timeline of a history. `state` is what the run's row says (a history does not know that it is stalled);
    `children` are the histories of runs behind its calls, to be drawn in place.
    """
    started = history[0]
    assert isinstance(started, RunStarted), "the first event of a history starts the run"
    ended = next((event for event in history if event.is_terminal), None)
    entries = _with_children(entries_of(history, now_us), children or {}, now_us, MAX_DEPTH)
    until_us = max([event.at_us for event in history] + ([] if ended is not None else [now_us]))
    whole = (started.at_us, until_us)
    return Timeline(
        started.run_id,
        started.function,
        describe_arguments(started.arguments, TEXT_LIMIT),
        state or (TERMINAL_STATUS[type(ended)] if ended is not None else "running"),
        next(event.role for event in reversed(history) if isinstance(event, RunStarted | RoleCorrected)),
        started.at_us,
        ended.at_us if ended is not None else None,
        until_us,
        len(history),
        outcome_text(ended),
        entries,
        axis_of(whole, worked_spans(entries, until_us)),
    )


def outcome_text(ended: Event | None) -> str:
    """What a run came to, as one line; empty while it goes on."""
    match ended:
        case RunCompleted(result=result):
            return f"returned {describe(result, TEXT_LIMIT)}"
        case RunFailed(error=error):
            return f"raised {describe(error, TEXT_LIMIT)}"
        case RunCancelled(reason=reason):
            return f"cancelled: {reason}" if reason else "cancelled"
        case RunTimedOut():
            return "passed its deadline"
        case RunContinuedAsNew(next_run=next_run, arguments=arguments):
            return f"continued as {next_run} with {describe_arguments(arguments, TEXT_LIMIT)}"
    return ""


def worked_spans(entries: Iterable[Entry], until_us: int) -> list[Span]:
    """When something was carried out, as opposed to waited for."""
    spans: list[Span] = []
    for entry in entries:
        if entry.children:
            spans += worked_spans(entry.children, until_us)
        elif entry.kind in ("call", "map"):
            spans.append((entry.started_us, entry.stopped_us if entry.stopped_us is not None else until_us))
    return spans


def _with_children(
    entries: tuple[Entry, ...], children: Mapping[str, Sequence[Event]], now_us: int, depth: int
) -> tuple[Entry, ...]:
    """Entries of calls that have a history of their own, with that inside."""
    if not children or not depth:
        return entries
    found = []
    for entry in entries:
        history = children.get(entry.child_run) if entry.child_run else None
        inside = entries_of(history, now_us) if history else entry.children
        found.append(replace(entry, children=_with_children(inside, children, now_us, depth - 1)))
    return tuple(found)

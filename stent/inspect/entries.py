"""The entries of a timeline, from the events of one history.

Rules of this file:
- one pass over the events; the outcome of a call finds its entry by the call's number;
- entries hang in the tree of the program's tasks ("0" is the function itself, "0.1" the first task that it started);
- neighbours on one branch that were started by one event, with nothing awaited in between, form a group: for the
  program they run side by side.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, TypeAlias

from stent.codec import describe, describe_arguments
from stent.duration import format_duration
from stent.history.events import (
    TERMINALS,
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallCancelRequested,
    CallCompleted,
    CallFailed,
    CallPromoted,
    CallScheduled,
    CancelRequested,
    Event,
    PatchRecorded,
    RoleCorrected,
    RunStarted,
    SignalAwaited,
    SignalReceived,
    TimerCancelled,
    TimerFired,
    TimerStarted,
)
from stent.registry import display_name

TEXT_LIMIT = 60

Kind: TypeAlias = Literal["call", "map", "timer", "signal", "note", "group", "branch"]
State: TypeAlias = Literal["done", "failed", "running", "waiting", "cancelled"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. `attempts_us` are the times at which an attempt failed and another was granted."""

    kind: Kind
    label: str
    state: State
    started_us: int
    stopped_us: int | None = None
    detail: str = ""
    call: int | None = None
    child_run: str | None = None
    attempts_us: tuple[int, ...] = ()
    children: tuple[Entry, ...] = ()


@dataclass(slots=True)
class _Draft:
    """An entry while the history is read. `turn` is the delivery that started it."""

    kind: Kind
    label: str
    name: str
    turn: int
    started_us: int
    call: int | None = None
    state: State = "running"
    stopped_us: int | None = None
    detail: str = ""
    child_run: str | None = None
    attempts_us: list[int] = field(default_factory=list)
    total: int = 0
    done: int = 0
    failed: int = 0

    def finish(self, state: State, at_us: int, detail: str = "") -> None:
        self.state, self.stopped_us, self.detail = state, at_us, detail

    def entry(self) -> Entry:
        return Entry(
            self.kind,
            self.label,
            self.state,
            self.started_us,
            self.stopped_us,
            self._detail(),
            self.call,
            self.child_run,
            tuple(self.attempts_us),
        )

    def _detail(self) -> str:
        parts = []
        if self.kind == "map":
            parts.append(f"{self.done:,} of {self.total:,}" if self.done < self.total else f"{self.total:,} items")
            if self.failed:
                parts.append(f"{self.failed:,} failed")
        if self.attempts_us:
            tries = len(self.attempts_us)
            parts.append(f"{tries:,} retries" if self.kind == "map" else f"attempt {tries + 1}")
        if self.detail:
            parts.append(self.detail)
        return ", ".join(parts)


@dataclass(slots=True)
class _Branch:
    """A task of the program: what it started, in order, tasks included."""

    path: str
    items: list[_Draft | _Branch] = field(default_factory=list)

    @property
    def turn(self) -> int:
        """The delivery that started it: that of the first thing it did."""
        return self.items[0].turn if self.items else -1


def entries_of(history: Sequence[Event], now_us: int) -> tuple[Entry, ...]:
    """The entries of a history, in the order in which the program started them."""
    reader = _Reader(now_us)
    for event in history:
        reader.read(event)
    return _arranged(reader.root)


class _Reader:
    """Goes through a history once."""

    def __init__(self, now_us: int) -> None:
        self.root = _Branch("0")
        self._branches = {"0": self.root}
        self._by_call: dict[int, _Draft] = {}
        self._turn = 0
        self._now_us = now_us
        self._listening: dict[str, deque[_Draft]] = {}
        self._kept: dict[str, deque[_Draft]] = {}
        self._started: RunStarted | None = None

    def read(self, event: Event) -> None:
        if event.is_delivery:
            self._turn += 1
        reader = _READERS.get(type(event))
        if reader is not None:
            reader(self, event)

    # -- what starts an entry --------------------------------------------------------------------------------------

    def run_started(self, event: RunStarted) -> None:
        self._started = event
        if event.role == "activity":
            self._add("0", _call_draft(event, 0, self._turn))

    def role_corrected(self, event: RoleCorrected) -> None:
        first = self._by_call.pop(0, None)
        if first is not None:
            self.root.items.remove(first)
        self._note(event, f"turned out to be an {event.role}")
        if event.role == "activity" and self._started is not None:
            self._add("0", _call_draft(self._started, 0, self._turn))

    def call_scheduled(self, event: CallScheduled) -> None:
        draft = _call_draft(event, event.call, self._turn)
        draft.child_run = event.child_run
        self._add(event.path, draft)

    def batch_scheduled(self, event: BatchScheduled) -> None:
        name = f"map({display_name(event.function)})"
        label = f"map({display_name(event.function)}, {event.count:,} items)"
        self._add(event.path, _Draft("map", label, name, self._turn, event.at_us, event.call, total=event.count))

    def timer_started(self, event: TimerStarted) -> None:
        label = f"sleep {format_duration(max(0, event.due_us - event.at_us))}"
        draft = _Draft("timer", label, "sleep", self._turn, event.at_us, event.call, "waiting")
        if event.due_us > self._now_us:
            draft.detail = f"{format_duration(_rounded(event.due_us - self._now_us))} left"
        self._add(event.path, draft)

    def signal_awaited(self, event: SignalAwaited) -> None:
        """Waits and messages of a name are matched first to first, as the program gets them."""
        label = f"wait_for_signal({event.name!r})"
        draft = _Draft("signal", label, label, self._turn, event.at_us, event.call, "waiting")
        self._add(event.path, draft)
        kept = self._kept.get(event.name)
        if kept:
            early = kept.popleft()
            draft.finish("done", event.at_us, early.detail)
            self.root.items.remove(early)
        else:
            self._listening.setdefault(event.name, deque()).append(draft)

    def patch_recorded(self, event: PatchRecorded) -> None:
        self._note(event, f"patched({event.change!r})")

    def cancel_requested(self, event: CancelRequested) -> None:
        self._note(event, "cancel requested", event.reason)

    # -- what changes or ends one ----------------------------------------------------------------------------------

    def call_completed(self, event: CallCompleted) -> None:
        if event.call in self._by_call:
            self._by_call[event.call].finish("done", event.at_us)

    def call_failed(self, event: CallFailed) -> None:
        if event.call in self._by_call:
            self._by_call[event.call].finish("failed", event.at_us, describe(event.error, TEXT_LIMIT))

    def attempt_failed(self, event: CallAttemptFailed) -> None:
        draft = self._by_call.get(event.call)
        if draft is None:
            return
        draft.attempts_us.append(event.at_us)
        if draft.kind == "call" and event.retry_at_us > self._now_us:
            draft.detail = f"next in {format_duration(_rounded(event.retry_at_us - self._now_us))}"

    def call_promoted(self, event: CallPromoted) -> None:
        if event.item is None and event.call in self._by_call:
            self._by_call[event.call].child_run = event.child_run

    def call_cancelled(self, event: CallCancelRequested) -> None:
        if event.call in self._by_call:
            self._by_call[event.call].finish("cancelled", event.at_us)

    def items_completed(self, event: BatchItemsCompleted) -> None:
        draft = self._by_call.get(event.call)
        if draft is None:
            return
        draft.done += sum(stop - start for start, stop in event.items)
        draft.failed += len(event.failed)
        if draft.done >= draft.total:
            draft.finish("failed" if draft.failed else "done", event.at_us)

    def timer_fired(self, event: TimerFired) -> None:
        if event.call in self._by_call:
            self._by_call[event.call].finish("done", event.at_us)

    def timer_cancelled(self, event: TimerCancelled) -> None:
        if event.call in self._by_call:
            self._by_call[event.call].finish("cancelled", event.at_us)

    def signal_received(self, event: SignalReceived) -> None:
        listening = self._listening.get(event.name)
        if listening:
            listening.popleft().finish("done", event.at_us, describe(event.value, TEXT_LIMIT))
            return
        label = f"signal {event.name!r} kept"
        draft = _Draft("note", label, label, self._turn, event.at_us, None, "waiting")
        draft.detail = describe(event.value, TEXT_LIMIT)
        self.root.items.append(draft)
        self._kept.setdefault(event.name, deque()).append(draft)

    def ended(self, event: Event) -> None:
        """What was waited for is waited for no longer; a root activity ends with its run."""
        for draft in self._by_call.values():
            if draft.state == "waiting":
                draft.finish("cancelled", event.at_us)
        body = self._by_call.get(0)
        if body is not None:
            state: State = {"RunCompleted": "done", "RunFailed": "failed"}.get(event.type, "cancelled")  # type: ignore[assignment]  # both are states
            body.finish(state, event.at_us)

    # -- the tree of tasks -----------------------------------------------------------------------------------------

    def _add(self, path: str, draft: _Draft) -> None:
        if draft.call is not None:
            self._by_call[draft.call] = draft
        self._branch(path).items.append(draft)

    def _note(self, event: Event, label: str, detail: str = "") -> None:
        note = _Draft("note", label, label, self._turn, event.at_us, None, "done", event.at_us, detail)
        self.root.items.append(note)

    def _branch(self, path: str) -> _Branch:
        branch = self._branches.get(path)
        if branch is None:
            branch = self._branches[path] = _Branch(path)
            self._branch(path.rpartition(".")[0] or "0").items.append(branch)
        return branch


_READERS: dict[type[Event], Callable[[_Reader, Any], None]] = {
    RunStarted: _Reader.run_started,
    RoleCorrected: _Reader.role_corrected,
    CallScheduled: _Reader.call_scheduled,
    BatchScheduled: _Reader.batch_scheduled,
    TimerStarted: _Reader.timer_started,
    SignalAwaited: _Reader.signal_awaited,
    PatchRecorded: _Reader.patch_recorded,
    CancelRequested: _Reader.cancel_requested,
    CallCompleted: _Reader.call_completed,
    CallFailed: _Reader.call_failed,
    CallAttemptFailed: _Reader.attempt_failed,
    CallPromoted: _Reader.call_promoted,
    CallCancelRequested: _Reader.call_cancelled,
    BatchItemsCompleted: _Reader.items_completed,
    TimerFired: _Reader.timer_fired,
    TimerCancelled: _Reader.timer_cancelled,
    SignalReceived: _Reader.signal_received,
    **dict.fromkeys(TERMINALS, _Reader.ended),
}


def _call_draft(event: CallScheduled | RunStarted, call: int, turn: int) -> _Draft:
    name = display_name(event.function)
    label = f"{name}({describe_arguments(event.arguments, TEXT_LIMIT)})"
    return _Draft("call", label, name, turn, event.at_us, call)


def _arranged(branch: _Branch) -> tuple[Entry, ...]:
    """The entries of a branch, with what it started together as groups."""
    found: list[Entry] = []
    for turn, items in groupby(branch.items, key=_togetherness):
        together = [_arranged_item(item) for item in items]
        found += together if turn is None or len(together) == 1 else [_group(together)]
    return tuple(found)


def _togetherness(item: _Draft | _Branch) -> int | None:
    """What neighbours must share to be side by side; notes are beside nothing."""
    return None if isinstance(item, _Draft) and item.kind == "note" else item.turn


def _arranged_item(item: _Draft | _Branch) -> Entry:
    if isinstance(item, _Draft):
        return item.entry()
    inside = _arranged(item)
    return inside[0] if len(inside) == 1 else _around("branch", f"task {item.path}", inside)


def _group(together: list[Entry]) -> Entry:
    names = Counter(_name(entry) for entry in together)
    label = ", ".join(f"{count:,} \N{MULTIPLICATION SIGN} {name}" for name, count in names.items())
    return _around("group", label, tuple(together))


def _around(kind: Kind, label: str, children: tuple[Entry, ...]) -> Entry:
    """An entry that spans others."""
    stops = [child.stopped_us for child in children]
    is_over = None not in stops
    settled = sum(1 for stop in stops if stop is not None)
    return Entry(
        kind,
        label,
        _state_of(children),
        min(child.started_us for child in children),
        max(stop for stop in stops if stop is not None) if is_over else None,
        "" if is_over else f"{settled:,} of {len(children):,}",
        children=children,
    )


def _state_of(children: tuple[Entry, ...]) -> State:
    """What a whole is, from the states of its parts: the one that matters most."""
    states = {child.state for child in children}
    order: tuple[State, ...] = ("running", "waiting", "failed", "done", "cancelled")
    return next(state for state in order if state in states)


def _name(entry: Entry) -> str:
    """What an entry is called in a group: without its arguments."""
    return entry.label.partition("(")[0] if entry.kind == "call" else entry.label


def _rounded(duration_us: int) -> int:
    """A duration as people say it: to the second, or to the millisecond below one."""
    unit = 1_000_000 if duration_us >= 1_000_000 else 1_000
    return max(unit, duration_us // unit * unit)

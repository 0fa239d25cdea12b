"""What one history says, found without the fold: what was scheduled, what was answered, and what is impossible.

Rules of this file:
- nothing is shared with `stent.history.fold`: two pieces of code that agree are worth more than one that is trusted;
- an impossible event is reported and passed over, so that one damage does not hide the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stent.history.events import (
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallCancelRequested,
    CallCompleted,
    CallFailed,
    CallPromoted,
    CallScheduled,
    Event,
    RoleCorrected,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    RunStarted,
    RunTimedOut,
    SignalAwaited,
    SignalReceived,
    TimerCancelled,
    TimerFired,
    TimerStarted,
    indexes_of,
)
from stent.history.refusals import refused_by

Place = tuple[int, int | None]
"""A call, or an item of a batch."""

STATUS_OF_END: dict[type[Event], str] = {
    RunCompleted: "completed",
    RunContinuedAsNew: "completed",
    RunFailed: "failed",
    RunCancelled: "cancelled",
    RunTimedOut: "timed_out",
}
AFTER_THE_END = frozenset({CallCompleted, CallFailed, BatchItemsCompleted, CallAttemptFailed, CallPromoted})


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must never be: the name of the rule (I1 ...), where, and what was found."""

    name: str
    run_id: str | None
    seq: int | None
    message: str

    def __str__(self) -> str:
        place = "" if self.run_id is None else f" run {self.run_id}"
        place += "" if self.seq is None else f", seq {self.seq}"
        return f"{self.name}{place}: {self.message}"


@dataclass(slots=True)
class Scheduled:
    """A call, a batch or a timer, and what became of it."""

    event: Event
    child_run: str | None = None
    is_activity: bool = False
    is_cancelled: bool = False
    is_answered: bool = False
    open_items: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Facts:
    """What a history says."""

    run_id: str
    violations: list[Violation] = field(default_factory=list)
    started: RunStarted | None = None
    end: Event | None = None
    scheduled: dict[int, Scheduled] = field(default_factory=dict)
    promoted: dict[Place, str] = field(default_factory=dict)
    retries: dict[Place, CallAttemptFailed] = field(default_factory=dict)
    signal_keys: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Ids of children that were not started: other runs have them."""

    def report(self, name: str, event: Event, message: str) -> None:
        self.violations.append(Violation(name, self.run_id, event.seq, message))

    @property
    def status(self) -> str:
        """As far as a history can know."""
        return "open" if self.end is None else STATUS_OF_END[type(self.end)]

    @property
    def keeps_open_work(self) -> bool:
        """Whether what is open goes on: a cancelled or timed-out run wants nothing any more."""
        return not isinstance(self.end, RunCancelled | RunTimedOut)

    def open_places(self) -> list[Place]:
        """Calls and items of activities that still need somebody to carry them out."""
        if not self.keeps_open_work:
            return []
        places: list[Place] = []
        for call, found in self.scheduled.items():
            if found.is_cancelled or found.is_answered or (call == 0 and self.end is not None):
                continue
            if isinstance(found.event, BatchScheduled):
                items = [item for item in sorted(found.open_items) if (call, item) not in self.promoted]
                places += [(call, item) for item in items] if found.is_activity else []
            elif found.is_activity and (call, None) not in self.promoted:
                places.append((call, None))
        return places

    def open_timers(self) -> list[TimerStarted]:
        if self.end is not None:
            return []
        found = (timer for timer in self.scheduled.values() if not (timer.is_cancelled or timer.is_answered))
        return [timer.event for timer in found if isinstance(timer.event, TimerStarted)]


def facts_of(run_id: str, events: list[Event]) -> Facts:
    """Go through a history once."""
    facts = Facts(run_id)
    for place, event in enumerate(events):
        _check_order(facts, place, event)
        _take(facts, event)
    return facts


def _check_order(facts: Facts, place: int, event: Event) -> None:
    if (place == 0) != isinstance(event, RunStarted):
        facts.report("I3", event, f"{event.type} as event number {place + 1}: a history begins with RunStarted, once")
    if facts.end is None:
        return
    if event.is_terminal:
        facts.report("I3", event, f"{event.type} after {facts.end.type}: a run ends once")
    elif type(event) not in AFTER_THE_END:
        facts.report("I3", event, f"{event.type} after the end of the run")


def _take(facts: Facts, event: Event) -> None:
    match event:
        case RunStarted():
            facts.started = event
            if event.role == "activity":
                facts.scheduled[0] = Scheduled(event, is_activity=True)
        case RoleCorrected(role="activity"):
            facts.scheduled[0] = Scheduled(event, is_activity=True)
        case RoleCorrected():
            facts.scheduled.pop(0, None)
        case CallScheduled(call=call):
            _schedule(facts, call, Scheduled(event, event.child_run, event.role == "activity"))
        case BatchScheduled(call=call, count=count):
            batch = Scheduled(event, is_activity=event.role == "activity", open_items=set(range(count)))
            _schedule(facts, call, batch)
        case TimerStarted(call=call) | SignalAwaited(call=call):
            _schedule(facts, call, Scheduled(event))
        case CallPromoted(call=call, item=item, child_run=child_run):
            if _is_open(facts, event, call, item):
                facts.promoted[call, item] = child_run
        case CallAttemptFailed():
            _fail_attempt(facts, event)
        case CallCompleted(call=call) | CallFailed(call=call):
            if _is_open(facts, event, call, None):
                facts.scheduled[call].is_answered = True
                facts.refused |= refused_by(event)
                facts.retries.pop((call, None), None)
        case BatchItemsCompleted():
            _complete_items(facts, event)
        case CallCancelRequested(call=call) | TimerCancelled(call=call):
            if _is_open(facts, event, call, None):
                facts.scheduled[call].is_cancelled = True
                facts.retries = {place: retry for place, retry in facts.retries.items() if place[0] != call}
        case TimerFired(call=call):
            _fire(facts, event, call)
        case SignalReceived(key=key) if key is not None:
            facts.signal_keys.append(key)
    if event.is_terminal and facts.end is None:
        facts.end = event


def _schedule(facts: Facts, call: int, scheduled: Scheduled) -> None:
    if call in facts.scheduled or call < 1:
        facts.report("I5", scheduled.event, f"call {call} is scheduled twice, or has no number")
    facts.scheduled[call] = scheduled


_WANTED: dict[type[Event], tuple[type[Event], ...]] = {
    CallCompleted: (CallScheduled, RunStarted, RoleCorrected),
    CallFailed: (CallScheduled, RunStarted, RoleCorrected),
    CallCancelRequested: (CallScheduled, BatchScheduled),
    BatchItemsCompleted: (BatchScheduled,),
    TimerFired: (TimerStarted,),
    TimerCancelled: (TimerStarted,),
    CallPromoted: (CallScheduled, BatchScheduled, RunStarted),
    CallAttemptFailed: (CallScheduled, BatchScheduled, RunStarted, RoleCorrected),
}


def _is_open(facts: Facts, event: Event, call: int, item: int | None) -> bool:
    """Whether an outcome belongs to something scheduled before that has none yet; reports what is wrong."""
    found = facts.scheduled.get(call)
    if found is None or not isinstance(found.event, _WANTED[type(event)]):
        facts.report("I5", event, f"{event.type} for call {call}, which no earlier event scheduled")
        return False
    if found.is_cancelled or found.is_answered or (item is not None and item not in found.open_items):
        what = f"call {call}" if item is None else f"item {item} of call {call}"
        facts.report("I5", event, f"{event.type} for {what}, which is settled already or unknown")
        return False
    return True


def _fail_attempt(facts: Facts, event: CallAttemptFailed) -> None:
    if not _is_open(facts, event, event.call, event.item):
        return
    before = facts.retries.get((event.call, event.item))
    expected = 1 if before is None else before.attempt + 1
    if event.attempt != expected:
        facts.report("I13", event, f"attempt {event.attempt} of call {event.call} failed where {expected} was due")
    if before is not None and event.at_us < before.retry_at_us:
        facts.report("I13", event, f"attempt {event.attempt} of call {event.call} did not wait for its time")
    facts.retries[event.call, event.item] = event


def _complete_items(facts: Facts, event: BatchItemsCompleted) -> None:
    items = indexes_of(event.items)
    for item in items:
        if _is_open(facts, event, event.call, item):
            found = facts.scheduled[event.call]
            found.open_items.discard(item)
            found.is_answered = not found.open_items
            facts.retries.pop((event.call, item), None)
    facts.refused |= refused_by(event)
    if not set(event.failed) <= set(items):
        facts.report("I5", event, f"items of call {event.call} failed that are not among those completed")


def _fire(facts: Facts, event: TimerFired, call: int) -> None:
    if not _is_open(facts, event, call, None):
        return
    facts.scheduled[call].is_answered = True
    timer = facts.scheduled[call].event
    assert isinstance(timer, TimerStarted), "only timers are looked for"
    if event.at_us < timer.due_us:
        facts.report("I9", event, f"timer {call} fired {timer.due_us - event.at_us} us before it was due")

"""Why a run does not go on: what it waits for, since when, and what would unblock it.

Rules of this file:
- facts in, sentences out; nothing is asked of a store, a clock or a worker from here;
- one sentence for each thing that can move the run, the soonest first, and at most SHOWN of a kind;
- the answer names a person's next move where there is one: a command, a missing worker, a deploy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stent.clock import to_datetime
from stent.codec import describe
from stent.duration import format_duration
from stent.history.events import (
    CallAttemptFailed,
    CancelRequested,
    Event,
    SignalAwaited,
    SignalReceived,
    Site,
)
from stent.history.fold import OpenBatch, OpenCall, RunState, fold
from stent.history.records import LoadedRun, RunRow, SharedRow, WorkerRow
from stent.inspect.timeline import outcome_text
from stent.registry import display_name

SHOWN = 3
TEXT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is true around a run at one moment."""

    now_us: int
    workers: tuple[WorkerRow, ...] = ()
    children: tuple[RunRow, ...] = ()

    def is_alive(self, worker_id: str | None) -> bool:
        return any(each.worker_id == worker_id and each.valid_until_us > self.now_us for each in self.workers)

    @property
    def live_count(self) -> int:
        return sum(1 for each in self.workers if each.valid_until_us > self.now_us)


def why(loaded: LoadedRun, history: Sequence[Event], around: Surroundings) -> str:
    """One paragraph on a run, for a person."""
    run = loaded.run
    name = f"Run {run.run_id} of {display_name(run.function)}()"
    if run.is_ended:
        ended = next((event for event in history if event.is_terminal), None)
        when = f" {_moment(run.finished_at_us)}" if run.finished_at_us is not None else ""
        return f"{name} is {run.status}{when}: it {_past(outcome_text(ended))}. It waits for nothing."
    if run.status == "stalled":
        return _stalled(name, run)
    state = fold(history)
    sentences = [
        *_cancelling(history, around),
        *_messages(loaded, around),
        *_beginning(loaded, around),
        *_calls(loaded, state, history, around),
        *_batches(loaded, state, history, around),
        *_timers(state, history, around),
        *_signals(history, around),
        *_deadline(state, around),
    ]
    if not sentences:
        sentences = [_turning(run, around)]
    return f"{name} is {run.status}. " + " ".join(sentences)


def signals_waited_for(history: Iterable[Event]) -> list[SignalAwaited]:
    """Waits for a signal that no message has answered, oldest first; messages go to the oldest wait of their name.

    A wait that the program has given up since is not recorded as such, and counts as waiting.
    """
    waits: dict[str, list[SignalAwaited]] = {}
    kept: Counter[str] = Counter()
    for event in history:
        if isinstance(event, SignalReceived):
            if waits.get(event.name):
                waits[event.name].pop(0)
            else:
                kept[event.name] += 1
        elif isinstance(event, SignalAwaited):
            if kept[event.name]:
                kept[event.name] -= 1
            else:
                waits.setdefault(event.name, []).append(event)
    return sorted((wait for each in waits.values() for wait in each), key=lambda wait: wait.seq)


def _past(outcome: str) -> str:
    return outcome if outcome.startswith(("returned", "raised", "passed", "continued")) else f"was {outcome}"


def _stalled(name: str, run: RunRow) -> str:
    reason = run.stall or "the code does not fit its history"
    return (
        f"{name} is stalled: the code of the worker that tried it does not fit what was recorded. Nothing is lost, and "
        f"it goes on by itself as soon as a worker with fitting code runs. To give it up: stent cancel {run.run_id}\n\n"
        f"{reason}"
    )


def _cancelling(history: Sequence[Event], around: Surroundings) -> list[str]:
    asked = next((event for event in reversed(history) if isinstance(event, CancelRequested)), None)
    if asked is None:
        return []
    reason = f" ({asked.reason})" if asked.reason else ""
    return [f"Somebody asked it to stop {_ago(asked.at_us, around)}{reason}; its cleanup has not ended yet."]


def _messages(loaded: LoadedRun, around: Surroundings) -> list[str]:
    """What lies in its inbox is what it will do next, once somebody drains that."""
    if not loaded.inbox:
        return []
    kinds = Counter(_message_name(row.message.event) for row in loaded.inbox)
    shown = ", ".join(f"{count} {kind}" if count > 1 else f"a {kind}" for kind, count in kinds.items())
    return [f"Its inbox holds {shown}, to be taken by the worker that holds it; {_holder(loaded.run, around)}."]


def _message_name(event: Event) -> str:
    match event:
        case SignalReceived(name=name):
            return f"signal {name!r}"
        case CancelRequested():
            return "request to stop"
    return event.type


def _beginning(loaded: LoadedRun, around: Surroundings) -> list[str]:
    run = loaded.run
    if run.status != "pending":
        return []
    if run.owner is None:
        help_text = _help(run.function, run.queue, run.tags, around)
        return [f"No worker has begun it since it was started {_ago(run.created_at_us, around)}. {help_text}"]
    return [f"It was started {_ago(run.created_at_us, around)}; {_holder(run, around)}."]


def _calls(loaded: LoadedRun, state: RunState, history: Sequence[Event], around: Surroundings) -> list[str]:
    if loaded.run.status == "pending":
        return []
    open_calls = list(state.calls.values())
    if not open_calls:
        return []
    since = {event.seq: event.at_us for event in history}
    failures = {event.call: event for event in history if isinstance(event, CallAttemptFailed) and event.item is None}
    shared = {(row.call.call, row.call.first_item): row for row in loaded.shared}
    sentences = [
        _call(call, since.get(call.seq, 0), failures.get(call.call), shared.get((call.call, -1)), loaded, around)
        for call in open_calls[:SHOWN]
    ]
    if len(open_calls) > SHOWN:
        sentences.append(f"So it is with {len(open_calls) - SHOWN:,} more calls.")
    return sentences


def _call(
    call: OpenCall,
    since_us: int,
    failure: CallAttemptFailed | None,
    shared: SharedRow | None,
    loaded: LoadedRun,
    around: Surroundings,
) -> str:
    what = f"{display_name(call.function)}() (call {call.call}, for {_since(since_us, around)})"
    if not call.call:
        what = f"its own body (for {_since(since_us, around)})"
    if call.child_run is not None:
        child = next((row for row in around.children if row.run_id == call.child_run), None)
        status = f", which is {child.status}" if child is not None else ""
        return f"It waits for {what}, a run of its own{status}: `stent why {call.child_run}`."
    failed = f", attempt {call.attempt - 1} failed with {describe(failure.error, TEXT_LIMIT)}" if failure else ""
    if call.retry_at_us is not None and call.retry_at_us > around.now_us:
        wait = _lasting(call.retry_at_us - around.now_us)
        return f"It waits for {what}{failed}; attempt {call.attempt} begins in {wait}."
    if shared is not None and shared.claimed_by is None:
        way_out = _help(call.function, call.options.queue, call.options.tags, around)
        return f"It waits for {what}, which no worker has taken{failed}. {way_out}"
    owner = shared.claimed_by if shared is not None else loaded.run.owner
    return f"It waits for {what}{failed}; {_carried_out(owner, around)}."


def _batches(loaded: LoadedRun, state: RunState, history: Sequence[Event], around: Surroundings) -> list[str]:
    since = {event.seq: event.at_us for event in history}
    return [_batch(batch, since.get(batch.seq, 0), loaded, around) for batch in list(state.batches.values())[:SHOWN]]


def _batch(batch: OpenBatch, since_us: int, loaded: LoadedRun, around: Surroundings) -> str:
    rows = [row for row in loaded.shared if row.call.call == batch.call]
    free = sum(row.call.size for row in rows if row.claimed_by is None)
    text = (
        f"It waits for map({display_name(batch.function)}) (call {batch.call}, for {_since(since_us, around)}): "
        f"{batch.settled_count:,} of {batch.count:,} items have an outcome"
    )
    retries = [due_us for _, due_us in batch.attempts.values() if due_us > around.now_us]
    if retries:
        text += f", {len(retries):,} wait for a retry (the next in {_lasting(min(retries) - around.now_us)})"
    if free:
        text += f", {free:,} wait for a worker"
    stalled = [row.run_id for row in around.children if row.parent_call == batch.call and row.status == "stalled"]
    if stalled:
        text += f", {len(stalled):,} are runs that are stalled (`stent why {stalled[0]}`)"
    return f"{text}. {_help(batch.function, batch.options.queue, batch.options.tags, around)}" if free else f"{text}."


def _timers(state: RunState, history: Sequence[Event], around: Surroundings) -> list[str]:
    dues = sorted((due_us, call) for call, due_us in state.timers.items())
    sites = {
        getattr(event, "call", None): getattr(event, "site", None) for event in history if hasattr(event, "due_us")
    }
    sentences = []
    for due_us, call in dues[:SHOWN]:
        place = _place(sites.get(call))
        if due_us > around.now_us:
            sentences.append(f"It sleeps until {_moment(due_us)}, for {_lasting(due_us - around.now_us)} more{place}.")
        else:
            late = f"Its timer{place} has been due for {_lasting(around.now_us - due_us)}"
            sentences.append(f"{late}: {_any_worker(around)}.")
    if len(dues) > SHOWN:
        sentences.append(f"{len(dues) - SHOWN:,} more timers come later.")
    return sentences


def _signals(history: Sequence[Event], around: Surroundings) -> list[str]:
    waits = signals_waited_for(history)
    return [
        f"It has listened for the signal {wait.name!r} for {_since(wait.at_us, around)}{_place(wait.site)}; "
        f"to send it: `stent signal {_run_id(history)} {wait.name} JSON`."
        for wait in waits[:SHOWN]
    ]


def _deadline(state: RunState, around: Surroundings) -> list[str]:
    if state.deadline_us is None:
        return []
    left_us = state.deadline_us - around.now_us
    when = f"in {_lasting(left_us)}" if left_us > 0 else f"{_lasting(-left_us)} ago"
    return [f"Its deadline {'comes' if left_us > 0 else 'passed'} {when}."]


def _turning(run: RunRow, around: Surroundings) -> str:
    """Nothing is pending: its program is to be run on, by whoever holds it or takes it."""
    if run.owner is not None and around.is_alive(run.owner):
        return f"Its program is being run right now; {_holder(run, around)}."
    return f"It is ready to go on. {_help(run.function, run.queue, run.tags, around)}"


def _holder(run: RunRow, around: Surroundings) -> str:
    if run.owner is None:
        return f"nobody holds it now: {_any_worker(around)}"
    if around.is_alive(run.owner):
        return f"worker {run.owner} holds it"
    return f"worker {run.owner} held it and is gone: {_any_worker(around)}"


def _carried_out(owner: str | None, around: Surroundings) -> str:
    if owner is None:
        return f"nobody carries it out now: {_any_worker(around)}"
    if around.is_alive(owner):
        return f"worker {owner} carries it out"
    return f"worker {owner}, which carried it out, is gone: {_any_worker(around)}"


def _any_worker(around: Surroundings) -> str:
    if around.live_count:
        return "a live worker that knows the function takes it over"
    return "no worker is alive, so start one: stent worker APP"


def _help(function: str, queue: str | None, tags: Sequence[str], around: Surroundings) -> str:
    """What would get a call or a run a worker."""
    module = function.partition(":")[0]
    options = "".join([f" --queue {queue}" if queue is not None else "", *(f" --tag {tag}" for tag in tags)])
    command = f"stent worker {module}{options}"
    if not around.live_count:
        return f"No worker is alive: start one with `{command}`."
    needed = f"knows {display_name(function)}()"
    if queue is not None:
        needed += f", serves the queue {queue!r}"
    if tags:
        needed += f", serves the tags {', '.join(map(repr, tags))}"
    free = sum(each.free_slots for each in around.workers if each.valid_until_us > around.now_us)
    slots = f"{free:,} free slots" if free != 1 else "1 free slot"
    noun = "worker is" if around.live_count == 1 else "workers are"
    return (
        f"{around.live_count:,} {noun} alive with {slots}; one that {needed} and has a free slot takes it: `{command}`."
    )


def _run_id(history: Sequence[Event]) -> str:
    return str(getattr(history[0], "run_id", "RUN"))


def _place(site: Any) -> str:
    return f" at {site}" if isinstance(site, Site) else ""


def _ago(at_us: int, around: Surroundings) -> str:
    return f"{_since(at_us, around)} ago"


def _since(at_us: int, around: Surroundings) -> str:
    return _lasting(max(0, around.now_us - at_us))


def _moment(at_us: int) -> str:
    return f"{to_datetime(at_us):%Y-%m-%d %H:%M:%S} UTC"


def _lasting(duration_us: int) -> str:
    """A duration as people say it: two units at most, and nothing below a tenth of a second."""
    grain_us = next((grain for limit, grain in _GRAINS if duration_us >= limit), 100_000)
    return format_duration(max(100_000, duration_us // grain_us * grain_us))


_GRAINS = ((86_400_000_000, 3_600_000_000), (3_600_000_000, 60_000_000), (60_000_000, 1_000_000))
"""(from this long on, the smallest part that is said)."""

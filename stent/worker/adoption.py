"""Going on with a run that was loaded from the store: decode, fold, replay. Pure but for what replay runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from stent.errors import DivergenceError, SerializationError, StentError
from stent.history import wire
from stent.history.events import (
    BatchItemsCompleted,
    CallAttemptFailed,
    CallCompleted,
    CallFailed,
    CallPromoted,
    CancelRequested,
    DeadlineSet,
    Event,
    RoleCorrected,
    RunStarted,
    RunTimedOut,
    indexes_of,
)
from stent.history.fold import RunState, fold
from stent.history.records import LoadedRun, NewRun
from stent.registry import Function
from stent.replay.commands import Command
from stent.replay.execution import Execution
from stent.replay.replayer import is_orchestrator, replay
from stent.worker.draft import Plan
from stent.worker.held import Delivery, HeldRun
from stent.worker.slots import SINGLE


@dataclass(slots=True)
class Resumed:
    """A held run that has caught up, and the commands that its program gives beyond the history."""

    held: HeldRun
    commands: list[Command] = field(default_factory=list)
    now_us: int = 0
    """The time at which the first turn was carried out: it is recorded with that very time."""


def resume(loaded: LoadedRun, function: Function, now_us: int) -> Resumed:
    """Go on with a run; CorruptHistoryError or DivergenceError if that cannot be."""
    history = wire.decode_history(loaded.rows)
    held = _held(loaded, function, history)
    state = held.state
    resumed = Resumed(held, now_us=now_us)
    if state.deadline_us is not None and state.deadline_us <= now_us and not state.is_ended:
        held.deliver(Delivery(RunTimedOut(0, 0, state.deadline_us)))  # too late: nothing of it may begin
    elif is_orchestrator(history) and not state.is_ended:
        if _is_unbegun(history) and any(isinstance(row.message.event, CancelRequested) for row in loaded.inbox):
            held.execution = Execution(function)
            held.execution.apply(history[0], (), is_open=False)
        else:
            replayed = replay(function, history, now_us)
            held.execution, resumed.commands = replayed.execution, replayed.commands
    _begin(held, history, now_us)
    for row in loaded.inbox:
        held.deliver(Delivery(row.message.event, row.message.key))
    return resumed


def abandon(loaded: LoadedRun, function: Function) -> Resumed | None:
    """A run whose code does not fit, if somebody has asked for its end: cancelled without its program having a say."""
    wishes = [row.message for row in loaded.inbox if isinstance(row.message.event, CancelRequested)]
    if not wishes:
        return None
    held = _held(loaded, function, wire.decode_history(loaded.rows))
    others = [row.message for row in loaded.inbox if row.message not in wishes]
    for message in (*wishes, *others):
        held.deliver(Delivery(message.event, message.key))
    return Resumed(held)


def carry_over(held: HeldRun, plan: Plan, again: HeldRun) -> None:
    """Hand to a run that was read again what only this worker knows of it: its last plan was refused.

    A cancel that waits comes first: behind what completed the run it would come too late once more. Then the other
    messages, then what bodies brought that ended here. The bodies go on.
    """
    waiting = list(again.deliveries)
    again.deliveries.clear()
    again.deliveries.extend(sorted(waiting, key=lambda delivery: not isinstance(delivery.event, CancelRequested)))
    for delivery in (*plan.taken, *held.deliveries):
        if delivery.key is not None:
            again.deliver(delivery)
        elif _is_outcome_of_a_body(delivery.event, again.state):
            again.deliver(delivery)
            again.settling.update(_bodies_behind(delivery.event))
    again.running, held.running = held.running, {}
    for call in [call for call in held.batches if call in again.state.batches]:
        source = again.batches[call] = held.batches.pop(call)
        source.batch = again.state.batches[call]
    for shared in (*plan.append.shared, *held.offers):
        if shared.call in again.state.calls:
            again.offer(shared)
        elif shared.call in again.state.batches:
            again.offer(shared)
            again.lent.setdefault(shared.call, set()).update(indexes_of(shared.items))


def _is_outcome_of_a_body(event: Event, state: RunState) -> bool:
    """Whether an event says how a body ended here. All others follow from the history, and come by themselves."""
    if isinstance(event, CallPromoted) and event.call in state.batches:
        return state.batches[event.call].role == "activity"
    return isinstance(event, CallCompleted | CallFailed | CallAttemptFailed | CallPromoted | BatchItemsCompleted)


def _bodies_behind(event: Event) -> list[tuple[int, int]]:
    match event:
        case BatchItemsCompleted():
            return [(event.call, item) for item in indexes_of(event.items)]
        case CallAttemptFailed(call=call, item=int(item)) | CallPromoted(call=call, item=int(item)):
            return [(call, item)]
        case CallCompleted(call=call) | CallFailed(call=call) | CallAttemptFailed(call=call) | CallPromoted(call=call):
            return [(call, SINGLE)]
    return []


def _held(loaded: LoadedRun, function: Function, history: list[Event]) -> HeldRun:
    """What the row and the history say of a run; without its program."""
    run = loaded.run
    held = HeldRun(run.run_id, run.epoch, function, fold(history), loaded.rows[-1].hash)
    held.status = run.status
    held.is_stalled = run.status == "stalled"
    held.limit_key = run.limit_key
    held.crashes = run.crashes
    for row in loaded.shared:
        held.shared.add((row.call.call, row.call.first_item))
        held.lent.setdefault(row.call.call, set()).update(indexes_of(row.call.items))
    return held


def begin(run: NewRun, started: RunStarted, function: Function, now_us: int) -> Resumed:
    """Begin a run that was started here and is held from birth."""
    state = fold([started])
    held = HeldRun(run.run_id, 1, function, state, run.started.hash)
    held.limit_key = run.limit_key
    resumed = Resumed(held, now_us=now_us)
    if started.role == "orchestrator":
        held.execution = Execution(function)
        resumed.commands = held.execution.apply(started, now_us=now_us)
    _begin(held, [started], now_us)
    return resumed


def _is_unbegun(history: list[Event]) -> bool:
    return len(history) == 1


def _begin(held: HeldRun, history: list[Event], now_us: int) -> None:
    """What follows from the first look at a run: its own time limit, and a role that was wrong."""
    started = history[0]
    assert isinstance(started, RunStarted), "the fold has checked the first event"
    if started.max_duration_us is not None and not any(isinstance(event, DeadlineSet) for event in history):
        held.deliver(Delivery(DeadlineSet(0, 0, now_us + started.max_duration_us)))
    if held.execution is not None and held.execution.wants_activity is not None:
        held.deliver(Delivery(RoleCorrected(0, 0, "activity")))


__all__ = ["DivergenceError", "Resumed", "SerializationError", "StentError", "begin", "resume"]

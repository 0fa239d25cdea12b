"""One turn, decided: from what happened to what is to be written and done. No I/O, no clock, no store.

Rules of this file:
- deliveries are applied one at a time, each followed by the commands it provoked: that is the order of the history;
- a delivery that no longer means anything (its call was cancelled, its run has ended) is consumed and leaves no event;
- what comes behind an end that it could still change, or that it is not for, is left where it is: a cancel behind a
  completion, which the store refuses for it, and a signal to a run that goes on as another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from stent.codec import Payload, split
from stent.history.events import (
    BatchItemsCompleted,
    CallAttemptFailed,
    CallCompleted,
    CallFailed,
    CallOptions,
    CallPromoted,
    CancelRequested,
    DeadlineSet,
    Event,
    RoleCorrected,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunStarted,
    RunTimedOut,
    SignalReceived,
    TimerFired,
    indexes_of,
)
from stent.history.fold import OpenBatch, OpenCall, RunState
from stent.history.records import NewRun
from stent.ids import child_run_id
from stent.registry import Function, Registry
from stent.replay.commands import (
    CancelCall,
    CancelTimer,
    Command,
    ContinueRunAsNew,
    ScheduleBatch,
    ScheduleCall,
    StartTimer,
)
from stent.replay.execution import Execution
from stent.replay.roles import predict_role
from stent.worker.answers import answer_to_parent, end_of_activity
from stent.worker.draft import EVENTS_A_TURN, Draft, Plan
from stent.worker.effects import Adopt, Arm, Ended, StartCall, StartItems
from stent.worker.held import Delivery, HeldRun
from stent.worker.offers import shared_call, shared_items
from stent.worker.placement import Placement
from stent.worker.starting import Parent, first_event, new_run, next_run_id


class Planner:
    """Plans the turns of one run, one call of `plan` a commit."""

    __slots__ = ("_draft", "_held", "_placement", "_registry", "_state", "_token")

    def __init__(
        self,
        held: HeldRun,
        placement: Placement,
        registry: Registry,
        now_us: int,
        token: Callable[[], bytes],
        events_at_most: int = EVENTS_A_TURN,
    ) -> None:
        self._held = held
        self._state = held.state
        self._placement = placement
        self._registry = registry
        self._token = token
        self._draft = Draft(held, now_us, token, events_at_most)

    def plan(self, commands: Sequence[Command] = ()) -> Plan | None:
        """Take what has been delivered (and `commands` of a replay that went on) into one append; None if empty."""
        held, draft = self._held, self._draft
        if commands:
            self._carry_out(commands)
        while held.deliveries and not draft.is_full:
            self._take(held.deliveries.popleft())
        return draft.finish()

    # -- taking in -------------------------------------------------------------------------------------------------

    def _take(self, delivery: Delivery) -> None:
        draft = self._draft
        event = delivery.event
        if draft.has_end and _is_left(event, self._state):
            return
        draft.take(delivery)
        if not _is_meaningful(event, self._state):
            return
        if type(event) is CallCompleted and event.call != 0:  # nearly all of them
            event = draft.record(event)
            self._held.settled(event)
            self._apply(event)
            return
        if isinstance(event, CallCompleted | CallFailed) and event.call == 0:
            self._end(draft.record(end_of_activity(event)))
            return
        event = draft.record(event)
        self._held.settled(event)
        if isinstance(event, CallAttemptFailed):
            self._held.attempt_failed(event.call, event.item)
            draft.effects.append(Arm(event.retry_at_us))
        elif isinstance(event, CallPromoted):
            draft.start(self._promoted_child(event))
        elif isinstance(event, RunTimedOut):
            self._end(event)
        elif isinstance(event, DeadlineSet):
            draft.effects.append(Arm(event.deadline_us))
        elif isinstance(event, RoleCorrected):
            self._correct_role(event)
        elif event.is_delivery:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        """Let the program see an event."""
        execution = self._held.execution
        if self._state.is_ended:
            return
        if execution is not None:
            self._carry_out(execution.apply(event))
            if execution.wants_activity is not None:
                self._take(Delivery(RoleCorrected(0, 0, "activity")))
        elif isinstance(event, CancelRequested):
            self._end(self._draft.record(RunCancelled(0, 0, event.reason)))

    def _correct_role(self, event: RoleCorrected) -> None:
        """The body turned out to be of the other kind: begin again as that."""
        held = self._held
        held.function.role_hint = event.role
        held.close_program()
        if event.role == "activity":
            self._draft.effects.append(StartCall(self._state.calls[0]))
            return
        execution = held.execution = Execution(held.function, is_strict_role=True)
        execution.apply(_started_event(self._state))
        self._carry_out(execution.apply(event))

    # -- carrying out ----------------------------------------------------------------------------------------------

    def _carry_out(self, commands: Iterable[Command]) -> None:
        draft = self._draft
        for command in commands:
            if type(command) is ScheduleCall:  # nearly all of them
                self._schedule_call(command)
                continue
            match command:
                case ScheduleBatch():
                    self._schedule_batch(command)
                case StartTimer():
                    draft.place(command)
                    draft.effects.append(Arm(command.due_us))
                case CancelCall():
                    self._cancel_call(command)
                case CancelTimer():
                    draft.place(command)
                case ContinueRunAsNew():
                    self._continue_as_new(command)
                case _:
                    event = draft.place(command)
                    if event.is_terminal:
                        self._end(event)

    def _schedule_call(self, command: ScheduleCall) -> None:
        state, draft = self._state, self._draft
        function = command.function
        role = predict_role(function)
        if role == "activity":
            draft.place(command, role=role)
            call = state.calls[command.call]
            if self._placement.is_here(function, call.options):
                draft.effects.append(StartCall(call))
            else:
                self._held.offer(shared_call(state.run_id, call, function))
            return
        run_id = command.run_id or child_run_id(state.run_id, command.call)
        draft.place(command, role=role, child_run=run_id)
        parent = (state.run_id, command.call, None)
        draft.start(self._new_run(run_id, function, command.arguments, command.options, parent))

    def _schedule_batch(self, command: ScheduleBatch) -> None:
        draft = self._draft
        function = command.function
        role = predict_role(function)
        draft.place(command, role=role)
        batch = self._state.batches[command.call]
        if role == "orchestrator" and batch.limit is None:
            for item, arguments in enumerate(split(batch.items)):
                draft.start(self._item_child(batch, item, arguments, function))
        elif role == "activity" and batch.limit is None and not self._placement.is_here(function, batch.options):
            self._held.offer(shared_items(self._state.run_id, batch, function, ((0, batch.count),)))
        else:
            draft.effects.append(StartItems(batch))

    def _cancel_call(self, command: CancelCall) -> None:
        state = self._state
        call, batch = state.calls.get(command.call), state.batches.get(command.call)
        self._draft.place(command)
        self._draft.withdraw(command.call, call, batch, "the caller no longer waits for it")

    # -- new runs --------------------------------------------------------------------------------------------------

    def _promoted_child(self, event: CallPromoted) -> NewRun:
        """An activity turned out to be an orchestrator: its own run answers the call from here on."""
        state = self._state
        if event.item is None:
            call: OpenCall = state.calls[event.call]
            function = self._registry.find(call.function)
            parent = (state.run_id, event.call, None)
            return self._new_run(event.child_run, function, call.arguments, call.options, parent)
        batch = state.batches[event.call]
        (arguments,) = split(batch.items, [event.item])
        return self._item_child(batch, event.item, arguments, self._registry.find(batch.function))

    def _item_child(self, batch: OpenBatch, item: int, arguments: Payload, function: Function) -> NewRun:
        run_id = child_run_id(self._state.run_id, batch.call, item)
        return self._new_run(run_id, function, arguments, batch.options, (self._state.run_id, batch.call, item))

    def _new_run(
        self,
        run_id: str,
        function: Function,
        arguments: Payload,
        options: CallOptions,
        parent: Parent | None,
        *,
        is_kept: bool = True,
    ) -> NewRun:
        """An orchestrator's run, kept here from birth if this worker may, unless it is to be read before it begins."""
        draft = self._draft
        started = first_event(run_id, function, arguments, options, "orchestrator", draft.at_us, parent=parent)
        run = new_run(started, function, self._token())
        owner = self._placement.owner_for(run) if is_kept else None
        if owner is None:
            return run
        run = replace(run, owner=owner)
        draft.effects.append(Adopt(run, started))
        return run

    # -- ending ----------------------------------------------------------------------------------------------------

    def _continue_as_new(self, command: ContinueRunAsNew) -> None:
        held, state, draft = self._held, self._state, self._draft
        assert held.execution is not None, "the command came from it"
        next_run = next_run_id(state.run_id)
        event = draft.place(command, next_run=next_run)
        # Only the store knows which signals it begins with: until the commit more of them may come.
        draft.start(
            self._new_run(next_run, held.function, command.arguments, state.options, state.parent, is_kept=False)
        )
        draft.hand_on(next_run, held.execution.unread_signals())
        self._end(event)

    def _end(self, event: Event) -> None:
        """The run has an outcome: tell its parent."""
        state, draft = self._state, self._draft
        draft.effects.append(Ended(event))
        if state.parent is not None and not isinstance(event, RunContinuedAsNew):
            draft.tell(answer_to_parent(state.parent, state.run_id, event, self._held.function))


def _is_left(event: Event, state: RunState) -> bool:
    """Whether an event behind the end of a run, in the same append, still counts and is not for the run to take."""
    match event:
        case CancelRequested():
            return isinstance(state.ended, RunCompleted | RunContinuedAsNew)
        case SignalReceived():
            return isinstance(state.ended, RunContinuedAsNew)
    return False


def _is_meaningful(event: Event, state: RunState) -> bool:
    """Whether an event still changes anything."""
    if type(event) is CallCompleted:  # nearly all of them
        return event.call in state.calls
    match event:
        case CallFailed(call=call):
            return call in state.calls
        case CallAttemptFailed(call=call, item=None):
            return call in state.calls and state.calls[call].attempt == event.attempt
        case CallAttemptFailed(call=call, item=int(item)):
            batch = _batch_with_open(item, call, state)
            return batch is not None and batch.attempts.get(item, (1, 0))[0] == event.attempt
        case CallPromoted(call=call, item=None):
            return call in state.calls and state.calls[call].role == "activity"
        case CallPromoted(call=call, item=int(item)):
            batch = _batch_with_open(item, call, state)
            return batch is not None and item not in batch.promoted
        case BatchItemsCompleted(call=call):
            # A part is written whole or not at all: if one item has an outcome, all of it was settled before.
            batch = state.batches.get(call)
            return batch is not None and not any(batch.settled[index] for index in indexes_of(event.items))
        case TimerFired(call=call):
            return call in state.timers
        case SignalReceived(key=key):
            is_known = key is not None and state.signal_keys is not None and key in state.signal_keys
            return not is_known and not state.is_ended
        case CancelRequested(put=put):
            return not state.is_ended and (put is None or put not in state.cancel_puts)
        case RunTimedOut() | RoleCorrected() | DeadlineSet():
            return not state.is_ended
    return True


def _batch_with_open(item: int, call: int, state: RunState) -> OpenBatch | None:
    """The batch of a call if the item has no outcome yet."""
    batch = state.batches.get(call)
    return batch if batch is not None and not batch.settled[item] else None


def _started_event(state: RunState) -> RunStarted:
    """The first event again, for a program that begins anew under its corrected role."""
    assert state.arguments is not None, "a run has arguments from its first event on"
    return RunStarted(1, state.started_at_us, state.run_id, state.function, state.arguments, "activity", state.options)

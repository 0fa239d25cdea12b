"""An append in the making: events in their places, and all that is written or done along with them.

Rules of this file:
- every event goes through the fold before it is written, so an impossible history is never recorded;
- what must not happen before the events are durable is an effect, carried out after the commit;
- an end from outside (cancelled, timed out) withdraws at once what the run still had open;
- what was delivered by nobody's message is kept with the plan: if it is refused, only this worker knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from stent.history import wire
from stent.history.events import CancelRequested, Event, RunCancelled, RunTimedOut, SignalReceived, TimerFired, placed
from stent.history.fold import TERMINAL_STATUS, OpenBatch, OpenCall, Status
from stent.history.operations import Append, Release
from stent.history.records import Message, NewRun
from stent.ids import child_run_id
from stent.replay.commands import Command, event_of
from stent.worker.effects import Effect, StopBodies, Tell
from stent.worker.held import Delivery, HeldRun

_TERMINAL = frozenset(TERMINAL_STATUS.values())
EVENTS_A_TURN = 1000  # deliveries stop here; the rest comes with the next commit


@dataclass(slots=True)
class Plan:
    """What a turn writes, and what is done after that."""

    append: Append
    effects: list[Effect]
    taken: list[Delivery] = field(default_factory=list)
    """The deliveries in it that came as no message."""


class Draft:
    """What one turn of a run writes, and the effects that follow."""

    __slots__ = (
        "_children",
        "_consumed",
        "_events",
        "_events_at_most",
        "_held",
        "_messages",
        "_next_run",
        "_now_us",
        "_taken",
        "_token",
        "_withdrawn",
        "effects",
    )

    def __init__(
        self, held: HeldRun, now_us: int, token: Callable[[], bytes], events_at_most: int = EVENTS_A_TURN
    ) -> None:
        self._held = held
        self._now_us = now_us
        self._token = token
        self._events_at_most = events_at_most
        self._events: list[Event] = []
        self._consumed: list[str] = []
        self._children: list[NewRun] = []
        self._messages: list[Message] = []
        self._withdrawn: list[int] = []
        self._taken: list[Delivery] = []
        self._next_run: str | None = None
        self.effects: list[Effect] = []

    @property
    def is_full(self) -> bool:
        return len(self._events) >= self._events_at_most

    @property
    def has_end(self) -> bool:
        """Whether the run ends in this append."""
        return self._held.state.ended is not None and self._held.status not in _TERMINAL

    @property
    def at_us(self) -> int:
        """The time of the next event: now, but never before the last one."""
        return max(self._now_us, self._held.state.last_at_us)

    # -- events ----------------------------------------------------------------------------------------------------

    def place(self, command: Command, **decided: Any) -> Event:
        """Record what a command of the program means."""
        event = event_of(command, self._held.state.head_seq + 1, self.at_us, **decided)
        self._fold(event)
        return event

    def record(self, template: Event) -> Event:
        """Give an event from outside its place in the history."""
        state = self._held.state
        at_us = self.at_us
        if type(template) is TimerFired:
            at_us = max(at_us, state.timers[template.call])
        event = placed(template, state.head_seq + 1, at_us)
        self._fold(event)
        return event

    def _fold(self, event: Event) -> None:
        state = self._held.state
        if type(event) is not RunCancelled and type(event) is not RunTimedOut:
            state.apply(event)
            self._events.append(event)
            return
        calls, batches = dict(state.calls), dict(state.batches)
        state.apply(event)
        self._events.append(event)
        reason = "the run that called it has ended"
        for number, call in calls.items():
            self.withdraw(number, call, None, reason)
        for number, batch in batches.items():
            self.withdraw(number, None, batch, reason)

    # -- what goes with them ---------------------------------------------------------------------------------------

    def take(self, delivery: Delivery) -> None:
        """A delivery is used up, whether or not it still means anything: its message leaves the inbox."""
        if delivery.key is not None:
            self._consumed.append(delivery.key)
        else:
            self._taken.append(delivery)

    def start(self, child: NewRun) -> None:
        """Write a new run."""
        self._children.append(child)

    def tell(self, message: Message) -> None:
        """Put a message into another run's inbox."""
        self._messages.append(message)
        self.effects.append(Tell(message))

    def hand_on(self, next_run: str, signals: Iterable[SignalReceived]) -> None:
        """Give `signals`, and those that still wait for this run, to the one that goes on in its place."""
        self._next_run = next_run
        for number, signal in enumerate(signals, 1):
            key = signal.key if signal.key is not None else f"signal {number} of {self._held.run_id}"
            self._messages.append(Message(next_run, key, replace(signal, seq=0, at_us=0)))

    def withdraw(self, number: int, call: OpenCall | None, batch: OpenBatch | None, reason: str) -> None:
        """Stop what is behind a call, wherever it is carried out."""
        held = self._held
        self.effects.append(StopBodies(number))
        if any(call_number == number for call_number, _ in held.shared):
            self._withdrawn.append(number)
            held.shared = {pair for pair in held.shared if pair[0] != number}
        children = [call.child_run] if call is not None else []
        if batch is not None:
            children.extend(_children_of(batch, held.run_id))
        for child in children:
            if child is not None:
                cancel = CancelRequested(0, 0, reason, put=f"call {number} of {held.run_id}")
                self.tell(Message(child, f"cancel-{number}", cancel))

    # -- the whole -------------------------------------------------------------------------------------------------

    def finish(self) -> Plan | None:
        """The append and its effects, or None if there is nothing to write."""
        if not (self._events or self._consumed or self._held.offers):
            return None
        return Plan(self._append(), self.effects, self._taken)

    def _append(self) -> Append:
        held, state = self._held, self._held.state
        rows = wire.encode_all(self._events, state.run_id, held.epoch, held.head_hash, self._token())
        if rows:
            held.head_hash = rows[-1].hash
        offers = held.offers
        if offers:
            held.offers = []
        status: Status | None = None
        if state.ended is not None and self.has_end:
            status = TERMINAL_STATUS[type(state.ended)]
        elif held.is_stalled:
            status = "running"
        if status is not None:
            held.status = status
            held.is_stalled = False
        is_over = state.is_ended and not state.has_open_work
        return Append(
            state.run_id,
            held.epoch,
            rows,
            tuple(self._consumed),
            tuple(self._children),
            tuple(self._messages),
            tuple(offers),
            tuple(self._withdrawn),
            status,
            state.last_at_us,
            None,
            Release() if is_over else None,
            self._next_run,
        )


def _children_of(batch: OpenBatch, run_id: str) -> list[str]:
    """The runs that answer items of a batch."""
    if batch.role == "orchestrator" and batch.limit is None:
        return [child_run_id(run_id, batch.call, item) for item in batch.open_items()]
    return list(batch.promoted.values())

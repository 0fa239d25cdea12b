"""The runs that this worker holds: what is decided about them is written, and then done.

Rules of this file:
- one append of a run is in flight at a time; what arrives meanwhile is taken into the next one, all of it together;
- effects follow the commit, never precede it;
- a run that was fenced is dropped at once: its bodies are stopped, its program thrown away;
- a run that may not end before it has read a message is read again, and goes on from there; its bodies go on meanwhile;
- what the store or the fold refuses stalls its run, and no other: a person has to look at it;
- nothing here decides: `planning` says what a turn writes, `outcomes` what an outcome means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from stent.history.events import Event, RunStarted, SignalReceived
from stent.history.operations import Append, Appended, Outcome as Written, Release, Unread
from stent.history.records import LoadedRun, Message, NewRun
from stent.log import get_logger
from stent.replay.commands import Command
from stent.worker import adoption, outcomes
from stent.worker.alarms import Alarms
from stent.worker.bodies import Bodies
from stent.worker.draft import EVENTS_A_TURN, Plan
from stent.worker.effects import Adopt, Arm, Effect, Ended, StartCall, StartItems, StopBodies, Tell
from stent.worker.held import Delivery, HeldRun, Holdings
from stent.worker.link import Link
from stent.worker.local import LocalWork
from stent.worker.outcomes import Outcome, Stopped
from stent.worker.placement import Placement
from stent.worker.planning import Planner
from stent.worker.reading import RunReader
from stent.worker.slots import SINGLE, Attempt

log = get_logger(__name__)

IDLE_RELEASE_US = 10_000_000  # a run that has waited this long is cheaper to read again than to keep


class Runs:
    """All runs under this worker's lease."""

    def __init__(
        self,
        link: Link,
        worker_id: str,
        bodies: Bodies,
        *,
        queues: frozenset[str] | None,
        tags: frozenset[str] | None,
        on_ready: Callable[[], None],
        on_due: Callable[[int], None],
        on_sleeper: Callable[[int], None],
        on_cancelled: Callable[[str, int, int], None],
        on_quiet: Callable[[], None],
        on_signal: Callable[[], None],
        events_a_turn: int = EVENTS_A_TURN,
    ) -> None:
        self.held = Holdings()
        self.alarms = Alarms()
        self._link = link
        self.reader = RunReader(link)
        self._readings: set[asyncio.Task[None]] = set()
        self._bodies = bodies
        self.placement = Placement(worker_id, link.registry, self.held, bodies, queues=queues, tags=tags)
        self._work = LocalWork(link, bodies, self.placement, deliver=self.deliver, pump=self.pump)
        self._on_ready = on_ready
        self._on_due = on_due
        self._on_sleeper = on_sleeper
        self._on_cancelled = on_cancelled
        self._on_quiet = on_quiet
        self._on_signal = on_signal
        self._events_a_turn = events_a_turn

    # -- taking on -------------------------------------------------------------------------------------------------

    def adopt_new(self, run: NewRun, started: RunStarted) -> None:
        """Go on with a run that was started here and is held from birth."""
        self.placement.settle(run.run_id)
        function = self._link.registry.find(run.function)
        resumed = adoption.begin(run, started, function, self._link.clock.now_us())
        self._take_on(resumed)

    async def adopt_loaded(self, loaded: LoadedRun) -> None:
        """Go on with a run that was claimed; one that cannot go on is stalled, with the reason."""
        resumed = await self.reader.resume(loaded)
        if resumed is None:
            return
        if self.held.is_closing:
            self._submit(resumed.held, _release(resumed.held, now=True))
            return
        self._take_on(resumed)

    async def _adopt_again(self, held: HeldRun, refused: Plan) -> None:
        """Go on from what is recorded with a run that has a message to read before it may end."""
        resumed = await self.reader.resume_again(held)
        if resumed is None or held.is_dropped:
            if resumed is not None:
                _close_program(resumed.held)
            self.drop(held)
            return
        self._work.flush(held)  # it counts as being written, so that nothing more is planned for it
        adoption.carry_over(held, refused, resumed.held)
        self._forget(held)
        self._take_on(resumed)

    def _take_on(self, resumed: adoption.Resumed) -> None:
        held = resumed.held
        self.held.add(held)
        open_calls, open_batches = list(held.state.calls.values()), list(held.state.batches.values())
        was_stalled = held.is_stalled
        self.pump(held, resumed.commands, resumed.now_us)
        if was_stalled and not held.is_committing:
            held.is_stalled = False
            held.status = "running"
            self._submit(held, Plan(Append(held.run_id, held.epoch, status="running"), []))
        for call in open_calls:
            if call.role == "activity" and (call.call, SINGLE) not in held.shared:
                self._work.start_call(held, call)
        for batch in open_batches:
            self._work.start_items(held, batch)
        self._wake(held)

    # -- turns -----------------------------------------------------------------------------------------------------

    def deliver(self, held: HeldRun, event: Event, key: str | None = None) -> None:
        if held.deliver(Delivery(event, key)):
            self.pump(held)

    def pump(self, held: HeldRun, commands: Sequence[Command] = (), now_us: int | None = None) -> None:
        """Plan and write what has been delivered, unless a write is in flight: then it follows."""
        if held.is_committing or held.is_dropped:
            return
        now_us = now_us or self._link.clock.now_us()
        registry, token = self._link.registry, self._link.ids.token
        planner = Planner(held, self.placement, registry, now_us, token, self._events_a_turn)
        try:
            plan = planner.plan(commands)
        except Exception as error:  # border: a history that no code of ours can go on with must not stop the others
            self.drop(held)
            self.reader.stall(held.run_id, held.epoch, error)
            return
        if plan is not None:
            self._submit(held, plan)

    def _submit(self, held: HeldRun, plan: Plan) -> None:
        held.is_committing = True
        held.idle_since_us = None
        self._link.submit(plan.append, partial(self._written, held, plan))

    def _written(self, held: HeldRun, plan: Plan, outcome: Written | None, error: BaseException | None) -> None:
        if isinstance(outcome, Unread) and not held.is_dropped:
            reading = self._link.loop.create_task(self._adopt_again(held, plan), name="stent-read-again")
            self._readings.add(reading)
            reading.add_done_callback(self._readings.discard)
            return  # it is as if the write were still in flight
        held.is_committing = False
        if not isinstance(outcome, Appended):
            self.drop(held)
            self.reader.refused(held, error)
            return
        if plan.append.release is not None:
            self._forget(held)
            if held.deliveries or plan.append.release.now:
                self._on_ready()
            elif not held.state.is_ended:
                self._on_signal()  # one may have come while the release was in flight: then the run is ready
            if plan.append.release.due_us is not None:
                self.wake(plan.append.release.due_us)
        append = plan.append
        for call, first_item in outcome.cancelled:
            self._on_cancelled(held.run_id, call, first_item)
        for key in append.consumed:
            held.keys.discard(key)
        effects: Iterable[Effect] = plan.effects
        if outcome.taken or outcome.led_on:
            effects = _as_written(plan, outcome)
        for effect in effects:
            self._carry_out(held, effect)
        if outcome.taken:
            self._on_signal()  # the answers lie in inboxes, some of them perhaps of runs that are held here
        if append.shared or (append.children and any(child.owner is None for child in append.children)):
            self._on_ready()
        if held.state.batches or held.batches:
            self._work.tend_batches(held)
        if (held.deliveries or held.offers) and not held.is_dropped:
            self.pump(held)
        if held.is_quiet or held.is_dropped:
            self._on_quiet()

    def _carry_out(self, held: HeldRun, effect: Effect) -> None:
        match effect:
            case StartCall(call):
                self._work.start_call(held, call)
            case Arm(due_us):
                self._arm(held.run_id, due_us)
            case Ended(event):
                self._link.run_ended(held.run_id, event)
                if held.limit_key is not None:
                    self._on_ready()  # there is room under the limit now
                _close_program(held)
            case Tell(message):
                self._link.route(message)
            case Adopt(run, started):
                self.adopt_new(run, started)
            case StartItems(batch):
                self._work.start_items(held, batch)
            case StopBodies(call):
                self._work.stop(held, call)

    def take(self, message: Message) -> bool:
        """A message was put into an inbox: its run has it soon; False if it is not held here.

        Signals come by way of the inbox, for others may lie there before them, written by another process.
        """
        if message.run_id not in self.held:
            return False
        if isinstance(message.event, SignalReceived):
            self._on_signal()
        else:
            self.hand_over(message)
        return True

    def hand_over(self, message: Message) -> None:
        """Give a run a message of its inbox, if it is held here still; those of one run in the order of the inbox."""
        held = self.held.get(message.run_id)
        if held is not None:
            self.deliver(held, message.event, message.key)

    def wake(self, due_us: int | None = None) -> None:
        """A run that nobody holds may be claimed: at `due_us`, or now."""
        if due_us is None:
            self._on_ready()
        else:
            self._on_sleeper(due_us)

    def finished(self, attempt: Attempt, outcome: Outcome) -> None:
        """A body that ran here for a run held here has ended."""
        held = self.held.get(attempt.run_id)
        if held is not None and not held.is_dropped and not isinstance(outcome, Stopped):
            self._work.finished(held, attempt, outcome)

    def lend(self, count: int) -> None:
        """Offer to all workers up to `count` attempts that wait here for a slot."""
        borrowers: dict[str, HeldRun] = {}
        for loan in self._bodies.lend(count):
            held = self.held.get(loan.run_id)
            if held is not None:
                self._work.lend(held, loan)
                borrowers[held.run_id] = held
        for held in borrowers.values():
            self.pump(held)

    # -- time ------------------------------------------------------------------------------------------------------

    def _arm(self, run_id: str, due_us: int | None) -> None:
        if due_us is not None and self.alarms.add(due_us, run_id):
            self._on_due(due_us)

    def wake_due(self) -> None:
        """Go on with the runs whose time has come."""
        for run_id in self.alarms.pop_due(self._link.clock.now_us()):
            held = self.held.get(run_id)
            if held is not None:
                self._wake(held)

    def _wake(self, held: HeldRun) -> None:
        """Deliver what time has brought about, and remember when it will again."""
        now_us = self._link.clock.now_us()
        for event in outcomes.due_events(held.state, now_us):
            held.deliver(Delivery(event))
        self.pump(held)
        self._work.retry_due(held, now_us)
        self._arm(held.run_id, held.next_due_us(after_us=now_us))

    # -- letting go ------------------------------------------------------------------------------------------------

    def release_idle(self) -> None:
        """Give back runs that have waited long; they wake by a message or at their time."""
        now_us = self._link.clock.now_us()
        for held in self.held:
            if not held.is_quiet:
                held.idle_since_us = None
            elif held.idle_since_us is None:
                held.idle_since_us = now_us
            elif now_us - held.idle_since_us >= IDLE_RELEASE_US:
                self._submit(held, _release(held))

    def release_waiting(self) -> None:
        """Take on nothing more, and give back the runs that only wait."""
        self.held.is_closing = True
        for held in self.held:
            if held.is_quiet:
                self._submit(held, _release(held))

    def flush(self) -> None:
        """Write the outcomes that wait to be written together."""
        for held in self.held:
            self._work.flush(held)

    def release_all(self) -> None:
        """Give back everything: waiting runs until they wake, those with work of their own at once."""
        for held in self.held:
            if not held.is_committing and not held.is_dropped:
                has_work = any(call.role == "activity" for call in held.state.calls.values()) or held.batches
                self._submit(held, _release(held, now=bool(has_work or held.deliveries)))

    def drop_all(self) -> None:
        for held in self.held:
            self.drop(held)

    def drop(self, held: HeldRun) -> None:
        """Forget a run without writing anything."""
        self._forget(held)
        self._bodies.stop(held.run_id)

    def _forget(self, held: HeldRun) -> None:
        held.is_dropped = True
        held.stop_bodies()
        self.held.remove(held)
        _close_program(held)


def _as_written(plan: Plan, outcome: Appended) -> Iterator[Effect]:
    """The effects of a plan of which the store wrote a part in another way: a child that is not ours is not adopted."""
    taken = [plan.append.children[place] for place in outcome.taken]
    led_on = {plan.append.messages[place]: run_id for place, run_id in outcome.led_on}
    for effect in plan.effects:
        match effect:
            case Adopt(run, _) if run in taken:
                continue
            case Tell(message) if message in led_on:
                yield Tell(replace(message, run_id=led_on[message]))
            case _:
                yield effect


def _close_program(held: HeldRun) -> None:
    if not held.close_program():
        log.warning("program_leaked", run_id=held.run_id, function=held.function.name)


def _release(held: HeldRun, *, now: bool = False) -> Plan:
    """Give a run back, until it wakes by a message or at its time, or for another worker to go on at once."""
    return Plan(Append(held.run_id, held.epoch, release=Release(held.next_due_us(), now=now)), [])

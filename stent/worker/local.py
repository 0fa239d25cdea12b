"""Calls of runs held here that are carried out here: which bodies start, and what their outcomes are told as.

Rules of this file:
- a call is started only while it is open, and once: a second wish for it changes nothing;
- what is not for this worker alone is offered to all with the run's next append;
- outcomes of items are kept for a moment and told together.
"""

from __future__ import annotations

from collections.abc import Callable

from stent.history.events import CallPromoted, Event, ranges_of
from stent.history.fold import OpenBatch, OpenCall
from stent.ids import child_run_id
from stent.worker import outcomes
from stent.worker.bodies import Bodies
from stent.worker.held import Delivery, HeldRun
from stent.worker.items import WRITE_AFTER_US, BatchSource, ItemOutcome, Outcomes
from stent.worker.link import Link
from stent.worker.offers import shared_call, shared_items
from stent.worker.outcomes import Outcome
from stent.worker.placement import Placement
from stent.worker.slots import SINGLE, Attempt, Loan, Single


class LocalWork:
    """The bodies that this worker runs for the runs it holds."""

    def __init__(
        self,
        link: Link,
        bodies: Bodies,
        placement: Placement,
        *,
        deliver: Callable[[HeldRun, Event], None],
        pump: Callable[[HeldRun], None],
    ) -> None:
        self._link = link
        self._bodies = bodies
        self._placement = placement
        self._deliver = deliver
        self._pump = pump

    # -- starting --------------------------------------------------------------------------------------------------

    def start_call(self, held: HeldRun, call: OpenCall) -> None:
        """Run a call, or offer it, unless that is done already or its next attempt is not due."""
        if call.retry_at_us is not None and call.retry_at_us > self._link.clock.now_us():
            return
        if held.is_dropped or held.has_begun(call.call) or held.state.calls.get(call.call) is not call:
            return
        function = self._link.registry.find(call.function)
        if call.call != 0 and not self._placement.is_here(function, call.options):
            held.offer(shared_call(held.run_id, call, function))
            self._pump(held)
            return
        is_root = call.call == 0
        is_role_fixed = (is_root and held.state.role_was_corrected) or function.options.role == "activity"
        attempt = Attempt(
            held.run_id, call.call, SINGLE, function, call.attempt, call.options, call.arguments, None, is_role_fixed
        )
        single = held.running[call.call, SINGLE] = Single(attempt, call.options.priority)
        self._bodies.push(single)

    def start_items(self, held: HeldRun, batch: OpenBatch) -> None:
        """Run the items of a batch that have neither an outcome nor anybody who works on them."""
        if held.is_dropped or held.state.batches.get(batch.call) is not batch or batch.call in held.batches:
            return
        function = self._link.registry.find(batch.function)
        if batch.role == "orchestrator":
            self._start_item_runs(held, batch)
            return
        if not self._placement.is_here(function, batch.options):
            self._offer_within_limit(held, batch)  # without one they are all in the shared table, from the start
            return
        others = {*batch.promoted, *batch.attempts, *held.lent.get(batch.call, ())}
        waiting = [item for item in batch.open_items() if item not in others]
        source = BatchSource(held.run_id, batch, function, iter(waiting), priority=batch.options.priority)
        held.batches[batch.call] = source
        self._bodies.push(source)

    def _offer_within_limit(self, held: HeldRun, batch: OpenBatch) -> None:
        """Of a limited batch that others carry out, offer as many items at a time as the limit says."""
        if batch.limit is None:
            return
        known = held.lent.setdefault(batch.call, set())
        begun = {item for item in (*known, *batch.attempts) if not batch.settled[item]}
        waiting = (item for item in batch.open_items() if item not in begun)
        function = self._link.registry.find(batch.function)
        for item, _ in zip(waiting, range(batch.limit - len(begun)), strict=False):
            known.add(item)
            held.offer(shared_items(held.run_id, batch, function, ((item, item + 1),)))
        if held.offers:
            self._pump(held)

    def lend(self, held: HeldRun, loan: Loan) -> None:
        """Offer to all workers what waits here for a slot."""
        state = held.state
        if loan.items:
            batch = state.batches[loan.call]
            function = self._link.registry.find(batch.function)
            held.lent.setdefault(loan.call, set()).update(loan.items)
            held.offer(shared_items(held.run_id, batch, function, ranges_of(list(loan.items))))
        else:
            call = state.calls[loan.call]
            held.running.pop((loan.call, SINGLE), None)
            held.offer(shared_call(held.run_id, call, self._link.registry.find(call.function)))

    def _start_item_runs(self, held: HeldRun, batch: OpenBatch) -> None:
        """Of a limited batch of orchestrators, as many runs at a time as the limit says."""
        if batch.limit is None:
            return
        waiting = (item for item in batch.open_items() if item not in batch.promoted)
        for item, _ in zip(waiting, range(batch.limit - len(batch.promoted)), strict=False):
            run_id = child_run_id(held.run_id, batch.call, item)
            held.deliver(Delivery(CallPromoted(0, 0, batch.call, run_id, item)))
        self._pump(held)

    def tend_batches(self, held: HeldRun) -> None:
        """Forget batches that are over; go on with limited ones."""
        for call in [call for call in held.batches if call not in held.state.batches]:
            del held.batches[call]
        for batch in list(held.state.batches.values()):
            if batch.role == "orchestrator":
                self._start_item_runs(held, batch)
            elif not self._placement.is_here(self._link.registry.find(batch.function), batch.options):
                self._offer_within_limit(held, batch)

    def stop(self, held: HeldRun, call: int) -> None:
        """Stop whatever runs for a call, and forget what it has brought."""
        held.stop_bodies(call)
        self._bodies.stop(held.run_id, call)

    # -- outcomes --------------------------------------------------------------------------------------------------

    def finished(self, held: HeldRun, attempt: Attempt, outcome: Outcome) -> None:
        """A body has ended by itself."""
        found = outcomes.event_for(attempt, outcome, self._link.clock.now_us(), self._link.ids.unit)
        held.settling.add((attempt.call, attempt.item))
        if attempt.item == SINGLE:
            held.running.pop((attempt.call, SINGLE), None)
        else:
            source = held.batches.get(attempt.call)
            if source is not None and source.finished(attempt.item):
                self._bodies.push(source)
        if isinstance(found, ItemOutcome):
            self._keep_outcome(held, attempt.call, found)
        else:
            self._deliver(held, found)

    def _keep_outcome(self, held: HeldRun, call: int, outcome: ItemOutcome) -> None:
        kept = held.outcomes.get(call)
        if kept is None:
            kept = held.outcomes[call] = Outcomes()
            self._link.clock.call_later(WRITE_AFTER_US, lambda: self._write_outcomes(held, call))
        if kept.add(outcome) or held.source_is_over(call):
            self._write_outcomes(held, call)

    def flush(self, held: HeldRun) -> None:
        """Tell what is known now, for there is no later."""
        for call in list(held.outcomes):
            self._write_outcomes(held, call)

    def _write_outcomes(self, held: HeldRun, call: int) -> None:
        kept = held.outcomes.pop(call, None)
        if kept is None or held.is_dropped:
            return
        self._deliver(held, outcomes.items_event(call, kept.take()))

    # -- retries ---------------------------------------------------------------------------------------------------

    def retry_due(self, held: HeldRun, now_us: int) -> None:
        """Begin the next attempts whose time has come."""
        for call in list(held.state.calls.values()):
            if call.retry_at_us is not None and call.retry_at_us <= now_us and call.role == "activity":
                self.start_call(held, call)
        for batch in list(held.state.batches.values()):
            waiting = (item for item, (_, due_us) in batch.attempts.items() if due_us <= now_us)
            due = [item for item in waiting if not held.has_begun(batch.call, item)]
            if due:
                self._retry_items(held, batch, due)

    def _retry_items(self, held: HeldRun, batch: OpenBatch, due: list[int]) -> None:
        function = self._link.registry.find(batch.function)
        if not self._placement.is_here(function, batch.options):
            for item in due:
                attempt = batch.attempts[item][0]
                held.offer(shared_items(held.run_id, batch, function, ((item, item + 1),), attempt))
            self._pump(held)
            return
        source = held.batches.get(batch.call)
        if source is not None and source.retry(due):
            self._bodies.push(source)

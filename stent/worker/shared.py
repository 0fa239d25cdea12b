"""Calls of runs that others hold, or that a limit bounds: claimed from the shared table, carried out here.

Rules of this file:
- an outcome is written by ending the claim and telling the run in one transaction; if the claim was taken away in the
  meantime (this worker was given up), the outcome is discarded;
- of a part of a batch, outcomes are told as they come, and what is still running stays claimed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from stent.history import wire
from stent.history.events import BatchItemsCompleted, BatchScheduled, CallScheduled, Event, indexes_of, ranges_of
from stent.history.fold import OpenBatch
from stent.history.operations import FinishCall, Finished
from stent.history.records import ClaimedCall, Message, SharedCall
from stent.log import get_logger
from stent.registry import Function
from stent.worker import outcomes
from stent.worker.bodies import Bodies
from stent.worker.items import WRITE_AFTER_US, Args, BatchSource, ItemOutcome, Outcomes
from stent.worker.link import Link
from stent.worker.outcomes import Outcome, Stopped
from stent.worker.slots import SINGLE, Attempt, Single

log = get_logger(__name__)

DECODED_BATCHES = 4  # a claim is a few items of thousands, and decoding 10,000 takes 10 ms (2026-11)


@dataclass(slots=True)
class Claim:
    """One claimed call, or part of a batch."""

    number: int
    shared: SharedCall
    left: set[int] = field(default_factory=set)
    source: BatchSource | Single | None = None
    outcomes: Outcomes | None = None
    is_dropped: bool = False

    @property
    def place(self) -> tuple[str, int, int]:
        return (self.shared.run_id, self.shared.call, self.shared.first_item)


class SharedWork:
    """What this worker has claimed from the shared table."""

    def __init__(
        self,
        link: Link,
        worker_id: str,
        bodies: Bodies,
        route: Callable[[Message], None],
        on_ready: Callable[[], None],
    ) -> None:
        self._link = link
        self._worker_id = worker_id
        self._bodies = bodies
        self._route = route
        self._on_ready = on_ready
        self._claims: dict[int, Claim] = {}
        self._numbers = itertools.count(1)
        self._decoded: dict[tuple[str, int], list[Args]] = {}
        self._ending: list[Claim] = []
        """Claims whose end is being written."""

    def places(self) -> set[tuple[str, int, int]]:
        """What this worker knows to have claimed: (run id, call, first item)."""
        return {claim.place for claim in (*self._claims.values(), *self._ending)}

    def __len__(self) -> int:
        return len(self._claims)

    @property
    def is_quiet(self) -> bool:
        """Nothing is carried out, and nothing that was is still being written."""
        return not (self._claims or self._ending)

    def take_on(self, claimed: ClaimedCall) -> None:
        """Carry out what was claimed."""
        shared = claimed.call
        scheduled = wire.decode(claimed.scheduled)
        function = self._link.registry.find(shared.function)
        claim = Claim(next(self._numbers), shared)
        self._claims[claim.number] = claim
        if isinstance(scheduled, BatchScheduled):
            items = indexes_of(shared.items)
            claim.left = set(items)
            batch = _open_batch(scheduled, shared)
            claim.source = BatchSource(
                shared.run_id,
                batch,
                function,
                iter(items),
                claim=claim.number,
                priority=shared.priority,
                args=self._args_of(batch, shared.run_id, function),
            )
            self._bodies.push(claim.source)
            return
        assert isinstance(scheduled, CallScheduled), "a shared call points at what scheduled it"
        attempt = Attempt(
            shared.run_id,
            shared.call,
            SINGLE,
            function,
            shared.attempt,
            scheduled.options,
            arguments=scheduled.arguments,
            is_role_fixed=function.options.role == "activity",
            claim=claim.number,
        )
        claim.source = Single(attempt, shared.priority)
        self._bodies.push(claim.source)

    def _args_of(self, batch: OpenBatch, run_id: str, function: Function) -> list[Args]:
        """The arguments of a whole batch, decoded once for all claims of parts of it."""
        place = (run_id, batch.seq)
        args = self._decoded.pop(place, None) or function.unpack_rows(batch.items)
        self._decoded[place] = args  # the newest stands last
        if len(self._decoded) > DECODED_BATCHES:
            del self._decoded[next(iter(self._decoded))]
        return args

    def finished(self, attempt: Attempt, outcome: Outcome) -> None:
        """A body that ran for a claim has ended."""
        claim = self._claims.get(attempt.claim or 0)
        if claim is None or claim.is_dropped or isinstance(outcome, Stopped):
            return
        if isinstance(claim.source, BatchSource) and claim.source.finished(attempt.item):
            self._bodies.push(claim.source)
        found = outcomes.event_for(attempt, outcome, self._link.clock.now_us(), self._link.ids.unit)
        if isinstance(found, ItemOutcome):
            self._keep(claim, found)
        else:
            claim.left.discard(attempt.item)
            self._tell(claim, found)

    def cancelled(self, run_id: str, call: int, first_item: int) -> None:
        """Nobody wants a call any longer: stop it, and give up the claim."""
        for claim in list(self._claims.values()):
            if claim.place == (run_id, call, first_item):
                self._stop(claim)
                self._write(claim, None, ())

    def drop_all(self) -> None:
        """Forget everything without writing."""
        for claim in list(self._claims.values()):
            self._stop(claim)

    def flush(self) -> None:
        """Write the outcomes that wait to be written together."""
        for claim in list(self._claims.values()):
            self._write_outcomes(claim)

    def _stop(self, claim: Claim) -> None:
        self._drop(claim)
        self._bodies.stop(claim.shared.run_id, claim.shared.call, claim.number)

    def _drop(self, claim: Claim) -> None:
        claim.is_dropped = True
        if claim.source is not None:
            claim.source.stop()
        self._claims.pop(claim.number, None)

    def _keep(self, claim: Claim, outcome: ItemOutcome) -> None:
        if claim.outcomes is None:
            claim.outcomes = Outcomes()
            self._link.clock.call_later(WRITE_AFTER_US, lambda: self._write_outcomes(claim))
        is_full = claim.outcomes.add(outcome)
        if is_full or (isinstance(claim.source, BatchSource) and claim.source.is_over):
            self._write_outcomes(claim)

    def _write_outcomes(self, claim: Claim) -> None:
        kept, claim.outcomes = claim.outcomes, None
        if kept is None or claim.is_dropped:
            return
        event: BatchItemsCompleted = outcomes.items_event(claim.shared.call, kept.take())
        claim.left -= set(indexes_of(event.items))
        self._tell(claim, event)

    def _tell(self, claim: Claim, event: Event) -> None:
        """Tell the run; the claim ends when nothing of it is left."""
        remaining = ranges_of(sorted(claim.left))
        if not remaining:
            self._drop(claim)
        shared = claim.shared
        key = f"shared-{shared.call}-{self._link.ids.token().hex()}"
        self._write(claim, Message(shared.run_id, key, event), remaining)

    def _write(self, claim: Claim, message: Message | None, remaining: tuple[tuple[int, int], ...]) -> None:
        shared = claim.shared
        operation = FinishCall(self._worker_id, shared.run_id, shared.call, shared.first_item, message, remaining)

        def written(outcome: Finished | None, error: BaseException | None) -> None:
            self._ending.remove(claim)
            if outcome is None or not outcome.was_held:
                log.warning("claim_lost", run_id=shared.run_id, call=shared.call, error=repr(error) if error else None)
                self._drop(claim)
                return
            if message is not None:
                self._route(message)
            self._on_ready()

        self._ending.append(claim)
        self._link.submit(operation, written)


def _open_batch(scheduled: BatchScheduled, shared: SharedCall) -> OpenBatch:
    batch = OpenBatch(
        scheduled.call,
        scheduled.seq,
        scheduled.function,
        scheduled.count,
        scheduled.items,
        scheduled.role,
        scheduled.options,
        scheduled.limit,
    )
    if shared.attempt > 1:
        batch.attempts = dict.fromkeys(indexes_of(shared.items), (shared.attempt, 0))
    return batch

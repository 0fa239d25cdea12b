"""Bugs in the work itself: slots, bodies, retries, batches, and what is shared with other workers."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

BODIES = "stent/worker/bodies.py"
LOCAL = "stent/worker/local.py"
SHARED = "stent/worker/shared.py"
SLOTS = "stent/worker/slots.py"
ITEMS = "stent/worker/items.py"
PLACEMENT = "stent/worker/placement.py"
T = "tests/worker/"

WORK = (
    Mutant(
        id="bodies-slot-is-not-given-back",
        file=BODIES,
        old="            self._running.discard(body)\n",
        new="            pass\n",
        breaks="L2: a slot is held while a body runs, and no longer",
        tests=(f"{T}test_bodies.py::test_no_more_bodies_than_slots_and_each_end_starts_the_next",),
    ),
    Mutant(
        id="bodies-one-more-than-slots",
        file=BODIES,
        old="while not self._is_closed and len(self._running) < self.slots:",
        new="while not self._is_closed and len(self._running) <= self.slots:",
        breaks="no more bodies run than there are slots",
        tests=(f"{T}test_bodies.py::test_no_more_bodies_than_slots_and_each_end_starts_the_next",),
    ),
    Mutant(
        id="bodies-outcome-of-the-stopped-counts",
        file=BODIES,
        old="if body.is_stopped and not isinstance(outcome, Returned):",
        new="if body.is_stopped and isinstance(outcome, Returned):",
        breaks="what a body raises because it was stopped is no outcome of its call",
        tests=(f"{T}test_bodies.py::test_a_stopped_body_is_cancelled_and_leaves_nothing",),
    ),
    Mutant(
        id="local-call-started-twice",
        file=LOCAL,
        old="if held.is_dropped or held.has_begun(call.call) or held.state",
        new="if held.is_dropped or held.state",
        breaks="I8: a second wish for a call starts no second body",
        tests=(f"{T}test_reading.py::test_what_has_finished_is_recorded_and_what_runs_goes_on",),
    ),
    Mutant(
        id="local-retry-before-its-time",
        file=LOCAL,
        old="if call.retry_at_us is not None and call.retry_at_us > self._link.clock.now_us():\n            return\n",
        new="if call.retry_at_us is not None and call.retry_at_us > self._link.clock.now_us():\n            pass\n",
        breaks="I13: a retry keeps its delay, whatever wakes its run",
        tests=(f"{T}test_worker_timers.py::test_a_retry_keeps_its_time_when_its_run_is_read_again",),
    ),
    Mutant(
        id="local-lent-items-begun-here-too",
        file=LOCAL,
        old="others = {*batch.promoted, *batch.attempts, *held.lent.get(batch.call, ())}",
        new="others = {*batch.promoted, *batch.attempts}",
        breaks="I8: an item that another worker has is left to it",
        tests=(f"{T}test_worker_lending.py::test_a_holder_that_begins_anew_leaves_lent_items_to_those_who_have_them",),
    ),
    Mutant(
        id="slots-lent-and-kept",
        file=SLOTS,
        old="        self.attempt = None\n        return Loan(attempt.run_id, attempt.call)\n",
        new="        return Loan(attempt.run_id, attempt.call)\n",
        breaks="I8: what is lent to others is not begun here as well",
        tests=(f"{T}test_worker_lending.py::test_calls_of_a_gather_are_carried_out_by_whoever_has_room",),
    ),
    Mutant(
        id="slots-lowest-priority-first",
        file=SLOTS,
        old="(-source.priority, next(self._order), source)",
        new="(source.priority, next(self._order), source)",
        breaks="a higher priority gets the next free slot",
        tests=(f"{T}test_slots.py::test_first_come_first_served_within_a_priority",),
    ),
    Mutant(
        id="items-one-more-than-the-limit",
        file=ITEMS,
        old="len(self.running) >= self.batch.limit",
        new="len(self.running) > self.batch.limit",
        breaks="limit= of a map bounds what runs of it",
        tests=(f"{T}test_items.py::test_a_limit_bounds_what_runs_and_a_finished_item_makes_room",),
    ),
    Mutant(
        id="items-a-retry-given-twice",
        file=ITEMS,
        old="known = {*self.retries, *self.running}",
        new="known = {*self.running}",
        breaks="I5: a retry that waits for a slot is not begun twice",
        tests=(f"{T}test_items.py::test_a_retry_that_waits_or_runs_is_not_given_twice",),
    ),
    Mutant(
        id="placement-limited-work-without-asking",
        file=PLACEMENT,
        old="return function.limit_key is None and self._serves(options.queue, options.tags)",
        new="return self._serves(options.queue, options.tags)",
        breaks="I8: what a limit bounds is never carried out without a claim",
        tests=(f"{T}test_placement.py::test_what_a_limit_bounds_is_never_taken_without_asking",),
    ),
    Mutant(
        id="placement-limited-run-held-from-birth",
        file=PLACEMENT,
        old="            run.limit_key is None\n            and run.due_us is None",
        new="            run.due_us is None",
        breaks="I8: a run that a limit bounds begins with a claim",
        tests=(f"{T}test_placement.py::test_a_new_run_is_held_from_birth_if_this_worker_may",),
    ),
    Mutant(
        id="shared-outcome-of-a-lost-claim-is-told",
        file=SHARED,
        old="                self._drop(claim)\n                return\n            if message",
        new="                self._drop(claim)\n            if message",
        breaks="I5: an outcome that was not written is not told to its run either",
        tests=(f"{T}test_shared.py::test_an_outcome_that_was_not_written_is_not_told_to_the_run_either",),
    ),
    Mutant(
        id="shared-claim-ends-with-items-left",
        file=SHARED,
        old="        remaining = ranges_of(sorted(claim.left))\n",
        new="        remaining = ranges_of(())\n",
        breaks="I8: of a part of a map, what still runs stays claimed",
        tests=(f"{T}test_shared.py::test_limited_items_that_fail_are_retried_each_once_a_time",),
    ),
)

"""Bugs in how a worker writes, keeps its lease, hears of others, and lets go."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

COMMITTER = "stent/worker/committer.py"
LEASES = "stent/worker/leases.py"
LINK = "stent/worker/link.py"
WORKER = "stent/worker/worker.py"
STRAYS = "stent/worker/strays.py"
CLIENT = "stent/client/client.py"
LIVENESS = "stent/worker/liveness.py"
T = "tests/worker/"

WRITING = (
    Mutant(
        id="client-acknowledges-before-it-is-written",
        file=CLIENT,
        old="            outcome = await link.commit(StartRun(run))\n            link.wake(run.due_us)\n",
        new=(
            "            link.submit(StartRun(run), lambda *_: None)\n            outcome = Started(True)\n"
            "            link.wake(run.due_us)\n"
        ),
        breaks="I1: what a client was told exists (answer, then commit)",
        tests=(
            "tests/client/test_client_promises.py::test_nothing_is_acknowledged_before_it_is_written[dispatch-without]",
        ),
    ),
    Mutant(
        id="committer-gives-up-at-the-first-failure",
        file=COMMITTER,
        old='if self._closed.is_set() or not error.facts.get("is_transient"):',
        new="if self._closed.is_set() or error.facts:",
        breaks="L1: while the store is away nothing is lost",
        tests=(f"{T}test_committer.py::test_a_store_that_is_away_for_a_while_is_tried_again_until_it_is_back",),
    ),
    Mutant(
        id="committer-refuses-the-neighbours-too",
        file=COMMITTER,
        old="            for submission in batch:\n                self._write([submission])\n            return []\n",
        new="            _answer_all([(each, None) for each in batch], error)\n            return []\n",
        breaks="one bad operation fails alone",
        tests=(f"{T}test_committer.py::test_the_order_of_submissions_is_kept_even_when_one_of_them_is_refused",),
    ),
    Mutant(
        id="committer-writes-the-last-first",
        file=COMMITTER,
        old="                batch += found\n",
        new="                batch[:0] = found\n",
        breaks="I18: operations of one caller are applied in their order",
        tests=(f"{T}test_committer.py::test_what_a_later_turn_of_the_loop_submits_comes_behind",),
    ),
    Mutant(
        id="committer-answers-one-half",
        file=COMMITTER,
        old="            _answer_all(kept, None)\n",
        new="            _answer_all(kept[1:], None)\n",
        breaks="every submission is answered, once",
        tests=(f"{T}test_committer.py::test_what_gathers_during_a_commit_is_written_by_the_next_one",),
    ),
    Mutant(
        id="committer-ends-with-answers-kept",
        file=COMMITTER,
        old="        _answer_all(kept, None)\n\n    def _next_batch",
        new="\n    def _next_batch",
        breaks="every submission is answered, also at the end",
        tests=(f"{T}test_committer.py::test_the_second_half_is_answered_also_if_the_end_was_taken_with_the_batch",),
    ),
    Mutant(
        id="committer-ends-with-work-left",
        file=COMMITTER,
        old="                    self._queue.put(gathered)\n",
        new="                    pass\n",
        breaks="what was submitted is answered, also at the end",
        tests=(f"{T}test_committer.py::test_what_is_submitted_right_before_the_end_is_written",),
    ),
    Mutant(
        id="link-cancel-does-not-wait-for-the-outcome",
        file=LINK,
        old="            if not future.done():\n                await asyncio.wait([future])\n            raise\n",
        new="            raise\n",
        breaks="cancelling a commit ends when its outcome is known: it is no rollback",
        tests=(f"{T}test_link.py::test_a_commit_that_is_cancelled_ends_only_when_its_outcome_is_known",),
    ),
    Mutant(
        id="link-hears-nothing-of-others",
        file=LINK,
        old="            return self.store.changed()\n",
        new="            return False\n",
        breaks="what another process wrote is noticed long before the poll",
        tests=(f"{T}test_link.py::test_listeners_hear_of_changes_at_once_and_of_nothing_at_the_poll",),
    ),
    Mutant(
        id="committer-doubts-nothing",
        file=COMMITTER,
        old="                    self.uncertain_count += 1\n",
        new="                    pass\n",
        breaks="what a claim brought whose answer was lost is looked for",
        tests=(f"{T}test_committer.py::test_commits_of_unknown_outcome_are_counted",),
    ),
    Mutant(
        id="client-same-id-for-other-arguments",
        file=CLIENT,
        old="(first.function, first.arguments) == (function.name, arguments)",
        new="first.function == function.name",
        breaks="I14: an id that is taken by another call is an error",
        tests=("tests/test_app_dispatch.py::test_an_id_taken_by_another_call_is_an_error",),
    ),
)

LEASE = (
    Mutant(
        id="lease-of-a-hung-loop-is-renewed",
        file=LEASES,
        old="            return None\n        return RenewWorker(",
        new="            pass\n        return RenewWorker(",
        breaks="L1: an event loop that hangs for good loses what it holds",
        tests=(f"{T}test_leases.py::test_a_worker_whose_event_loop_hangs_for_good_loses_it",),
    ),
    Mutant(
        id="lease-loss-goes-unnoticed",
        file=LEASES,
        old="            self._on_lost()\n",
        new="            pass\n",
        breaks="I7: a worker that was given up drops what it held and begins anew",
        tests=(f"{T}test_leases.py::test_who_was_given_up_learns_of_it_from_the_next_renewal",),
    ),
    Mutant(
        id="lease-ignores-dead-peers",
        file=LEASES,
        old="return tuple(row.worker_id for row in self.peers if is_dead(row.lock_path))",
        new="return tuple(row.worker_id for row in self.peers if is_dead(None))",
        breaks="what a killed worker held goes on at once, not when its lease ends",
        tests=(
            f"{T}test_worker_killed.py::test_the_run_of_a_killed_worker_goes_on_at_once_and_repeats_nothing_recorded",
        ),
    ),
    Mutant(
        id="lease-limits-of-late-functions",
        file=LEASES,
        old="            if self._limits != registry.limits():\n",
        new="            if self._limits is None:\n",
        breaks="I8: the limit of a function that was defined later holds too",
        tests=(f"{T}test_leases.py::test_the_limit_of_a_function_that_was_defined_later_holds_too",),
    ),
    Mutant(
        id="worker-adopts-what-was-taken-away",
        file=WORKER,
        old="            if loaded.run.owner == self.worker_id:",
        new="            if loaded.run.owner is not None:",
        breaks="I8: a claimed run that another worker has by now is left to it",
        tests=(f"{T}test_worker.py::test_a_claimed_run_that_was_taken_away_before_it_was_read_is_not_adopted",),
    ),
    Mutant(
        id="worker-leaves-its-lease-behind",
        file=WORKER,
        old="        await self._lease.end()\n",
        new="",
        breaks="what a stopped worker could not give back is another's at once",
        tests=(f"{T}test_worker.py::test_a_stopped_worker_gives_everything_back_and_another_goes_on",),
    ),
    Mutant(
        id="worker-stops-without-a-grace",
        file=WORKER,
        old="        await self._bodies.close(grace_s)\n",
        new="        await self._bodies.close(0)\n",
        breaks="what ends within the grace is recorded",
        tests=("tests/test_app_serving.py::test_bodies_get_a_grace_and_what_ends_in_it_is_recorded",),
    ),
    Mutant(
        id="strays-given-back-at-first-sight",
        file=STRAYS,
        old="            return [], []\n",
        new="            return sorted(runs), sorted(calls)\n",
        breaks="I8: an answer on its way is no stray: what a worker is just beginning is not given away",
        tests=(f"{T}test_strays.py::test_what_is_strange_twice_is_given_back",),
    ),
    Mutant(
        id="worker-keeps-what-it-lost",
        file=WORKER,
        old="        self.runs.drop_all()\n        self._shared.drop_all()\n        self._link.loop.create_task(",
        new="        self._link.loop.create_task(",
        breaks="I8: a worker that was given up stops what others do by now",
        tests=(f"{T}test_worker_given_up.py::test_what_others_do_by_now_is_stopped_here",),
    ),
    Mutant(
        id="worker-hears-of-no-cancelled-calls",
        file=WORKER,
        old="if glance.has_cancelled and len(self._shared):",
        new="if glance.has_cancelled and not len(self._shared):",
        breaks="I10: a call that nobody wants any longer is stopped wherever it is carried out",
        tests=(
            f"{T}test_worker_lending.py::test_a_call_that_another_worker_carries_out_is_stopped_when_nobody_wants_it",
        ),
    ),
    Mutant(
        id="worker-stops-with-outcomes-in-hand",
        file=WORKER,
        old="        self.runs.flush()\n        self._shared.flush()\n",
        new="        self.runs.flush()\n",
        breaks="what ended within the grace is not carried out again",
        tests=(f"{T}test_worker_stopping.py::test_items_that_end_within_the_grace_are_not_carried_out_again",),
    ),
    Mutant(
        id="worker-stops-while-it-writes",
        file=WORKER,
        old="        self._shared.flush()\n        await self._written_out()\n",
        new="        self._shared.flush()\n",
        breaks="I12: a run that is given back in peace was not killed",
        tests=(f"{T}test_worker_stopping.py::test_a_run_whose_body_ends_within_the_grace_was_not_killed_either",),
    ),
    Mutant(
        id="liveness-unknown-is-dead",
        file=LIVENESS,
        old="    except OSError:\n        return False\n    try:\n",
        new="    except OSError:\n        return True\n    try:\n",
        breaks="I8: who cannot be seen is not dead: its lease decides",
        tests=(f"{T}test_liveness.py::test_a_released_lock_leaves_no_file_and_tells_nothing",),
    ),
)

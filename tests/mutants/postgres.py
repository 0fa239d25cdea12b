"""Bugs in the store on PostgreSQL: fences, locks and their order, claims, and answers that were lost."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RUNS = "stent/history/sql/postgres_runs.py"
CLAIMS = "stent/history/sql/postgres_claims.py"
WORKERS = "stent/history/sql/postgres_workers.py"
STARTS = "stent/history/sql/postgres_starts.py"
MESSAGES = "stent/history/sql/postgres_messages.py"
WRITES = "stent/history/sql/postgres_writes.py"
SERVER = "stent/history/sql/postgres.py"
SUITE = "tests/history/test_store.py::"
CROSSINGS = "tests/history/sql/test_postgres_crossings.py::"
DOUBT = "tests/history/sql/test_postgres_doubt.py::"
RACES = "tests/history/sql/test_postgres_races.py::"

POSTGRES = (
    Mutant(
        id="postgres-append-under-any-epoch",
        file=RUNS,
        old="JOIN stent_runs r ON r.run_id = w.run_id AND r.epoch = w.epoch",
        new="JOIN stent_runs r ON r.run_id = w.run_id",
        breaks="I7: who lost a run writes into its history",
        tests=(f"{SUITE}TestAppending::test_another_epoch_is_fenced[postgres-9]",),
    ),
    Mutant(
        id="postgres-small-append-under-any-epoch",
        file=RUNS,
        old="WHERE run_id = %s AND epoch = %s::bigint\n",
        new="WHERE run_id = %s AND epoch > %s::bigint - 1000\n",
        breaks="I7: who lost a run writes into its history",
        tests=(f"{SUITE}TestAppending::test_another_epoch_is_fenced[postgres-1]",),
    ),
    Mutant(
        id="postgres-append-leaves-gaps",
        file=RUNS,
        old="AND %s::int = coalesce((SELECT max(e.seq)",
        new="AND %s::int >= coalesce((SELECT max(e.seq)",
        breaks="I2: the seqs of a history have no gaps",
        tests=(f"{SUITE}TestAppending::test_another_seq_is_fenced[postgres-1-1]",),
    ),
    Mutant(
        id="postgres-append-locks-nothing",
        file=RUNS,
        old="e.run_id = %s), 0) + 1\n    FOR NO KEY UPDATE\n",
        new="e.run_id = %s), 0) + 1\n",
        breaks="I7: an append that crosses a claim is refused (SELECT epoch, then INSERT)",
        tests=(f"{CROSSINGS}test_an_append_waits_for_a_claim_and_is_then_refused",),
    ),
    Mutant(
        id="postgres-limit-is-not-locked",
        file=CLAIMS,
        old=") ORDER BY l.key FOR UPDATE\n",
        new=") ORDER BY l.key\n",
        breaks="I8: two claims do not count the same free place (count, then claim)",
        tests=(f"{CROSSINGS}test_a_claim_within_a_limit_waits_for_who_counts_already",),
    ),
    Mutant(
        id="postgres-unlocked-limit-lets-through",
        file=CLAIMS,
        old="least(%(room)s, l.max - {_IN_USE}) ELSE 0 END AS places",
        new="least(%(room)s, l.max - {_IN_USE}) ELSE %(room)s END AS places",
        breaks="I8: a limit that this transaction has not locked lets nobody through",
        tests=(f"{RACES}test_a_limit_that_was_not_locked_lets_nobody_through",),
    ),
    Mutant(
        id="postgres-claim-waits-for-a-claim",
        file=CLAIMS,
        old="    {_BEST_FIRST} LIMIT %(room)s FOR UPDATE SKIP LOCKED\n",
        new="    {_BEST_FIRST} LIMIT %(room)s FOR UPDATE\n",
        breaks="L2: claims do not queue up behind each other",
        tests=(f"{CROSSINGS}test_a_claim_does_not_wait_for_another_claim",),
    ),
    Mutant(
        id="postgres-claim-waits-for-an-append",
        file=CLAIMS,
        old="    ORDER BY run_id FOR NO KEY UPDATE SKIP LOCKED\n",
        new="    ORDER BY run_id FOR NO KEY UPDATE\n",
        breaks="L2: a claim leaves a run alone that is being written, and waits for nobody",
        tests=(f"{CROSSINGS}test_a_claim_leaves_a_run_alone_that_is_being_written",),
    ),
    Mutant(
        id="postgres-claim-waits-for-who-wakes-sleepers",
        file=CLAIMS,
        old="LIMIT {DUE_RUNS_A_CLAIM}\n    FOR UPDATE SKIP LOCKED\n",
        new="LIMIT {DUE_RUNS_A_CLAIM}\n    FOR UPDATE\n",
        breaks="L2: claims do not queue up behind each other",
        tests=(f"{CROSSINGS}test_a_claim_does_not_wait_for_who_wakes_the_sleepers",),
    ),
    Mutant(
        id="postgres-outcome-of-a-lost-claim",
        file=CLAIMS,
        old="JOIN stent_ready d USING (run_id, call, first_item, claimed_by)",
        new="JOIN stent_ready d USING (run_id, call, first_item)",
        breaks="I5: an outcome under a claim that was taken away is told to nobody",
        tests=(f"{SUITE}TestClaimingCalls::test_what_was_not_held_is_discarded[postgres]",),
    ),
    Mutant(
        id="postgres-clock-in-conditions",
        file="stent/history/sql/postgres_talk.py",
        old="statement_timestamp()",
        new="clock_timestamp()",
        breaks="a condition on time can be looked up in an index",
        tests=("tests/history/sql/test_postgres_plans.py::test_time_in_conditions_can_be_looked_up",),
    ),
    Mutant(
        id="postgres-reaper-without-skip-locked",
        file=WORKERS,
        old="ORDER BY worker_id FOR UPDATE SKIP LOCKED\n",
        new="ORDER BY worker_id FOR UPDATE\n",
        breaks="L2: a reaper waits for nobody, and gives nobody up who is just beginning something",
        tests=(f"{CROSSINGS}test_who_is_beginning_something_is_not_given_up",),
    ),
    Mutant(
        id="postgres-start-behind-the-end-of-its-worker",
        file=STARTS,
        old="    ORDER BY worker_id FOR KEY SHARE\n",
        new="    ORDER BY worker_id\n",
        breaks="L1: a run that is begun for a worker does not come behind that worker's end",
        tests=(f"{CROSSINGS}test_a_start_waits_for_the_end_of_its_starter_and_is_then_nobodys",),
    ),
    Mutant(
        id="postgres-message-does-not-lock",
        file=WRITES,
        old="if locks.runs:\n",
        new="if locks.runs and locks.workers:\n",
        breaks="I1: a signal whose twin is being read does not come a second time",
        tests=(f"{CROSSINGS}test_a_signal_waits_for_its_twin_to_be_read_and_is_then_known",),
    ),
    Mutant(
        id="postgres-locks-in-the-order-of-the-asking",
        file=WRITES,
        old="WHERE run_id = ANY(%s::text[]) ORDER BY run_id FOR NO KEY UPDATE",
        new="WHERE run_id = ANY(%s::text[]) ORDER BY run_id DESC FOR NO KEY UPDATE",
        breaks="all transactions lock runs in one order, or they lock each other out",
        tests=(f"{CROSSINGS}test_a_mixed_batch_locks_in_the_same_order",),
    ),
    Mutant(
        id="postgres-completion-crosses-a-cancel",
        file=RUNS,
        old="SELECT run_id FROM next WHERE run_id <> ALL(%s::text[]) OR NOT EXISTS (",
        new="SELECT run_id FROM next WHERE run_id <> ALL(%s::text[]) OR true OR NOT EXISTS (",
        breaks="a cancel that was acknowledged is read before a run completes",
        tests=(f"{CROSSINGS}test_a_completion_waits_for_a_cancel_and_is_then_refused",),
    ),
    Mutant(
        id="postgres-reap-leaves-the-epoch",
        file=WORKERS,
        old="UPDATE stent_runs r SET owner = NULL, epoch = r.epoch + 1, crashes",
        new="UPDATE stent_runs r SET owner = NULL, crashes",
        breaks="I7: a worker that was given up can write no more, even before somebody claims its runs",
        tests=(f"{SUITE}TestWorkers::test_what_a_dead_worker_held_is_ready_and_fenced[postgres]",),
    ),
    Mutant(
        id="postgres-lost-answer-is-forgotten",
        file=SERVER,
        old="                self._doubt = _Doubt(operations, outcomes, transaction, backend_pid)\n",
        new="                self._doubt = None\n",
        breaks="a commit whose answer was lost is not made twice, and what it claimed is known",
        tests=(f"{DOUBT}test_a_claim_of_runs_is_not_left_without_an_owner_that_knows",),
    ),
    Mutant(
        id="postgres-lost-answer-is-anybodys",
        file=SERVER,
        old='return doubt.outcomes if status == "committed" and is_same else None',
        new='return doubt.outcomes if status == "committed" else None',
        breaks="the outcome of a commit whose answer was lost is the answer to that commit only",
        tests=(f"{DOUBT}test_another_batch_after_a_lost_answer_is_not_mistaken_for_it",),
    ),
    Mutant(
        id="postgres-start-token-is-not-read-back",
        file=STARTS,
        old="if token is not None and bytes(token) == others[run_id]}",
        new="if token is None}",
        breaks="I14: a start whose answer was lost is known as the one that made the run",
        tests=(f"{DOUBT}test_starts",),
    ),
)

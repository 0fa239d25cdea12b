"""Bugs in the turns of a run: what is taken in, decided, written, and done after that."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RUNS = "stent/worker/runs.py"
HELD = "stent/worker/held.py"
PLANNING = "stent/worker/planning.py"
DRAFT = "stent/worker/draft.py"
ADOPTION = "stent/worker/adoption.py"
OUTCOMES = "stent/worker/outcomes.py"
ALARMS = "stent/worker/alarms.py"
READING = "stent/worker/reading.py"
T = "tests/worker/"

TURNS = (
    Mutant(
        id="runs-effects-before-the-commit",
        file=RUNS,
        old="        held.idle_since_us = None\n        self._link.submit(",
        new=(
            "        held.idle_since_us = None\n        for effect in plan.effects:\n"
            "            self._carry_out(held, effect)\n        self._link.submit("
        ),
        breaks="I6: a body starts after its call is durable",
        tests=(f"{T}test_runs.py::test_a_body_starts_only_after_its_call_is_durable",),
    ),
    Mutant(
        id="runs-two-writes-in-flight",
        file=RUNS,
        old="        if held.is_committing or held.is_dropped:\n            return\n        now_us",
        new="        if held.is_dropped:\n            return\n        now_us",
        breaks="what arrives during a write goes into the next one, together",
        tests=(f"{T}test_runs.py::test_what_arrives_during_a_commit_goes_into_the_next_one_together",),
    ),
    Mutant(
        id="runs-fenced-and-still-at-work",
        file=RUNS,
        old="            self.drop(held)\n            self.reader.refused(held, error)\n            return\n",
        new="            self.reader.refused(held, error)\n            return\n",
        breaks="a run that was fenced is dropped with its bodies",
        tests=(f"{T}test_runs.py::test_a_run_that_was_fenced_is_dropped_with_its_bodies",),
    ),
    Mutant(
        id="runs-given-back-for-ever",
        file=RUNS,
        old="release=Release(held.next_due_us(), now=now)",
        new="release=Release(None, now=now)",
        breaks="L3: a run that was given back wakes at its time",
        tests=(f"{T}test_runs.py::test_a_run_that_waits_long_is_given_back_and_wakes_at_its_time",),
    ),
    Mutant(
        id="runs-handed-over-too-late",
        file=RUNS,
        old="now=bool(has_work or held.deliveries)",
        new="now=bool(held.deliveries)",
        breaks="L1: a run with work of its own goes on with another worker at once",
        tests=(f"{T}test_worker.py::test_a_stopped_worker_gives_everything_back_and_another_goes_on",),
    ),
    Mutant(
        id="held-message-taken-twice",
        file=HELD,
        old="            if delivery.key in self.keys:\n                return False\n",
        new="",
        breaks="I1: a message that is told and read is one message",
        tests=(f"{T}test_held.py::test_a_message_is_delivered_once_however_often_it_is_read",),
    ),
    Mutant(
        id="planning-a-second-answer-counts",
        file=PLANNING,
        old="        return event.call in state.calls\n    match event:",
        new="        return True\n    match event:",
        breaks="I5: a call has one outcome",
        tests=(f"{T}test_planning.py::test_a_second_answer_in_the_same_turn_is_dropped",),
    ),
    Mutant(
        id="planning-a-stale-attempt-counts",
        file=PLANNING,
        old="return call in state.calls and state.calls[call].attempt == event.attempt",
        new="return call in state.calls",
        breaks="I13: attempts are counted once",
        tests=(f"{T}test_planning.py::test_what_nobody_waits_for_is_consumed_and_leaves_no_event",),
    ),
    Mutant(
        id="planning-the-last-delivery-first",
        file=PLANNING,
        old="            self._take(held.deliveries.popleft())\n",
        new="            self._take(held.deliveries.pop())\n",
        breaks="deliveries are taken in their order: it decides every race",
        tests=(f"{T}test_planning.py::test_a_cancel_behind_a_failure_has_come_too_late",),
    ),
    Mutant(
        id="planning-parent-is-not-told",
        file=PLANNING,
        old="if state.parent is not None and not isinstance(event, RunContinuedAsNew):",
        new="if state.parent is not None and isinstance(event, RunCompleted):",
        breaks="I10: a child that ends in any way answers its parent",
        tests=(
            "tests/test_app_children.py::test_a_child_that_ends_in_any_other_way_is_an_error_where_it_is_awaited[fails]",
        ),
    ),
    Mutant(
        id="planning-child-is-not-written-with-its-call",
        file=PLANNING,
        old="        draft.start(self._new_run(run_id, function, command.arguments, command.options, parent))\n",
        new="        self._new_run(run_id, function, command.arguments, command.options, parent)\n",
        breaks="I10: a child exists if and only if its parent has recorded the call",
        tests=(f"{T}test_planning.py::test_a_child_orchestrator_is_written_with_its_call_and_held_from_birth",),
    ),
    Mutant(
        id="draft-cancel-does-not-reach-the-children",
        file=DRAFT,
        old="        children = [call.child_run] if call is not None else []\n",
        new="        children: list[str | None] = []\n",
        breaks="I10: no child goes on that nobody waits for",
        tests=(f"{T}test_planning.py::test_a_run_that_is_ended_from_outside_withdraws_what_it_had_open",),
    ),
    Mutant(
        id="draft-message-is-not-consumed",
        file=DRAFT,
        old="            self._consumed.append(delivery.key)\n",
        new="            pass\n",
        breaks="I1: a message that became an event leaves the inbox",
        tests=(f"{T}test_planning.py::test_what_nobody_waits_for_is_consumed_and_leaves_no_event",),
    ),
    Mutant(
        id="draft-time-goes-back",
        file=DRAFT,
        old="return max(self._now_us, self._held.state.last_at_us)",
        new="return self._now_us",
        breaks="time in a history never goes back, whatever the clock does",
        tests=(f"{T}test_planning.py::test_time_in_a_history_never_goes_back",),
    ),
    Mutant(
        id="draft-timer-recorded-early",
        file=DRAFT,
        old="at_us = max(at_us, state.timers[template.call])",
        new="at_us = min(at_us, state.timers[template.call])",
        breaks="I9: a timer is never recorded before it is due",
        tests=(f"{T}test_planning.py::test_a_timer_is_recorded_armed_and_never_recorded_before_it_is_due",),
    ),
    Mutant(
        id="outcomes-timer-fires-early",
        file=OUTCOMES,
        old="for call, due_us in state.timers.items() if due_us <= now_us)",
        new="for call, due_us in state.timers.items() if due_us <= now_us + 1_000)",
        breaks="I9: a timer never fires early",
        tests=(f"{T}test_outcomes.py::test_timers_that_are_due_fire_in_the_order_of_their_times_then_of_their_calls",),
    ),
    Mutant(
        id="outcomes-timers-out-of-order",
        file=OUTCOMES,
        old="due = sorted((due_us, call) for call, due_us",
        new="due = list((due_us, call) for call, due_us",
        breaks="timers that are due together fire in the order of their times",
        tests=(f"{T}test_outcomes.py::test_timers_that_are_due_fire_in_the_order_of_their_times_then_of_their_calls",),
    ),
    Mutant(
        id="alarms-forget-whoever-is-due-now",
        file=ALARMS,
        old="while self._heap and self._heap[0][0] <= now_us:",
        new="while self._heap and self._heap[0][0] < now_us:",
        breaks="L3: a run wakes at its time (> for >=)",
        tests=(f"{T}test_alarms.py::test_what_is_due_comes_once_in_order_and_the_rest_stays",),
    ),
    Mutant(
        id="adoption-forgets-what-others-carry-out",
        file=ADOPTION,
        old="        held.shared.add((row.call.call, row.call.first_item))\n",
        new="",
        breaks="I8: a run that is read again does not begin what another worker is at",
        tests=(f"{T}test_adoption.py::test_its_messages_wait_in_order_and_what_others_carry_out_is_known",),
    ),
    Mutant(
        id="adoption-deadline-set-anew",
        file=ADOPTION,
        old="and not any(isinstance(event, DeadlineSet) for event in history):",
        new="and held.state.ended is None:",
        breaks="a time limit counts from the first look at a run, whoever holds it later",
        tests=(f"{T}test_adoption.py::test_a_time_limit_is_set_once",),
    ),
    Mutant(
        id="runs-release-misses-a-message",
        file=RUNS,
        old="                self._on_signal()  # one may have come while the release",
        new="                pass  # one may have come while the release",
        breaks="L1: a run that is given back while a message comes goes on at once",
        tests=(f"{T}test_runs.py::test_a_run_that_was_given_back_wakes_for_a_message_of_another_process",),
    ),
    Mutant(
        id="runs-a-key-is-known-for-ever",
        file=RUNS,
        old="            held.keys.discard(key)\n",
        new="            pass\n",
        breaks="I1: a second cancel, after the first was read, is read too",
        tests=("tests/test_app_cancel.py::test_a_second_cancel_interrupts_the_cleanup",),
    ),
    Mutant(
        id="runs-adopt-anothers-child",
        file=RUNS,
        old="            case Adopt(run, _) if run in taken:\n                continue\n",
        new="            case Adopt(run, _) if run in taken:\n                yield effect\n",
        breaks="I8: a run whose id was taken is not begun in the name of this call",
        tests=("tests/test_app_children.py::test_of_two_calls_with_one_id_the_first_has_the_child",),
    ),
    Mutant(
        id="held-what-has-ended-begins-again",
        file=HELD,
        old="        if (call, item) in self.settling:\n            return True\n",
        new="",
        breaks="I6: a body that has ended is not run again before its outcome is recorded",
        tests=(f"{T}test_held.py::test_an_attempt_that_has_ended_has_begun_until_that_is_recorded",),
    ),
    Mutant(
        id="planning-a-signal-twice",
        file=PLANNING,
        old="return not is_known and not state.is_ended",
        new="return not state.is_ended",
        breaks="I1: a signal sent twice under one key is one signal",
        tests=(f"{T}test_planning.py::test_a_signal_sent_twice_under_one_key_is_one_signal",),
    ),
    Mutant(
        id="draft-over-with-work-left",
        file=DRAFT,
        old="is_over = state.is_ended and not state.has_open_work",
        new="is_over = state.is_ended",
        breaks="what a finished program left running is recorded",
        tests=(f"{T}test_planning.py::test_a_run_that_ends_with_work_left_is_kept_until_that_is_recorded",),
    ),
    Mutant(
        id="reading-under-anothers-epoch",
        file=READING,
        old="if loaded.run.epoch == held.epoch:",
        new="if loaded.run.epoch >= held.epoch:",
        breaks="I7: who lost a run while reading it again lets go of it",
        tests=(f"{T}test_reading.py::test_a_lease_that_was_lost_meanwhile_ends_it",),
    ),
    Mutant(
        id="adoption-late-run-begins",
        file=ADOPTION,
        old="state.deadline_us <= now_us and not state.is_ended:",
        new="state.deadline_us < 0 and not state.is_ended:",
        breaks="a run whose time is over before it begins never begins",
        tests=("tests/test_app_dispatch.py::test_expiry_counts_also_while_no_worker_is_there",),
    ),
)

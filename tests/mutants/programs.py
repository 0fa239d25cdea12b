"""Bugs in what is decided and remembered: replay, matching, fold, the stored form of events and values, retries."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MATCHER = "stent/replay/matcher.py"
EXECUTION = "stent/replay/execution.py"
AWAITED = "stent/replay/awaited.py"
BATCHES = "stent/replay/batches.py"
REPLAYER = "stent/replay/replayer.py"
FOLD = "stent/history/fold.py"
EVENTS = "stent/history/events.py"
WIRE = "stent/history/wire.py"
RETRY = "stent/retry.py"
PLAIN = "stent/codec/plain.py"
SCALARS = "stent/codec/scalars.py"
R = "tests/replay/"
H = "tests/history/"

REPLAY = (
    Mutant(
        id="matcher-arguments-do-not-matter",
        file=MATCHER,
        old="event.function == command.function.name and event.arguments == command.arguments",
        new="event.function == command.function.name",
        breaks="a result goes to the call with the same arguments, never to another",
        tests=(f"{R}test_matcher.py::test_an_argument_of_another_type_is_another_argument",),
    ),
    Mutant(
        id="matcher-missing-commands-go-unseen",
        file=MATCHER,
        old="if self.mismatch is None and self.position < self.count:",
        new="if self.mismatch is None and self.position < self.count - 1:",
        breaks="a recorded command that no longer comes is a divergence",
        tests=(f"{R}test_matcher.py::test_a_recorded_command_that_does_not_come_does_not_fit",),
    ),
    Mutant(
        id="matcher-new-commands-anywhere",
        file=MATCHER,
        old="        elif self.is_open:\n            self.new.append(command)\n",
        new="        elif self.mismatch is None:\n            self.new.append(command)\n",
        breaks="new commands come where the history ends, and nowhere else",
        tests=(f"{R}test_matcher.py::test_commands_past_the_recorded_ones_do_not_fit_anywhere_else",),
    ),
    Mutant(
        id="matcher-writes-in-spite-of-a-divergence",
        file=MATCHER,
        old="        return new if self.mismatch is None else []\n",
        new="        return new\n",
        breaks="a run that does not fit its history writes nothing",
        tests=(f"{R}test_matcher.py::test_a_turn_that_does_not_fit_gives_no_commands",),
    ),
    Mutant(
        id="matcher-any-signal-will-do",
        file=MATCHER,
        old="return bool(event.call == command.call and event.name == command.name)",
        new="return bool(event.call == command.call)",
        breaks="waiting for another signal is a divergence",
        tests=(f"{R}test_divergence.py::test_another_signal",),
    ),
    Mutant(
        id="execution-short-cut-takes-any-arguments",
        file=EXECUTION,
        old="            and event.function == function.name\n            and event.arguments == arguments\n",
        new="            and event.function == function.name\n",
        breaks="a result goes to the call with the same arguments, on the quick way through a replay too",
        tests=(f"{R}test_divergence.py::test_each_kind_of_change_is_found_at_its_first_command",),
    ),
    Mutant(
        id="execution-timer-moves-on-replay",
        file=EXECUTION,
        old="due_us = event.due_us if is_recorded else self.last_at_us + delay_us",
        new="due_us = self.last_at_us + delay_us",
        breaks="I11: a timer keeps the time that was recorded",
        tests=(f"{R}test_execution.py::test_a_timer_keeps_its_recorded_due_time_whatever_the_code_says_now",),
    ),
    Mutant(
        id="execution-chance-is-alike-in-all-runs",
        file=EXECUTION,
        old="random.Random(stable_number(self.run_id))",
        new="random.Random(stable_number(self.function.name))",
        breaks="each run has chances of its own",
        tests=(f"{R}test_execution.py::test_chance_is_the_same_on_every_replay_and_another_in_another_run",),
    ),
    Mutant(
        id="execution-patch-in-the-middle-of-an-old-run",
        file=EXECUTION,
        old="            answer = isinstance(event, PatchRecorded) and event.change == change\n",
        new="            answer = True\n",
        breaks="I11: a run that passed a place before a patch stays on the old side",
        tests=(f"{R}test_execution.py::test_a_patch_is_recorded_for_new_runs_and_refused_for_old_ones",),
    ),
    Mutant(
        id="awaited-the-newest-signal-first",
        file=AWAITED,
        old="self._answer(future, kept.popleft().value)",
        new="self._answer(future, kept.pop().value)",
        breaks="I18: signals of a name are read in the order in which they came",
        tests=(f"{R}test_execution.py::test_a_signal_that_came_before_the_wait_is_kept",),
    ),
    Mutant(
        id="awaited-signal-for-a-wait-that-is-over",
        file=AWAITED,
        old="                listening.remove(future)\n",
        new="                pass\n",
        breaks="I1: a signal that comes after its wait timed out is for the next wait",
        tests=(
            f"{R}test_execution_endings.py::test_a_signal_that_nobody_waits_for_any_longer_does_not_hide_a_deadlock",
        ),
    ),
    Mutant(
        id="batches-results-as-they-come",
        file=BATCHES,
        old="                self._results[index] = outcome\n",
        new="                self._results[self._results.index(_MISSING)] = outcome\n",
        breaks="the results of a map are in the order of its items",
        tests=(f"{R}test_batches.py::test_a_map_is_one_command_and_gives_results_in_the_order_of_its_items",),
    ),
    Mutant(
        id="batches-over-one-item-early",
        file=BATCHES,
        old="        if self._left == 0:\n            self.finish()\n",
        new="        if self._left <= 1:\n            self.finish()\n",
        breaks="a map is over when every item has an outcome",
        tests=(f"{R}test_batches.py::test_failures_can_stand_among_the_results",),
    ),
    Mutant(
        id="replay-of-what-only-the-worker-decided",
        file=EVENTS,
        old="elif delivery is not None and type(event) not in BOOKKEEPING:",
        new="elif delivery is not None:",
        breaks="I11: attempts and promotions are no decisions of the program",
        tests=(f"{R}test_replayer.py::test_what_workers_note_for_themselves_is_passed_over",),
    ),
    Mutant(
        id="replayer-every-turn-is-open",
        file=REPLAYER,
        old="is_open=delivery is open_at, now_us=now_us",
        new="is_open=True, now_us=now_us",
        breaks="an extra command in the middle of a history is a divergence",
        tests=(f"{R}test_divergence.py::test_an_extra_command_in_the_middle_is_shown_between_its_neighbours",),
    ),
)

HISTORY = (
    Mutant(
        id="fold-takes-any-seq",
        file=FOLD,
        old="if event.seq != self.head_seq + 1:",
        new="if event.seq <= self.head_seq:",
        breaks="I2: a history with a gap is damaged",
        tests=(f"{H}test_fold.py::test_seqs_have_no_gaps_and_no_doubles",),
    ),
    Mutant(
        id="fold-timer-may-be-early",
        file=FOLD,
        old="if type(event) is TimerFired and event.at_us < due_us:",
        new="if type(event) is TimerFired and event.at_us < 0:",
        breaks="I9: a history in which a timer fired early is impossible",
        tests=(f"{H}test_fold.py::test_a_timer_is_never_early",),
    ),
    Mutant(
        id="fold-item-settled-twice",
        file=FOLD,
        old="if not 0 <= index < batch.count or batch.settled[index]:",
        new="if not 0 <= index < batch.count:",
        breaks="I5: an item has one outcome",
        tests=(f"{H}test_fold.py::test_an_item_has_one_outcome",),
    ),
    Mutant(
        id="fold-two-ends",
        file=FOLD,
        old='("ended", kind): "ended"\n        for kind in (CallPromoted,',
        new='("ended", kind): "ended"\n        for kind in (RunCompleted, CallPromoted,',
        breaks="I3: a run has one terminal event",
        tests=(f"{H}test_fold.py::test_what_may_follow_and_what_may_not",),
    ),
    Mutant(
        id="fold-attempts-in-any-order",
        file=FOLD,
        old="if event.attempt != call.attempt:",
        new="if event.attempt < 1:",
        breaks="I13: attempts are counted one by one",
        tests=(f"{H}test_fold.py::test_what_cannot_follow_says_why",),
    ),
    Mutant(
        id="fold-a-number-used-twice",
        file=FOLD,
        old="        if call <= self.last_call:\n",
        new="        if call < self.last_call:\n",
        breaks="I5: a number names one call",
        tests=(f"{H}test_fold.py::test_what_cannot_follow_says_why",),
    ),
    Mutant(
        id="events-split-loses-an-item",
        file=EVENTS,
        old="        size -= cut - start\n",
        new="        size -= cut - start + 1\n",
        breaks="a part of a map and its rest are the whole",
        tests=(f"{H}test_events.py::test_a_split_gives_the_first_ones_and_the_rest",),
    ),
    Mutant(
        id="wire-epoch-is-not-hashed",
        file=WIRE,
        old='text = f"{seq},{epoch},{at_us},',
        new='text = f"{seq},{at_us},',
        breaks="I2: a changed row is seen, whatever of it was changed",
        tests=(f"{H}test_wire.py::test_every_changed_byte_of_every_row_is_seen",),
    ),
    Mutant(
        id="wire-chain-is-not-checked",
        file=WIRE,
        old="        if digest != recorded:\n",
        new="        if recorded is None:\n",
        breaks="I2: a row that was swapped for another's, or changed, is seen",
        tests=(f"{H}test_wire.py::test_a_history_that_is_not_whole_is_seen",),
    ),
    Mutant(
        id="retry-one-attempt-too-many",
        file=RETRY,
        old="if attempt >= policy.max_attempts or",
        new="if attempt > policy.max_attempts or",
        breaks="I12: a call has as many attempts as its policy says",
        tests=("tests/test_retry.py::test_attempts_are_counted_from_the_first_one",),
    ),
    Mutant(
        id="retry-in-spite-of-a-ban",
        file=RETRY,
        old="if _matches(policy.no_retry_for, error, names) or not",
        new="if not",
        breaks="what a policy excludes is not tried again",
        tests=("tests/test_retry.py::test_which_errors_are_retried_live_and_from_a_record",),
    ),
    Mutant(
        id="retry-delay-of-the-attempt-after",
        file=RETRY,
        old="delay = initial * policy.backoff_factor ** (attempt - 1)",
        new="delay = initial * policy.backoff_factor**attempt",
        breaks="I13: retries respect their back-off",
        tests=("tests/test_retry.py::test_attempts_are_counted_from_the_first_one",),
    ),
    Mutant(
        id="codec-huge-int-as-plain-digits",
        file=PLAIN,
        old="                return True\n        elif kind is list:",
        new="                return False\n        elif kind is list:",
        breaks="what is written here can be read by every process",
        tests=("tests/codec/test_values.py::test_an_int_that_another_process_may_refuse_to_read_is_tagged",),
    ),
    Mutant(
        id="codec-key-becomes-text",
        file=PLAIN,
        old="            if type(key) is not str:\n                return 0\n",
        new="            if not isinstance(key, str | int):\n                return 0\n",
        breaks="I6: a value comes back as it was: {1: ...} is not {'1': ...}",
        tests=("tests/codec/test_values.py::test_every_value_comes_back_with_type_and_value_at_every_depth",),
    ),
    Mutant(
        id="codec-decimal-in-the-programs-context",
        file=SCALARS,
        old="{_DECIMAL_TEXT.to_sci_string(value)}",
        new="{value.normalize()}",
        breaks="I6: a value comes back as it was, with every digit",
        tests=("tests/codec/test_values.py::test_exact_texts_of_some_payloads_never_change",),
    ),
)

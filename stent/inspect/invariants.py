"""What must always be true of a database, checked through plain SQL and independent of the code that writes it.

Rules of this file:
- `check` only reads, and reports; it never raises for what it finds;
- the names are those of the list of invariants (docs: invariants); I11 and I12 need replay and dead letters;
- what only a witness can know (what clients and bodies saw) comes in a `Ledger`, written outside the database.

    I1  what was acknowledged is there          I8   limits hold; nothing is held twice
    I2  seqs without gaps, a valid chain        I9   no timer fired early
    I3  one beginning, one end                  I10  children and parents know each other; no orphans
    I4  the row of a run is what its history says   I13  attempts count up and wait
    I5  one outcome for what was scheduled      I14  one key, one run
    I6  a recorded result was really returned   L1   whoever waits can be woken
    I7  epochs never go back
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stent.errors import CorruptHistoryError
from stent.history import wire
from stent.history.events import (
    BatchItemsCompleted,
    BatchScheduled,
    CallCompleted,
    CallFailed,
    CallScheduled,
    Event,
    RunContinuedAsNew,
    SignalReceived,
    indexes_of,
)
from stent.history.refusals import refused_by
from stent.history.wire import EventRow
from stent.inspect.facts import Facts, Place, Violation, facts_of
from stent.inspect.snapshot import Connection, Ready, Run, Snapshot, read_histories, read_snapshot

ENDED = frozenset({"completed", "failed", "timed_out", "cancelled"})


@dataclass(frozen=True, slots=True)
class Body:
    """One attempt of an activity, as the body itself wrote it down. Times are of one clock."""

    run_id: str
    call: int
    began_us: int
    ended_us: int | None = None
    limit_key: str | None = None
    result: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What clients and bodies saw, kept outside the database: acknowledged starts, signals and keys, and attempts."""

    starts: Sequence[str] = ()
    signals: Sequence[tuple[str, str]] = ()  # (run id, key)
    keys: Sequence[tuple[str, str]] = ()  # (idempotency key, run id that the client was given)
    bodies: Sequence[Body] = ()


@dataclass(slots=True)
class _Case:
    """All that is known while checking."""

    snapshot: Snapshot
    facts: dict[str, Facts] = field(default_factory=dict)
    results: dict[tuple[str, int], bytes] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)  # runs whose history cannot be read


def check(connection: Connection, ledger: Ledger | None = None) -> list[Violation]:
    """Every violation found, in no order that means anything. An empty list is good news."""
    case = _Case(read_snapshot(connection))
    found = list(_check_histories(connection, case))
    found += _check_runs(case)
    found += _check_families(case)
    found += _check_claims(case)
    found += _check_wakeups(case)
    if ledger is not None:
        found += _check_ledger(case, ledger)
    return found


# -- histories -------------------------------------------------------------------------------------------------------


def _check_histories(connection: Connection, case: _Case) -> Iterator[Violation]:
    for run_id, rows, lost in read_histories(connection):
        yield from (Violation("I2", run_id, seq, "its payload is missing") for seq in lost)
        yield from _check_rows(case, run_id, rows, is_whole=not lost)
        try:
            events = [wire.decode(row) for row in rows]
        except CorruptHistoryError as error:
            yield Violation("I2", run_id, error.facts.get("seq"), error.message)
            case.unread.add(run_id)
            continue
        facts = case.facts[run_id] = facts_of(run_id, events)
        yield from facts.violations
        _keep_results(case, run_id, events)
    for run_id in case.snapshot.runs:
        if run_id not in case.facts and run_id not in case.unread:
            yield Violation("I2", run_id, None, "a run without a history")


def _check_rows(case: _Case, run_id: str, rows: list[EventRow], *, is_whole: bool) -> Iterator[Violation]:
    seqs = [row.seq for row in rows]
    if seqs != list(range(1, len(rows) + 1)):
        gap = next((place for place, seq in enumerate(seqs, 1) if seq != place), None)
        yield Violation("I2", run_id, gap, "seqs have a gap")
    elif is_whole:
        try:
            wire.check_chain(rows)
        except CorruptHistoryError as error:
            yield Violation("I2", run_id, error.facts.get("seq"), error.message)
    highest = 0
    for row in rows:
        if row.epoch < highest:
            yield Violation("I7", run_id, row.seq, f"epoch {row.epoch} after {highest}")
        highest = max(highest, row.epoch)
    run = case.snapshot.runs.get(run_id)
    if run is None:
        yield Violation("I10", run_id, None, "a history without a run")
    elif highest > run.epoch:
        yield Violation("I7", run_id, None, f"epoch {highest} in the history, {run.epoch} in the row of the run")


def _keep_results(case: _Case, run_id: str, events: list[Event]) -> None:
    for event in events:
        if isinstance(event, CallCompleted):
            case.results[run_id, event.call] = event.result.data


# -- the rows of runs ------------------------------------------------------------------------------------------------


def _check_runs(case: _Case) -> Iterator[Violation]:
    for run_id, facts in case.facts.items():
        run = case.snapshot.runs.get(run_id)
        if run is None:
            continue
        for message in _differences(run, facts):
            yield Violation("I4", run_id, None, message)


def _differences(run: Run, facts: Facts) -> Iterator[str]:
    started = facts.started
    if started is not None:
        told = (started.run_id, started.function, started.parent_run, started.parent_call, started.parent_item)
        kept = (run.run_id, run.function, run.parent_run, run.parent_call, run.parent_item)
        if told != kept:
            yield f"the history began as {told}, the row says {kept}"
    if facts.end is not None and run.status != facts.status:
        yield f"status {run.status!r}, but the history says {facts.status!r}"
    if facts.end is None and run.status in ENDED:
        yield f"status {run.status!r}, but the history has no end"
    if (run.finished_at_us is not None) != (facts.end is not None):
        yield "finished_at_us and the end of the history contradict each other"
    if (run.status == "stalled") != (run.stall is not None):
        yield "a run has a reason to be stalled if and only if it is stalled"
    if run.status == "pending" and (run.started_at_us is not None or run.owner is not None):
        yield "pending, but somebody began it"
    if run.status != "pending" and run.started_at_us is None:
        yield f"status {run.status!r}, but nobody began it"


# -- parents and children --------------------------------------------------------------------------------------------


def _check_families(case: _Case) -> Iterator[Violation]:
    expected: set[tuple[str | None, str]] = set()
    for run_id, facts in case.facts.items():
        for parent_run, child in _children_of(facts):
            expected.add((parent_run, child))
            found = case.snapshot.runs.get(child)
            if found is None:
                yield Violation("I10", run_id, None, f"its child {child} was scheduled and does not exist")
            elif found.parent_run != parent_run and not _was_refused(case, facts, child):
                yield Violation("I10", run_id, None, f"its child {child} is the child of {found.parent_run}")
    for run in case.snapshot.runs.values():
        if run.parent_run is None or run.parent_run in case.unread:
            continue
        parent = case.facts.get(run.parent_run)
        if parent is None:
            yield Violation("I10", run.run_id, None, f"its parent {run.parent_run} does not exist")
        elif (run.parent_run, run.run_id) not in expected:
            yield Violation("I10", run.run_id, None, f"its parent {run.parent_run} never scheduled it")
        elif run.status in ENDED and not _is_answered(case, run, parent):
            yield Violation("I10", run.run_id, None, f"it has ended, and its parent {run.parent_run} was not told")


def _children_of(facts: Facts) -> Iterator[tuple[str | None, str]]:
    """Every run that a history started, with the parent that it answers."""
    run_id = facts.run_id
    for call, found in facts.scheduled.items():
        if isinstance(found.event, CallScheduled) and found.child_run is not None:
            yield run_id, found.child_run
        if isinstance(found.event, BatchScheduled) and not found.is_activity and found.event.limit is None:
            yield from ((run_id, f"{run_id}.{call}.{item}") for item in range(found.event.count))
    yield from ((run_id, child) for child in facts.promoted.values())
    if isinstance(facts.end, RunContinuedAsNew) and facts.started is not None:
        yield facts.started.parent_run, facts.end.next_run


def _was_refused(case: _Case, parent: Facts, child: str) -> bool:
    """The parent was told, or has it in its inbox, that the id of its child is another run's."""
    waiting = _messages(case, parent.run_id)
    return child in parent.refused or any(child in refused_by(event) for event in waiting)


def _is_answered(case: _Case, child: Run, parent: Facts) -> bool:
    """The parent has the answer, or has it in its inbox, or has ended, or wanted none; or another run will answer."""
    facts = case.facts.get(child.run_id)
    if parent.end is not None or (facts is not None and isinstance(facts.end, RunContinuedAsNew)):
        return True
    call = parent.scheduled.get(child.parent_call or 0)
    if call is None:
        return False  # reported where the call is missing
    if call.is_cancelled or call.is_answered:
        return True
    if child.parent_item is not None and child.parent_item not in call.open_items:
        return True
    return any(_answers(event, child) for event in _messages(case, parent.run_id))


def _messages(case: _Case, run_id: str) -> Iterator[Event]:
    for waiting in case.snapshot.inbox.get(run_id, []):
        try:
            yield wire.decode(waiting.row)
        except CorruptHistoryError:
            continue  # reported by `_check_wakeups`


def _answers(event: Event, child: Run) -> bool:
    if isinstance(event, CallCompleted | CallFailed):
        return event.call == child.parent_call and child.parent_item is None
    if isinstance(event, BatchItemsCompleted):
        return event.call == child.parent_call and child.parent_item in indexes_of(event.items)
    return False


# -- claims and limits -----------------------------------------------------------------------------------------------


def _check_claims(case: _Case) -> Iterator[Violation]:
    snapshot = case.snapshot
    used: Counter[str] = Counter()
    for run in snapshot.runs.values():
        if run.limit_key is not None and run.started_at_us is not None and run.finished_at_us is None:
            used[run.limit_key] += 1
        if run.owner is not None and run.owner not in snapshot.workers:
            yield Violation("I10", run.run_id, None, f"held by {run.owner}, which has no lease that could run out")
        if run.owner is not None and run.run_id in snapshot.sleeping:
            yield Violation("I8", run.run_id, None, "held, and yet offered at a time")
    for ready in snapshot.ready:
        if ready.call > 0 and ready.claimed_by is not None and ready.limit_key is not None:
            used[ready.limit_key] += ready.size
        yield from (Violation(name, ready.run_id, None, why) for name, why in _wrong_with(case, ready))
    for key, count in used.items():
        if count > snapshot.limits.get(key, count):
            yield Violation("I8", None, None, f"{count} under the limit {key!r} of {snapshot.limits[key]}")


def _wrong_with(case: _Case, ready: Ready) -> Iterator[tuple[str, str]]:
    run = case.snapshot.runs.get(ready.run_id)
    if run is None:
        yield "I10", "offered, and does not exist"
        return
    if ready.claimed_by is not None and ready.claimed_by not in case.snapshot.workers:
        yield "I10", f"call {ready.call} is claimed by {ready.claimed_by}, which has no lease that could run out"
    if ready.call == 0:
        if run.owner is not None:
            yield "I8", "held, and yet offered to all workers"
        return
    facts = case.facts.get(ready.run_id)
    if facts is None or ready.is_cancelled:
        return
    size = sum(stop - start for start, stop in ready.items) if ready.items else 1
    if size != ready.size:
        yield "I8", f"call {ready.call} counts as {ready.size} bodies and is {size}"
    call = facts.scheduled.get(ready.call)
    if call is None or call.event.seq != ready.seq:
        yield "I10", f"call {ready.call} is offered, and no event {ready.seq} scheduled it"
    elif call.is_cancelled or call.is_answered or not facts.keeps_open_work:
        yield "I10", f"call {ready.call} is offered, and nobody wants it any more"


# -- waiting ---------------------------------------------------------------------------------------------------------


def _check_wakeups(case: _Case) -> Iterator[Violation]:
    """Whoever nobody holds must be offered, or wake at a time, or wait for a message that somebody will send."""
    snapshot = case.snapshot
    offered = {ready.run_id for ready in snapshot.ready if ready.call == 0}
    shared: dict[str, set[Place]] = defaultdict(set)
    for ready in snapshot.ready:
        items = indexes_of(ready.items) if ready.items else [None]
        shared[ready.run_id].update((ready.call, item) for item in items)
    for run_id, messages in snapshot.inbox.items():
        if run_id not in snapshot.runs:
            yield Violation("I10", run_id, None, f"{len(messages)} messages for a run that does not exist")
        for waiting in messages:
            try:
                wire.decode(waiting.row)
            except CorruptHistoryError as error:
                yield Violation("I2", run_id, None, f"message {waiting.key!r}: {error.message}")
    yield from (
        Violation("I10", run_id, None, "wakes at a time, and does not exist")
        for run_id in snapshot.sleeping
        if run_id not in snapshot.runs
    )
    for run in snapshot.runs.values():
        if run.owner is None and run.run_id not in offered and run.status != "stalled":
            lost = _lost_in(case, run, case.facts.get(run.run_id), shared[run.run_id])
            yield from (Violation("L1", run.run_id, None, why) for why in lost)


def _lost_in(case: _Case, run: Run, facts: Facts | None, shared: set[Place]) -> Iterator[str]:
    due_us = case.snapshot.sleeping.get(run.run_id)
    if run.status == "pending":
        if due_us is None:
            yield "nobody will ever begin it"
        return
    if run.run_id in case.snapshot.inbox:
        yield "messages wait for it, and nobody will read them"
    if facts is None:
        return
    for timer in facts.open_timers():
        if due_us is None or due_us > timer.due_us:
            yield f"timer {timer.call} is due at {timer.due_us}, and nobody will wake it then"
    for place in facts.open_places():
        retry = facts.retries.get(place)
        is_retried = retry is not None and due_us is not None and due_us <= retry.retry_at_us
        if place not in shared and not is_retried and run.run_id not in case.snapshot.inbox:
            yield f"call {place[0]}, item {place[1]} is open, and nobody will carry it out"


# -- what witnesses saw ----------------------------------------------------------------------------------------------


def _check_ledger(case: _Case, ledger: Ledger) -> Iterator[Violation]:
    for run_id in ledger.starts:
        if run_id not in case.snapshot.runs:
            yield Violation("I1", run_id, None, "its start was acknowledged, and it does not exist")
    for run_id, key in ledger.signals:
        count = _signals(case, run_id, key)
        if count != 1:
            yield Violation("I1", run_id, None, f"signal {key!r} was acknowledged, and is there {count} times")
    runs_by_key: dict[str, set[str]] = defaultdict(set)
    for key, run_id in ledger.keys:
        runs_by_key[key].add(run_id)
    for key, run_ids in runs_by_key.items():
        if len(run_ids) > 1:
            yield Violation("I14", None, None, f"key {key!r} named several runs: {sorted(run_ids)}")
    yield from _check_results(case, ledger.bodies)
    yield from _check_concurrency(case, ledger.bodies)


def _signals(case: _Case, run_id: str, key: str) -> int:
    facts = case.facts.get(run_id)
    recorded = facts.signal_keys.count(key) if facts is not None else 0
    waiting = [event for event in _messages(case, run_id) if isinstance(event, SignalReceived) and event.key == key]
    if not recorded and not waiting and facts is not None and isinstance(facts.end, RunContinuedAsNew):
        return _signals(case, facts.end.next_run, key)  # it had not been read, and went on with the run
    return recorded + len(waiting)


def _check_results(case: _Case, bodies: Sequence[Body]) -> Iterator[Violation]:
    returned: dict[tuple[str, int], set[bytes]] = defaultdict(set)
    for body in bodies:
        if body.result is not None:
            returned[body.run_id, body.call].add(body.result)
    witnessed = {(body.run_id, body.call) for body in bodies}
    for place, result in case.results.items():
        if place in witnessed and result not in returned[place]:
            yield Violation("I6", place[0], None, f"the result of call {place[1]} was returned by no attempt")


def _check_concurrency(case: _Case, bodies: Sequence[Body]) -> Iterator[Violation]:
    """The most bodies at once under each limit. One that never wrote its end is left out: its process died somewhen."""
    moments: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for body in bodies:
        if body.limit_key is not None and body.ended_us is not None:
            moments[body.limit_key] += [(body.began_us, 1), (body.ended_us, -1)]
    for key, changes in moments.items():
        running = most = 0
        for _, change in sorted(changes):
            running += change
            most = max(most, running)
        if most > case.snapshot.limits.get(key, most):
            yield Violation("I8", None, None, f"{most} bodies at once under the limit {key!r}")

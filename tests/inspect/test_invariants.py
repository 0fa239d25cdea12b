"""The checker of invariants: silent over what Stent's stores write, and loud, by name, over each planted violation."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stent.clock import ManualClock
from stent.history import wire
from stent.history.events import (
    BatchItemsCompleted,
    BatchScheduled,
    CallAttemptFailed,
    CallCancelRequested,
    CallCompleted,
    CallPromoted,
    CallScheduled,
    Event,
    PatchRecorded,
    RunCancelled,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    RunStarted,
    SignalReceived,
    TimerFired,
    TimerStarted,
)
from stent.history.operations import Append, Release
from stent.history.records import Message
from stent.history.sql.sqlite import SQLiteStore
from stent.inspect.facts import Violation
from stent.inspect.invariants import Body, Ledger, check
from stent.testing.conformance.rigging import Rig, call, completed, new_run, part, payload, scheduled, signal

Plant = Callable[[sqlite3.Connection], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stent.db"


@pytest.fixture
def rig(path: Path) -> Iterator[Rig]:
    clock = ManualClock(1_000)
    store = SQLiteStore(path, durability="relaxed", clock=clock)
    store.initialise()
    yield Rig(store, clock)
    store.close()


def found_in(path: Path, ledger: Ledger | None = None, plant: Plant | None = None) -> list[Violation]:
    connection = sqlite3.connect(path)
    try:
        if plant is not None:
            with connection:
                plant(connection)
        return check(connection, ledger)
    finally:
        connection.close()


def names(path: Path, ledger: Ledger | None = None, plant: Plant | None = None) -> set[str]:
    return {violation.name for violation in found_in(path, ledger, plant)}


def write(rig: Rig, run_id: str, *events: Event) -> None:
    """Events as they come, in whatever order, with the time they name."""
    last = rig.store.last_row(run_id)
    assert last is not None
    placed = [replace(event, seq=last.seq + n, at_us=event.at_us or 2_000) for n, event in enumerate(events, 1)]
    rows = wire.encode_all(placed, run_id, rig.epoch(run_id), last.hash, b"t" * 16)
    rig.do(Append(run_id, rig.epoch(run_id), rows))


def busy(rig: Rig) -> None:
    """A database with a bit of everything, all of it in order."""
    rig.register("w1", slow=3)
    rig.register("w2")
    rig.hold("parent", arguments=payload("x" * 3_000))
    child = CallScheduled(0, 0, 1, "shop.order", payload(), "orchestrator", child_run="parent.1")
    batch = BatchScheduled(0, 0, 2, "shop.pay", 9, payload(), "activity")
    runs = BatchScheduled(0, 0, 3, "shop.order", 2, payload(), "orchestrator")
    rig.append(
        "parent",
        *(child, batch, runs, TimerStarted(0, 0, 4, 1_500)),
        children=(
            new_run("parent.1", parent_run="parent", parent_call=1),
            *(new_run(f"parent.3.{n}", parent_run="parent", parent_call=3, parent_item=n) for n in (0, 1)),
        ),
        shared=(replace(part("parent", 2, (0, 9), limit_key="slow"), seq=3),),
    )
    rig.claim_calls("w2", slots=2)
    rig.hold("parent.1", "w2")
    rig.append("parent.1", completed(), status="completed", at_us=5, release=Release(), messages=(answer("parent", 1),))
    rig.append("parent", CallAttemptFailed(0, 0, 2, 1, 9, payload(), 8), TimerFired(0, 0, 4))
    rig.put(signal("parent", "k"))
    rig.start("later", due_us=5_000)
    rig.start("limited", "shop.pay", "activity", limit_key="slow")
    rig.claim_runs("w1", only=("limited",))
    rig.hold("sleeper")
    rig.append("sleeper", TimerStarted(0, 0, 1, 9_000), release=Release(9_000))
    rig.hold("stalled")
    rig.append("stalled", scheduled(1), status="stalled", stall="why", release=Release())
    rig.hold("first")
    rig.append(
        "first",
        RunContinuedAsNew(0, 0, "first~2", payload()),
        status="completed",
        at_us=5,
        children=(new_run("first~2"),),
        release=Release(),
    )
    rig.hold("cancelled")
    rig.append("cancelled", scheduled(1), RunCancelled(0, 0), status="cancelled", at_us=5, release=Release())


def answer(run_id: str, number: int) -> Message:
    return Message(run_id, f"answer-{number}", CallCompleted(0, 0, number, payload()))


def test_nothing_is_said_of_what_is_in_order(rig: Rig, path: Path) -> None:
    busy(rig)
    assert [] == found_in(path)


def test_an_empty_database_is_in_order(rig: Rig, path: Path) -> None:
    assert [] == found_in(path, Ledger())


def test_a_violation_says_where_and_what() -> None:
    assert "I5 run a, seq 7: too late" == str(Violation("I5", "a", 7, "too late"))
    assert "I8: too many" == str(Violation("I8", None, None, "too many"))


# -- damage to the tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("I2", "DELETE FROM stent_events WHERE run_id = 'parent' AND seq = 3"),
        ("I2", "DELETE FROM stent_events WHERE run_id = 'later'"),
        ("I2", "UPDATE stent_events SET at_us = at_us + 1 WHERE run_id = 'parent' AND seq = 2"),
        ("I2", "UPDATE stent_events SET body = '{}' WHERE run_id = 'sleeper' AND seq = 2"),
        ("I2", "UPDATE stent_events SET code = 999 WHERE run_id = 'sleeper' AND seq = 2"),
        ("I2", "DELETE FROM stent_payloads"),
        ("I2", "UPDATE stent_inbox SET code = 999"),
        ("I4", "UPDATE stent_runs SET status = 'completed' WHERE run_id = 'parent'"),
        ("I4", "UPDATE stent_runs SET status = 'failed' WHERE run_id = 'parent.1'"),
        ("I4", "UPDATE stent_runs SET status = 'running' WHERE run_id = 'parent.1'"),
        ("I4", "UPDATE stent_runs SET status = 'pending' WHERE run_id = 'sleeper'"),
        ("I4", "UPDATE stent_runs SET status = 'running' WHERE run_id = 'later'"),
        ("I4", "UPDATE stent_runs SET function = 'shop.ship' WHERE run_id = 'parent'"),
        ("I4", "UPDATE stent_runs SET parent_item = 7 WHERE run_id = 'parent.1'"),
        ("I4", "UPDATE stent_runs SET finished_at_us = NULL WHERE run_id = 'parent.1'"),
        ("I4", "UPDATE stent_runs SET finished_at_us = 5 WHERE run_id = 'parent'"),
        ("I4", "UPDATE stent_runs SET stall = NULL WHERE run_id = 'stalled'"),
        ("I7", "UPDATE stent_runs SET epoch = 0 WHERE run_id = 'parent'"),
        ("I7", "UPDATE stent_events SET epoch = 5 WHERE run_id = 'parent' AND seq = 2"),
        ("I8", "UPDATE stent_limits SET max = 2"),
        ("I8", "UPDATE stent_ready SET size = 1 WHERE call = 2 AND claimed_by IS NOT NULL"),
        ("I8", "INSERT INTO stent_sleeping VALUES ('parent', 99)"),
        ("I8", "UPDATE stent_ready SET run_id = 'parent' WHERE run_id = 'first~2'"),
        ("I10", "DELETE FROM stent_workers WHERE worker_id = 'w1'"),
        ("I10", "DELETE FROM stent_workers WHERE worker_id = 'w2'"),
        ("I10", "DELETE FROM stent_runs WHERE run_id = 'parent.1'"),
        ("I10", "DELETE FROM stent_runs WHERE run_id = 'parent'"),
        ("I10", "DELETE FROM stent_runs WHERE run_id = 'first~2'"),
        ("I10", "DELETE FROM stent_runs WHERE run_id = 'sleeper'"),
        ("I10", "DELETE FROM stent_runs WHERE run_id = 'later'"),
        ("I10", "DELETE FROM stent_inbox WHERE key = 'answer-1'"),
        ("I10", "UPDATE stent_runs SET parent_run = 'sleeper' WHERE run_id = 'parent.1'"),
        ("I10", "UPDATE stent_runs SET parent_run = 'sleeper' WHERE run_id = 'stalled'"),
        ("I10", "UPDATE stent_runs SET parent_run = 'nobody' WHERE run_id = 'stalled'"),
        ("I10", "UPDATE stent_inbox SET run_id = 'nobody'"),
        ("I10", "UPDATE stent_ready SET seq = 2 WHERE call = 2"),
        ("I10", "UPDATE stent_ready SET call = 77 WHERE call = 2 AND claimed_by IS NULL"),
        ("I10", "UPDATE stent_ready SET run_id = 'nobody' WHERE run_id = 'first~2'"),
        ("L1", "DELETE FROM stent_ready WHERE run_id = 'first~2'"),
        ("L1", "DELETE FROM stent_sleeping WHERE run_id = 'later'"),
        ("L1", "DELETE FROM stent_sleeping WHERE run_id = 'sleeper'"),
        ("L1", "UPDATE stent_sleeping SET due_at_us = 9001 WHERE run_id = 'sleeper'"),
        ("L1", "UPDATE stent_inbox SET run_id = 'sleeper' WHERE key = 'k'"),
        ("L1", "UPDATE stent_runs SET status = 'running', stall = NULL WHERE run_id = 'stalled'"),
    ],
)
def test_damage_is_reported_by_its_name(rig: Rig, path: Path, name: str, statement: str) -> None:
    busy(rig)
    assert name in names(path, plant=lambda connection: connection.execute(statement))


def test_one_damage_does_not_hide_another(rig: Rig, path: Path) -> None:
    busy(rig)

    def plant(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE stent_events SET code = 999 WHERE run_id = 'parent' AND seq = 2")
        connection.execute("DELETE FROM stent_sleeping WHERE run_id = 'sleeper'")
        connection.execute("UPDATE stent_runs SET status = 'failed' WHERE run_id = 'parent.1'")

    assert {"I2", "L1", "I4"} <= names(path, plant=plant)


# -- impossible histories --------------------------------------------------------------------------------------------

DONE = CallCompleted(0, 0, 1, payload())
SEVEN = CallCompleted(0, 0, 1, payload("7"))
BATCH = BatchScheduled(0, 0, 2, "g", 3, payload(), "activity")


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("I3", [RunStarted(0, 0, "a", "shop.order", payload("[]"), "orchestrator")]),
        ("I3", [RunCompleted(0, 0, payload()), RunFailed(0, 0, payload())]),
        ("I3", [RunCompleted(0, 0, payload()), PatchRecorded(0, 0, "change")]),
        ("I5", [DONE]),
        ("I5", [scheduled(1), DONE, DONE]),
        ("I5", [scheduled(1), CallCancelRequested(0, 0, 1), DONE]),
        ("I5", [scheduled(1), scheduled(1)]),
        ("I5", [BATCH, CallCompleted(0, 0, 2, payload())]),
        ("I5", [BATCH, *(BatchItemsCompleted(0, 0, 2, ((n, n + 2),), payload()) for n in (0, 1))]),
        ("I5", [BATCH, BatchItemsCompleted(0, 0, 2, ((3, 4),), payload())]),
        ("I5", [BATCH, BatchItemsCompleted(0, 0, 2, ((0, 1),), payload(), (2,))]),
        ("I5", [scheduled(1), BatchItemsCompleted(0, 0, 1, ((0, 1),), payload())]),
        ("I5", [TimerFired(0, 0, 1)]),
        ("I5", [TimerStarted(0, 0, 1, 5), TimerFired(0, 0, 1), TimerFired(0, 0, 1)]),
        ("I5", [CallPromoted(0, 0, 1, "a.1")]),
        ("I9", [TimerStarted(0, 0, 1, 2_001), TimerFired(0, 2_000, 1)]),
        ("I10", [CallScheduled(0, 0, 1, "g", payload(), "orchestrator", child_run="a.1")]),
        ("I10", [scheduled(1), CallPromoted(0, 0, 1, "a.1")]),
        ("I10", [BatchScheduled(0, 0, 2, "g", 1, payload(), "orchestrator")]),
        ("I13", [scheduled(1), CallAttemptFailed(0, 0, 1, 2, 9, payload())]),
        ("I13", [scheduled(1), *(CallAttemptFailed(0, 0, 1, n, 9, payload()) for n in (1, 3))]),
        ("I13", [scheduled(1), *(CallAttemptFailed(0, 2_000 + n, 1, n, 9_000, payload()) for n in (1, 2))]),
    ],
)
def test_an_impossible_history_is_reported_by_its_name(rig: Rig, path: Path, name: str, events: list[Event]) -> None:
    rig.hold("a")
    write(rig, "a", *events)
    assert name in names(path)


@pytest.mark.parametrize(
    "events",
    [
        [scheduled(1), RunFailed(0, 0, payload()), CallAttemptFailed(0, 0, 1, 1, 9, payload()), DONE],
        [BATCH, RunFailed(0, 0, payload()), BatchItemsCompleted(0, 0, 2, ((0, 3),), payload())],
        [scheduled(1), CallAttemptFailed(0, 0, 1, 1, 9, payload()), CallAttemptFailed(0, 0, 1, 2, 9, payload()), DONE],
        [TimerStarted(0, 0, 1, 2_000), TimerFired(0, 2_000, 1)],
    ],
)
def test_what_may_happen_is_not_reported(rig: Rig, path: Path, events: list[Event]) -> None:
    rig.hold("a")
    write(rig, "a", *events)
    assert names(path) <= {"I4"}, "the row was not told of the end; the history is in order"


def test_an_open_call_that_nobody_carries_out(rig: Rig, path: Path) -> None:
    rig.hold("a")
    write(rig, "a", scheduled(1))
    assert set() == names(path), "its holder does"
    rig.release("a")
    assert {"L1"} == names(path)


@pytest.mark.parametrize(("due_us", "expected"), [(9, set()), (10, {"L1"}), (None, {"L1"})])
def test_a_retry_needs_somebody_who_wakes_for_it(rig: Rig, path: Path, due_us: int | None, expected: set[str]) -> None:
    rig.hold("a")
    write(rig, "a", scheduled(1), CallAttemptFailed(0, 0, 1, 1, 9, payload()))
    rig.release("a", due_us)
    assert expected == names(path)


def test_a_call_that_nobody_wants_is_not_offered(rig: Rig, path: Path) -> None:
    rig.hold("a")
    rig.share("a", call("a", 1))
    write(rig, "a", CallCancelRequested(0, 0, 1))
    assert {"I10"} == names(path)


def test_a_child_with_another_parent_is_nobodys_answer(rig: Rig, path: Path) -> None:
    """An id that a user chose may be taken already: then the call would wait for ever."""
    rig.start("taken")
    rig.hold("a")
    write(rig, "a", CallScheduled(0, 0, 1, "g", payload(), "orchestrator", child_run="taken"))
    assert {"I10"} == names(path)


# -- what witnesses saw ----------------------------------------------------------------------------------------------


def test_witnesses_who_agree(rig: Rig, path: Path) -> None:
    rig.register("w1", slow=1)
    rig.hold("a")
    rig.put(signal("a", "k"))
    write(rig, "a", SignalReceived(0, 0, "news", payload(), "l"), scheduled(1), SEVEN)
    bodies = [
        Body("a", 1, 0, 5, "slow"),
        Body("a", 1, 5, 9, "slow", b"7"),
        Body("a", 2, 0),
        Body("b", 9, 0, 9, "other"),
    ]
    ledger = Ledger(["a"], [("a", "k"), ("a", "l")], [("key", "a"), ("key", "a")], bodies)
    assert [] == found_in(path, ledger)


@pytest.mark.parametrize(
    ("name", "ledger"),
    [
        ("I1", Ledger(starts=["b"])),
        ("I1", Ledger(signals=[("a", "lost")])),
        ("I1", Ledger(signals=[("a", "twice")])),
        ("I6", Ledger(bodies=[Body("a", 1, 0, 5, None, b"8"), Body("a", 1, 6, 7)])),
        ("I8", Ledger(bodies=[Body("a", 7, 0, 5, "slow"), Body("a", 8, 4, 9, "slow")])),
        ("I14", Ledger(keys=[("key", "a"), ("key", "b")])),
    ],
)
def test_witnesses_who_disagree(rig: Rig, path: Path, name: str, ledger: Ledger) -> None:
    rig.register("w1", slow=1)
    rig.hold("a")
    rig.put(signal("a", "twice"))
    write(rig, "a", SignalReceived(0, 0, "news", payload(), "twice"), scheduled(1), SEVEN)
    assert {name} == names(path, ledger)


def test_a_signal_that_went_on_with_its_run_is_not_lost(rig: Rig, path: Path) -> None:
    rig.hold("a")
    rig.put(signal("a", "k"))
    rig.append(
        "a",
        RunContinuedAsNew(0, 0, "a~2", payload()),
        status="completed",
        at_us=5,
        children=(new_run("a~2"),),
        release=Release(),
        next_run="a~2",
    )
    assert [] == found_in(path, Ledger(signals=[("a", "k")]))
    assert ["I1"] == [violation.name for violation in found_in(path, Ledger(signals=[("a", "lost")]))]

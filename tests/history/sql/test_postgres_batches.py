"""Which operations of a batch are written together, how many round trips that takes, and that nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from stent.clock import ManualClock
from stent.history.operations import (
    Append,
    Appended,
    Capabilities,
    ClaimCalls,
    ClaimedCalls,
    ClaimRuns,
    FinishCall,
    Operation,
    PutMessage,
    Release,
    RenewWorker,
    StartRun,
)
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_batches import at_once as batches_at_once, is_written_at_once, levels_of, locks_of
from stent.history.sql.postgres_talk import Statement
from stent.history.store import Store
from stent.testing.conformance.rigging import Rig, call, new_run, scheduled, signal
from tests.history import test_store_agreement as agreement

Open = Callable[..., PostgresStore]
NOBODY = Capabilities(frozenset())
CLAIM = ClaimRuns("w", NOBODY, 1, 1)


def start(run_id: str, **more: Any) -> StartRun:
    return StartRun(new_run(run_id, **more))


def put(run_id: str, key: str = "k") -> PutMessage:
    return PutMessage(signal(run_id, key))


def append(run_id: str, **more: Any) -> Append:
    return Append(run_id, 1, **more)


def finish(call: int, run_id: str = "a") -> FinishCall:
    return FinishCall("w", run_id, call, -1, signal("p", str(call)))


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([], []),
        ([start("a"), start("b")], [[0, 1]]),
        ([start("a"), start("a")], [[0], [1]]),
        ([append("a"), append("b"), append("a")], [[0, 1], [2]]),
        ([append("a"), start("b"), append("c"), put("d")], [[0, 2, 1, 3]]),
        ([start("a"), put("a")], [[0], [1]]),
        ([put("a", "k"), put("a", "l"), put("a", "k")], [[0, 1], [2]]),
        ([append("a", messages=(signal("p", "1"),)), append("b", messages=(signal("p", "2"),))], [[0, 1]]),
        ([append("a", messages=(signal("p", "1"),)), append("b", messages=(signal("p", "1"),))], [[0], [1]]),
        ([append("a", messages=(signal("p", "1"),)), append("p")], [[0], [1]]),
        ([append("p"), append("a", messages=(signal("p", "1"),))], [[0], [1]]),
        ([append("a", children=(new_run("b"),)), append("b")], [[0], [1]]),
        ([append("a", next_run="b"), append("b")], [[0], [1]]),
        ([append("a", children=(new_run("b"),)), start("b")], [[0], [1]]),
        ([finish(1), finish(2), finish(1)], [[0, 1], [2]]),
        ([finish(1), append("a")], [[0], [1]]),
        ([finish(1), append("p")], [[0], [1]]),
        ([append("a"), CLAIM, append("b"), CLAIM], [[0], [1], [2], [3]]),
        ([RenewWorker("w", 1), start("a"), start("b")], [[0], [1, 2]]),
    ],
)
def test_what_touches_the_same_stays_in_order(operations: list[Operation], expected: list[list[int]]) -> None:
    found = levels_of(operations)
    assert expected == [[place for _, places in level for place in places] for level in found]


def test_one_statement_needs_no_transaction() -> None:
    def at_once(*operations: Operation) -> bool:
        is_so = is_written_at_once(operations)
        assert not is_so or [batches_at_once(operations)] == levels_of(operations)
        return is_so

    assert at_once(start("a"), start("b"))
    assert at_once(append("a"), append("b"))
    assert not at_once(start("a"), append("b"))
    assert not at_once(append("a"), append("a"))
    assert not at_once(put("a"))
    rest: dict[str, Any] = {
        "consumed": ("k",),
        "children": (new_run("c"),),
        "messages": (signal("b", "k"),),
        "shared": (call("a", 1),),
        "withdrawn": (1,),
        "status": "running",
        "release": Release(),
        "next_run": "c",
    }
    assert not [name for name, value in rest.items() if at_once(append("a", **{name: value}))]


def test_everything_is_locked_before_anything_is_written() -> None:
    locks = locks_of(
        [
            append("b", messages=(signal("a", "k"),), children=(new_run("c", owner="w2"),), shared=(call("b", 1),)),
            put("d"),
            finish(1, "e"),
            start("f", limit_key="slow"),
            ClaimRuns("w1", NOBODY, 1, 1, ("g",)),
        ]
    )
    assert ({"a", "b", "d", "e", "p"}, {"w1", "w2"}) == (locks.runs, locks.workers)
    assert ({"slow"}, {"g"}, {0, 1}) == (locks.limit_keys, locks.claimed_runs, locks.kinds)


# -- round trips -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements each round trip carried."""
    sizes: list[int] = []
    whole = PostgresStore._send

    def count(self: PostgresStore, statements: Sequence[Statement]) -> Any:
        sizes.append(len(statements))
        return whole(self, statements)

    monkeypatch.setattr(PostgresStore, "_send", count)
    return sizes


@pytest.fixture
def rig(database: str, open_store: Open) -> Rig:
    rig = Rig(open_store(database, listen_dsn=""), ManualClock())
    rig.register("w1", 600_000_000)
    return rig


def held(rig: Rig, count: int) -> list[str]:
    names = [f"r{number:02}" for number in range(count)]
    rig.store.commit([StartRun(new_run(name, owner="w1")) for name in names])
    return names


@pytest.mark.parametrize("count", [1, 20])
def test_the_turns_of_many_runs_are_one_statement(rig: Rig, sent: list[int], count: int) -> None:
    names = held(rig, count)
    appends = [Append(name, 1, rig.rows(name, scheduled(1), scheduled(2))) for name in names]
    del sent[:]
    assert [Appended()] * count == rig.store.commit(appends)
    assert [1] == sent


@pytest.mark.parametrize("count", [1, 20])
def test_starts_are_one_statement(rig: Rig, sent: list[int], count: int) -> None:
    del sent[:]
    held(rig, count)
    assert [1] == sent


@pytest.mark.parametrize("count", [1, 20])
def test_ends_are_three_round_trips_however_many(rig: Rig, sent: list[int], count: int) -> None:
    names = held(rig, count)
    ends = [Append(name, 1, rig.rows(name, scheduled(1)), status="failed", release=Release()) for name in names]
    del sent[:]
    assert [Appended()] * count == rig.store.commit(ends)
    assert [4, 2, 1] == sent  # begin, which transaction, locks, events; status, who wakes; commit


def test_a_mixed_batch_shares_its_round_trips(rig: Rig, sent: list[int]) -> None:
    names = held(rig, 6)
    rig.share(names[0], call(names[0], 1), call(names[0], 2))
    rig.claim_calls()
    batch: list[Operation] = [
        *(FinishCall("w1", names[0], number, -1, signal(names[0], f"k{number}")) for number in (1, 2)),
        *(Append(name, 1, rig.rows(name, scheduled(1)), messages=(signal(names[1], name),)) for name in names[2:]),
        *(StartRun(new_run(f"new{number}")) for number in range(3)),
        *(PutMessage(signal(names[1], f"s{number}")) for number in range(3)),
    ]
    del sent[:]
    rig.store.commit(batch)
    assert 3 == len(sent)


# -- nobody can tell ---------------------------------------------------------------------------------------------------


class Batched(agreement.PostgresAgreement):
    """The operations are collected; the model applies each at once, the store all of them together."""

    def __init__(self) -> None:
        self.pending: list[Operation] = []
        self.expected: list[object] = []
        super().__init__()

    @property  # whoever asks the store wants to see all of it
    def store(self) -> Store:
        self.flush()
        return self.real

    @store.setter
    def store(self, store: Store) -> None:
        self.real = store

    def commit(self, *operations: Operation) -> None:
        expected = self.model.commit(operations)
        self.pending += operations
        self.expected += expected
        for operation, outcome in zip(operations, expected, strict=True):
            if isinstance(operation, ClaimCalls) and isinstance(outcome, ClaimedCalls):
                self.claims += [(operation.worker_id, claimed.call) for claimed in outcome.calls]
        if len(self.pending) >= 12:
            self.flush()

    def flush(self) -> None:
        pending, expected = self.pending, self.expected
        self.pending, self.expected = [], []
        if pending:
            assert expected == self.real.commit(pending)

    @rule(delta_us=st.integers(0, 30))
    def pass_time(self, delta_us: int) -> None:
        self.flush()
        self.clock.advance(delta_us)

    @invariant()
    def runs_agree(self) -> None:
        if not self.pending:
            assert agreement.runs_of(self.model) == agreement.runs_of(self.real)


TestBatched = pytest.mark.slow(Batched.TestCase)
TestBatched.settings = agreement.TestAgreement.settings

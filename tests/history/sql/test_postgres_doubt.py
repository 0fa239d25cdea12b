"""When the answer to a commit is lost: asking for the same again gives the answer that was lost, and nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from stent.clock import SystemClock
from stent.errors import StoreUnavailableError
from stent.history.operations import (
    Append,
    Appended,
    ClaimCalls,
    ClaimedCalls,
    ClaimedRuns,
    ClaimRuns,
    Fenced,
    FinishCall,
    Finished,
    Operation,
    Outcome,
    Put,
    PutMessage,
    Reaped,
    ReapWorkers,
    RegisterWorker,
    Release,
    Renewed,
    Started,
    StartRun,
)
from stent.history.sql.postgres import PostgresStore
from stent.testing.conformance.rigging import ALL, LEASE_US, Rig, call, completed, new_run, scheduled, signal
from tests.postgres.proxy import COMMITTED, Proxy

MOST_TRIES = 20
CLOCK: Any = SystemClock()


@pytest.fixture
def rig(database: str, open_store: Callable[..., PostgresStore]) -> Rig:
    """Somebody else, without the bad network."""
    return Rig(open_store(database), CLOCK)


@pytest.fixture
def store(proxy: Proxy, open_store: Callable[..., PostgresStore]) -> PostgresStore:
    return open_store(proxy.url, listen_dsn="")


def insist(store: PostgresStore, operations: Sequence[Operation]) -> list[Outcome]:
    """What the committer does: the same operations, until the store gives an answer. At least one error comes first."""
    errors: list[StoreUnavailableError] = []
    for _ in range(MOST_TRIES):
        try:
            outcomes = store.commit(operations)
        except StoreUnavailableError as error:
            errors.append(error)
        else:
            assert [True] * len(errors) == [error.is_transient for error in errors]
            assert errors, "the fault did not strike"
            return outcomes
    raise errors[-1]


def lose_commit(proxy: Proxy, store: PostgresStore, *operations: Operation) -> list[Outcome]:
    proxy.strike("lose answer", COMMITTED)
    outcomes = insist(store, operations)
    assert 1 == proxy.struck
    return outcomes


def lose_answer(proxy: Proxy, store: PostgresStore, *operations: Operation) -> list[Outcome]:
    """For what is one statement, and so commits by itself."""
    proxy.strike("lose answer")
    outcomes = insist(store, operations)
    assert 1 == proxy.struck
    return outcomes


def test_starts(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    """A start that says "there already" to its own starter would leave a run that nobody goes on with."""
    rig.register()
    operations = [StartRun(new_run("a", owner="w1")), StartRun(new_run("b"))]
    assert [Started(True), Started(True)] == lose_answer(proxy, store, *operations)
    assert ("w1", 1, 1) == (rig.run("a").owner, rig.run("a").epoch, rig.store.queue_depth())
    assert [Started(False)] == store.commit([StartRun(new_run("a"))])


def test_an_append_of_events(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    rows = rig.rows("a", scheduled(1), scheduled(2))
    assert [Appended()] == lose_answer(proxy, store, Append("a", 1, rows))
    assert list(rows) == rig.store.read_rows("a", after_seq=1)


def test_an_append_of_events_that_another_worker_has_followed(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    rows = rig.rows("a", scheduled(1))
    proxy.strike("lose answer")
    with pytest.raises(StoreUnavailableError):
        store.commit([Append("a", 1, rows)])
    rig.reap("w1")
    rig.register("w2")
    rig.claim_runs("w2")
    rig.append("a", scheduled(2))
    late = rig.rows("a", scheduled(9), epoch=1)
    assert [Appended(), Fenced()] == store.commit([Append("a", 1, rows), Append("a", 1, late)])
    assert [1, 2, 3] == rig.seqs("a")


def test_an_append_with_all_that_follows(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    rig.hold("b")
    rig.register("w2")
    rig.put(signal("a", "k"))
    rig.share("a", call("a", 1))
    rig.claim_calls("w2")
    append = Append(
        "a",
        1,
        rig.rows("a", scheduled(2), completed()),
        consumed=("k",),
        children=(new_run("c"),),
        messages=(signal("b", "m"),),
        withdrawn=(1,),
        status="completed",
        at_us=5,
        release=Release(),
    )
    assert [Appended(((1, -1),))] == lose_commit(proxy, store, append)
    assert ([1, 2, 3, 4], [], ["m"]) == (rig.seqs("a"), rig.keys("a"), rig.keys("b"))
    assert ("completed", None, "pending") == (rig.run("a").status, rig.run("a").owner, rig.run("c").status)


def test_a_message(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    assert [Put("delivered")] == lose_commit(proxy, store, PutMessage(signal("a", "k")))
    assert ["k"] == rig.keys("a")


def test_a_message_that_was_consumed_meanwhile_does_not_come_twice(
    proxy: Proxy, store: PostgresStore, rig: Rig
) -> None:
    rig.hold("a")
    operation = PutMessage(signal("a", "k"))
    proxy.strike("lose answer", COMMITTED)
    with pytest.raises(StoreUnavailableError):
        store.commit([operation])
    rig.append("a", scheduled(1), consumed=("k",))
    assert [Put("delivered")] == store.commit([operation])
    assert [] == rig.keys("a")


def test_a_claim_of_runs_is_not_left_without_an_owner_that_knows(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.register("w1")
    for run_id in ("a", "b", "c"):
        rig.start(run_id)
    (claimed,) = lose_commit(proxy, store, ClaimRuns("w1", ALL, 2, 2))
    assert isinstance(claimed, ClaimedRuns)
    assert ["a", "b"] == [run.run_id for run in claimed.runs]
    assert [("w1", 1)] * 2 == [(run.owner, run.epoch) for run in (rig.run("a"), rig.run("b"))]
    assert 1 == rig.store.queue_depth()


def test_a_claim_of_calls(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    rig.share("a", call("a", 1), call("a", 2))
    (claimed,) = lose_commit(proxy, store, ClaimCalls("w1", ALL, 1))
    assert isinstance(claimed, ClaimedCalls)
    assert [1] == [found.call.call for found in claimed.calls]
    assert [(1, -1, (), "w1"), (2, -1, (), None)] == rig.shared("a")


def test_the_end_of_a_claim(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    rig.share("a", call("a", 1))
    rig.claim_calls()
    assert [Finished(True)] == lose_commit(proxy, store, FinishCall("w1", "a", 1, -1, signal("a", "k")))
    assert (["k"], []) == (rig.keys("a"), rig.shared("a"))


def test_a_worker_that_comes_and_is_given_up(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    assert [Renewed(True)] == lose_commit(proxy, store, RegisterWorker("w1", "here", 7, LEASE_US))
    rig.start("a")
    rig.claim_runs("w1")
    proxy.struck = 0
    assert [Reaped(("w1",), 1, 0)] == lose_commit(proxy, store, ReapWorkers(("w1",)))
    assert (None, 2, 1) == (rig.run("a").owner, rig.run("a").epoch, rig.run("a").crashes)


def test_a_commit_that_never_arrived_is_made(proxy: Proxy, store: PostgresStore, rig: Rig, database: str) -> None:
    """Its transaction may still be open on the server, with all its locks: it is ended before anything is done anew."""
    rig.register("w1")
    rig.start("a")
    proxy.strike("hold question", b"COMMIT")
    (claimed,) = insist(store, [ClaimRuns("w1", ALL, 9, 9)])
    assert isinstance(claimed, ClaimedRuns)
    assert [("a", 1)] == [(run.run_id, run.epoch) for run in claimed.runs]
    with psycopg.connect(database) as connection:
        sql = "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
        assert not [state for (state,) in connection.execute(sql) if state and "transaction" in state]


def test_another_batch_after_a_lost_answer_is_not_mistaken_for_it(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    proxy.strike("lose answer", COMMITTED)
    with pytest.raises(StoreUnavailableError):
        store.commit([PutMessage(signal("a", "k"))])
    assert [Put("delivered")] == store.commit([PutMessage(signal("a", "l"))])
    assert [Put("duplicate")] == store.commit([PutMessage(signal("a", "k"))])
    assert ["k", "l"] == rig.keys("a")


def test_a_cut_in_the_middle_of_a_batch(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    rig.hold("a")
    proxy.cut()
    operations: list[Operation] = [PutMessage(signal("a", "k")), StartRun(new_run("b"))]
    assert [Put("delivered"), Started(True)] == insist(store, operations)


@pytest.mark.slow
def test_many_lost_answers_of_all_kinds(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    """A worker's life over a network that loses every second answer: the history has no gap and nothing twice."""
    rig.register("w1")
    assert [Started(True)] == lose_answer(proxy, store, StartRun(new_run("a")))
    for number in range(1, 40):
        (claimed,) = lose_commit_again(proxy, store, ClaimRuns("w1", ALL, 9, 9))
        assert isinstance(claimed, ClaimedRuns)
        assert ["a"] == [run.run_id for run in claimed.runs]
        epoch = claimed.runs[0].epoch
        assert number == epoch
        append = Append("a", epoch, rig.rows("a", scheduled(number)), release=Release(now=True))
        assert [Appended()] == lose_commit_again(proxy, store, append)
    assert list(range(1, 41)) == rig.seqs("a")


def lose_commit_again(proxy: Proxy, store: PostgresStore, operation: Operation) -> list[Outcome]:
    proxy.struck = 0
    return lose_commit(proxy, store, operation)


def test_two_threads_are_enough_for_a_lost_answer_to_be_raced(proxy: Proxy, store: PostgresStore, rig: Rig) -> None:
    """While one asks again, another claims: the run is had by exactly one."""
    rig.register("w1")
    rig.register("w2")
    rig.start("a")
    proxy.strike("lose answer", COMMITTED)
    found: list[list[str]] = []
    other = threading.Thread(target=lambda: found.append(rig.claim_ids("w2")))
    with pytest.raises(StoreUnavailableError):
        store.commit([operation := ClaimRuns("w1", ALL, 9, 9)])
    other.start()
    (claimed,) = store.commit([operation])
    other.join()
    assert isinstance(claimed, ClaimedRuns)
    assert ([[]], ["a"]) == (found, [run.run_id for run in claimed.runs])

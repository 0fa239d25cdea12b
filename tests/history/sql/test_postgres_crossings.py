"""Two transactions on PostgreSQL that cross each other, held still at the moment that matters.

One is written here by hand and stays open; the other is the store's. It must wait, or leave the thing alone, and do the
right thing when the first has committed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from stent.clock import SystemClock
from stent.history.events import EVENT_CODES, CancelRequested
from stent.history.operations import Append, Appended, Fenced, PutMessage, Release, Started, StartRun, Unread
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_schema import LOCK_KEY, ddl
from stent.history.sql.versions import SET_VERSION
from stent.testing.conformance.rigging import ALL, Rig, call, completed, new_run, scheduled, signal

CLOCK: Any = SystemClock()
PATIENCE_S = 10
Open = Callable[..., PostgresStore]


class Crossing:
    """The transaction that is held open, and what the store does meanwhile on a thread."""

    def __init__(self, url: str) -> None:
        self._held = psycopg.connect(url)
        self._watch = psycopg.connect(url, autocommit=True)

    def say(self, sql: str) -> list[Any]:
        cursor = self._held.execute(sql)
        return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        self._held.commit()

    def begin(self, work: Callable[[], Any]) -> Future[Any]:
        """Do something that has to wait for the open transaction; returns when it waits."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # border: the test reports whatever it is
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        deadline = time.monotonic() + PATIENCE_S
        while not self._is_waiting():
            assert not future.done(), f"it did not wait: {future.result()}"
            assert time.monotonic() < deadline, "it neither waits nor ends"
            time.sleep(0.002)
        return future

    def locked(self, table: str, column: str) -> list[str]:
        """What somebody has locked, in order."""
        with self._watch.transaction():
            free = self._watch.execute(f"SELECT {column} FROM {table} FOR UPDATE SKIP LOCKED").fetchall()
        every = self._watch.execute(f"SELECT {column} FROM {table}").fetchall()
        return sorted({name for (name,) in every} - {name for (name,) in free})

    def close(self) -> None:
        self._held.close()
        self._watch.close()

    def _is_waiting(self) -> bool:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        found = self._watch.execute(sql).fetchone()
        return found is not None and found[0] > 0


@pytest.fixture
def rig(database: str, open_store: Open) -> Rig:
    return Rig(open_store(database, listen_dsn=""), CLOCK)


@pytest.fixture
def crossing(database: str, rig: Rig) -> Iterator[Crossing]:
    crossing = Crossing(database)
    yield crossing
    crossing.close()


def test_an_append_waits_for_a_claim_and_is_then_refused(rig: Rig, crossing: Crossing) -> None:
    rig.hold("a")
    append = Append("a", 1, rig.rows("a", scheduled(1)))
    crossing.say("UPDATE stent_runs SET epoch = epoch + 1, owner = 'w2' WHERE run_id = 'a'")
    late = crossing.begin(lambda: rig.do(append))
    crossing.commit()
    assert (Fenced(), [1]) == (late.result(PATIENCE_S), rig.seqs("a"))


def test_an_append_waits_for_the_same_append_and_is_then_known(rig: Rig, crossing: Crossing) -> None:
    """Its first attempt, whose connection was lost, is still being written."""
    rig.hold("a")
    append = Append("a", 1, rig.rows("a", scheduled(1)))
    row = append.rows[0]
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'a' FOR NO KEY UPDATE")
    crossing.say(
        "INSERT INTO stent_events (run_id, seq, epoch, at_us, code, version, hash, token) VALUES "
        f"('a', 2, 1, 1, {row.code}, 1, '\\x{row.hash.hex()}', '\\x{(row.token or b'').hex()}')"
    )
    again = crossing.begin(lambda: rig.do(append))
    crossing.commit()
    assert (Appended(), [1, 2]) == (again.result(PATIENCE_S), rig.seqs("a"))


def test_a_claim_leaves_a_run_alone_that_is_being_written(rig: Rig, crossing: Crossing) -> None:
    rig.register()
    rig.start("a")
    rig.start("b")
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'a' FOR NO KEY UPDATE")
    assert ["b"] == rig.claim_ids()
    crossing.commit()
    assert ["a"] == rig.claim_ids()


def test_a_claim_does_not_wait_for_another_claim(rig: Rig, crossing: Crossing) -> None:
    rig.register()
    rig.hold("m")
    rig.share("m", call("m", 1), call("m", 2))
    rig.start("a")
    rig.start("b")
    crossing.say("SELECT 1 FROM stent_ready WHERE run_id = 'a' OR call = 1 FOR UPDATE")
    assert (["b"], [("m", 2, -1)]) == (rig.claim_ids(), rig.claim_places())
    crossing.commit()
    assert (["a"], [("m", 1, -1)]) == (rig.claim_ids(), rig.claim_places())


def test_a_claim_does_not_wait_for_who_wakes_the_sleepers(rig: Rig, crossing: Crossing) -> None:
    rig.hold("a")
    rig.release("a", due_us=1)
    rig.start("b")
    crossing.say("SELECT 1 FROM stent_sleeping WHERE run_id = 'a' FOR UPDATE")
    assert ["b"] == rig.claim_ids()
    crossing.commit()
    assert ["a"] == rig.claim_ids()


def test_a_claim_within_a_limit_waits_for_who_counts_already(rig: Rig, crossing: Crossing) -> None:
    rig.register(slow=1)
    rig.start("a", limit_key="slow")
    rig.start("b", limit_key="slow")
    crossing.say("SELECT 1 FROM stent_limits WHERE key = 'slow' FOR UPDATE")
    crossing.say("UPDATE stent_runs SET owner = 'w2', started_at_us = 1, status = 'running' WHERE run_id = 'a'")
    second = crossing.begin(lambda: rig.claim_ids())
    crossing.commit()
    assert [] == second.result(PATIENCE_S)


def test_a_message_waits_for_a_release_and_then_wakes_the_run(rig: Rig, crossing: Crossing) -> None:
    rig.hold("a")
    crossing.say("UPDATE stent_runs SET owner = NULL WHERE run_id = 'a'")
    told = crossing.begin(lambda: rig.put(signal("a", "k")))
    crossing.commit()
    assert "delivered" == told.result(PATIENCE_S)
    assert ["a"] == rig.claim_ids()


def test_a_signal_waits_for_its_twin_to_be_read_and_is_then_known(rig: Rig, crossing: Crossing) -> None:
    """Its key has left the inbox for the history in the meantime: the run must not get it a second time."""
    rig.hold("a")
    rig.put(signal("a", "k"))
    (row,) = rig.rows("a", signal("a", "k").event)
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'a' FOR NO KEY UPDATE")
    crossing.say("DELETE FROM stent_inbox WHERE run_id = 'a'")
    crossing.say(
        "INSERT INTO stent_events (run_id, seq, epoch, at_us, code, version, body, hash) VALUES "
        f"('a', 2, 1, 1, {row.code}, 1, '{row.body}', '\\x{row.hash.hex()}')"
    )
    again = crossing.begin(lambda: rig.put(replace(signal("a", "k"), is_once=True)))
    crossing.commit()
    assert ("duplicate", []) == (again.result(PATIENCE_S), rig.keys("a"))


def test_a_release_waits_for_a_message_and_then_sees_it(rig: Rig, crossing: Crossing) -> None:
    rig.hold("a")
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'a' FOR NO KEY UPDATE")
    crossing.say("INSERT INTO stent_inbox (run_id, key, code, version, call, put_at_us) VALUES ('a', 'k', 1, 1, 1, 1)")
    released = crossing.begin(lambda: rig.do(Append("a", 1, release=Release())))
    crossing.commit()
    assert Appended() == released.result(PATIENCE_S)
    assert ["a"] == rig.claim_ids()


def test_a_completion_waits_for_a_cancel_and_is_then_refused(rig: Rig, crossing: Crossing) -> None:
    """Who sends it is told that it came in time."""
    rig.hold("a")
    end = Append("a", 1, rig.rows("a", completed()), status="completed", release=Release())
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'a' FOR NO KEY UPDATE")
    crossing.say(
        "INSERT INTO stent_inbox (run_id, key, code, version, body, put_at_us) "
        f"VALUES ('a', 'cancel', {EVENT_CODES[CancelRequested]}, 1, '{{}}', 1)"
    )
    completion = crossing.begin(lambda: rig.do(end))
    crossing.commit()
    assert (Unread(), [1], "running") == (completion.result(PATIENCE_S), rig.seqs("a"), rig.run("a").status)


def test_a_start_waits_for_the_end_of_its_starter_and_is_then_nobodys(rig: Rig, crossing: Crossing) -> None:
    rig.register("w1")
    crossing.say("DELETE FROM stent_workers WHERE worker_id = 'w1'")
    started = crossing.begin(lambda: rig.do(StartRun(new_run("a", owner="w1"))))
    crossing.commit()
    assert (Started(True), None, 1) == (started.result(PATIENCE_S), rig.run("a").owner, rig.store.queue_depth())


def test_a_child_waits_for_the_end_of_its_starter_too(rig: Rig, crossing: Crossing) -> None:
    """And for that before it locks any run: the end of a worker locks in that order."""
    rig.hold("p")
    append = Append("p", 1, rig.rows("p", scheduled(1)), children=(new_run("a", owner="w1"),))
    crossing.say("DELETE FROM stent_workers WHERE worker_id = 'w1'")
    started = crossing.begin(lambda: rig.do(append))
    assert [] == crossing.locked("stent_runs", "run_id")
    crossing.commit()
    assert (Appended(), None) == (started.result(PATIENCE_S), rig.run("a").owner)


def test_who_is_beginning_something_is_not_given_up(rig: Rig, crossing: Crossing) -> None:
    rig.register("w1")
    crossing.say("SELECT 1 FROM stent_workers WHERE worker_id = 'w1' FOR KEY SHARE")
    assert () == rig.reap("w1").workers
    crossing.commit()
    assert ("w1",) == rig.reap("w1").workers


def test_runs_are_locked_in_one_order(rig: Rig, crossing: Crossing) -> None:
    """Whatever the order in which a batch names them."""
    names = [f"r{number}" for number in range(6)]
    for name in names:
        rig.hold(name)
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'r3' FOR UPDATE")
    order = ("r5", "r1", "r3", "r0", "r4", "r2")
    batch = crossing.begin(lambda: rig.store.commit([PutMessage(signal(name, "k")) for name in order]))
    assert ["r0", "r1", "r2", "r3"] == crossing.locked("stent_runs", "run_id")
    crossing.commit()
    assert 6 == len(batch.result(PATIENCE_S))


def test_appends_lock_in_the_same_order(rig: Rig, crossing: Crossing) -> None:
    names = [f"r{number}" for number in range(6)]
    for name in names:
        rig.hold(name)
    appends = [Append(name, 1, rig.rows(name, scheduled(1))) for name in ("r5", "r1", "r3", "r0", "r4", "r2")]
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'r3' FOR UPDATE")
    batch = crossing.begin(lambda: rig.store.commit(appends))
    assert ["r0", "r1", "r2", "r3"] == crossing.locked("stent_runs", "run_id")
    crossing.commit()
    assert [Appended()] * 6 == batch.result(PATIENCE_S)


def test_a_mixed_batch_locks_in_the_same_order(rig: Rig, crossing: Crossing) -> None:
    """It is written by several statements, and the first of them touches what comes last."""
    rig.hold("a")
    rig.hold("b")
    append = Append("b", 1, rig.rows("b", scheduled(1)))
    crossing.say("SELECT 1 FROM stent_runs WHERE run_id = 'a' FOR UPDATE")
    batch = crossing.begin(lambda: rig.store.commit([append, PutMessage(signal("a", "k"))]))
    assert ["a"] == crossing.locked("stent_runs", "run_id")
    crossing.commit()
    assert 2 == len(batch.result(PATIENCE_S))


def test_limits_are_locked_before_runs(rig: Rig, crossing: Crossing) -> None:
    rig.register(slow=1)
    rig.start("a", limit_key="slow")
    crossing.say("SELECT 1 FROM stent_limits WHERE key = 'slow' FOR UPDATE")
    claim = crossing.begin(lambda: rig.claim_ids(can=ALL))
    assert [] == crossing.locked("stent_runs", "run_id")
    crossing.commit()
    assert ["a"] == claim.result(PATIENCE_S)


def test_who_opens_a_database_waits_for_who_creates_it(untouched_database: str) -> None:
    store, crossing = PostgresStore(untouched_database, listen_dsn=""), Crossing(untouched_database)
    crossing.say(f"SELECT pg_advisory_xact_lock({LOCK_KEY})")
    for sql in ddl():
        crossing.say(sql)
    crossing.say(SET_VERSION)
    opened = crossing.begin(store.initialise)
    crossing.commit()
    opened.result(PATIENCE_S)
    assert 0 == store.count_unfinished()
    crossing.close()
    store.close()

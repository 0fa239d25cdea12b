"""News between processes: soon, never in the way of a commit, and polling where there is nobody to listen to."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from stent.clock import ManualClock
from stent.history.operations import StartRun
from stent.history.sql import postgres_news
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_news import News
from stent.testing.conformance.rigging import Rig, new_run
from tests.postgres.proxy import Proxy

Open = Callable[..., PostgresStore]


def listener(url: str, clock: ManualClock, open_store: Open, **options: object) -> Rig:
    rig = Rig(open_store(url, **options), clock)
    rig.settle()
    return rig


def becomes(condition: Callable[[], bool], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while not (is_so := condition()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return is_so


def test_its_own_commits_are_no_news(database: str, clock: ManualClock, open_store: Open) -> None:
    one, two = (listener(database, clock, open_store) for _ in range(2))
    one.start("a")
    assert two.notices()
    assert not one.store.changed()


def test_many_commits_are_few_notifications(database: str, clock: ManualClock, open_store: Open) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"LISTEN {postgres_news.CHANNEL}")
        rig = listener(database, clock, open_store)
        began_s = time.monotonic()
        for number in range(50):
            rig.start(str(number))
        took_s = time.monotonic() - began_s
        notes = list(connection.notifies(timeout=0.1))
    assert 1 <= len(notes) <= 2 + took_s * 1_000_000 / postgres_news.COALESCE_US
    assert {""} == {note.payload for note in notes}


def test_a_commit_that_nobody_could_be_told_of_is_told_later(
    proxy: Proxy, database: str, clock: ManualClock, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_news, "RECONNECT_US", 1_000)
    teller = listener(database, clock, open_store, listen_dsn=proxy.url)
    other = listener(database, clock, open_store)
    proxy.cut()
    assert becomes(lambda: not store_listens(teller) or teller.store.changed())
    teller.start("a")
    assert other.notices()


def store_listens(rig: Rig) -> bool:
    assert isinstance(rig.store, PostgresStore)
    return rig.store.news.is_listening


def test_a_listener_that_was_cut_off_listens_again_and_then_reports(
    proxy: Proxy, database: str, clock: ManualClock, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was committed in between fell into the gap: it must look."""
    monkeypatch.setattr(postgres_news, "RECONNECT_US", 1_000)
    rig = listener(database, clock, open_store, listen_dsn=proxy.url)
    other = listener(database, clock, open_store)
    proxy.cut()
    assert becomes(lambda: not store_listens(rig))
    other.start("a")
    assert becomes(lambda: store_listens(rig) and rig.store.changed())
    rig.settle()
    other.start("b")
    assert rig.notices()


@pytest.mark.slow
def test_a_connection_on_which_nothing_comes_any_more_is_noticed(
    proxy: Proxy, database: str, clock: ManualClock, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody closed it, and nobody ever will: only asking helps."""
    monkeypatch.setattr(postgres_news, "HEARTBEAT_US", 50_000)
    monkeypatch.setattr(postgres_news, "ANSWER_US", 200_000)
    monkeypatch.setattr(postgres_news, "RECONNECT_US", 1_000)
    rig = listener(database, clock, open_store, listen_dsn=proxy.url)
    proxy.fall_silent()
    assert becomes(lambda: not store_listens(rig))
    proxy.recover()
    assert becomes(lambda: store_listens(rig) and rig.store.changed())


def test_the_pace_of_heartbeats_finds_a_dead_connection_in_time() -> None:
    assert postgres_news.HEARTBEAT_US + postgres_news.ANSWER_US <= 10_000_000


def test_without_a_listener_it_is_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    news, clock = News(None), ManualClock()
    monkeypatch.setattr(news, "_clock", clock)
    answers = []
    for _ in range(50):
        clock.advance(100_000)
        answers.append(news.changed())
    news.announce()
    news.close()
    assert 5 == sum(answers)


def test_a_commit_waits_for_no_listener(proxy: Proxy, database: str, clock: ManualClock, open_store: Open) -> None:
    """The way to the listener is dead; writing goes on."""
    rig = listener(database, clock, open_store, listen_dsn=proxy.url)
    proxy.fall_silent()
    began_s = time.monotonic()
    assert rig.store.commit([StartRun(new_run("a"))])
    assert time.monotonic() - began_s < 1
    proxy.recover()


def test_closing_does_not_wait_for_a_server_that_is_away(database: str, clock: ManualClock, open_store: Open) -> None:
    store = PostgresStore(database, clock=clock, listen_dsn="postgresql://127.0.0.1:1/nowhere")
    store.initialise()
    store.changed()
    began_s = time.monotonic()
    store.close()
    assert time.monotonic() - began_s < 1

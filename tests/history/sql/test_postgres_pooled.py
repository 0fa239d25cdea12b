"""The store behind a real PgBouncer in transaction mode: the whole conformance suite, and whence news come.

Every two transactions of a connection may be carried out by different sessions of the server, which other clients have
used in between. So nothing may be kept in a session, and nothing found there may be believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from stent.clock import ManualClock, SystemClock
from stent.history.operations import StartRun
from stent.history.sql.postgres import PostgresStore
from stent.testing.conformance import *  # noqa: F403 - the tests, and the fixtures that they use
from stent.testing.conformance import Opener
from stent.testing.conformance.rigging import new_run
from tests.postgres.pooler import SERVER_CONNECTIONS, pooled, through
from tests.postgres.server import emptied_database

NEWS_TIMEOUT_S = 5


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pooled() as port:
        yield port


@pytest.fixture(params=["polling", pytest.param("listening", marks=pytest.mark.slow)])
def opener(request: pytest.FixtureRequest, port: int, clock: ManualClock) -> Opener:
    """With a direct way for news, and without one."""
    url = emptied_database()
    listen_dsn = url if request.param == "listening" else None
    return lambda: PostgresStore(through(port, url), is_pooled=True, listen_dsn=listen_dsn, clock=clock)


# -- what is kept in sessions ------------------------------------------------------------------------------------------


def test_settings_are_those_of_the_transaction_and_stay_in_no_session(port: int) -> None:
    url = emptied_database()
    store = PostgresStore(through(port, url), is_pooled=True)
    store.initialise()
    for number in range(5):
        store.commit([StartRun(new_run(f"r{number}"))])
    with psycopg.connect(through(port, url), autocommit=True, prepare_threshold=None) as another:
        found = {another.execute("SHOW enable_seqscan").fetchone() for _ in range(5)}
        found |= {another.execute("SHOW plan_cache_mode").fetchone() for _ in range(5)}
    store.close()
    assert {("on",), ("auto",)} == found


def test_more_stores_than_sessions_write_and_read_at_once(port: int) -> None:
    """Each of them has a writer and readers: they share the few sessions, and disturb one another in nothing."""
    url = emptied_database()
    stores = [PostgresStore(through(port, url), is_pooled=True) for _ in range(3 * SERVER_CONNECTIONS)]
    stores[0].initialise()
    errors: list[BaseException] = []

    def use(place: int, store: PostgresStore) -> None:
        try:
            for number in range(10):
                run_id = f"{place}-{number}"
                store.commit([StartRun(new_run(run_id))])
                found = store.get_run(run_id)
                assert found is not None
                assert abs(store.now_us() - found.created_at_us) < 60_000_000
        except BaseException as error:  # border: the test reports whatever it is
            errors.append(error)

    threads = [threading.Thread(target=use, args=found) for found in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = stores[0].find_runs("", 1_000)
    for store in stores:
        store.close()
    assert [] == errors
    assert 10 * len(stores) == len(ids)


# -- news --------------------------------------------------------------------------------------------------------------


def seconds_until_told(listener: PostgresStore, teller: PostgresStore) -> float:
    clock = SystemClock()
    deadline = time.monotonic() + NEWS_TIMEOUT_S
    while listener.changed():  # what was before
        time.sleep(0.01)
    teller.commit([StartRun(new_run("r"))])
    began_us = clock.monotonic_us()
    while not listener.changed():
        assert time.monotonic() < deadline, "no news"
        time.sleep(0.005)
    return (clock.monotonic_us() - began_us) / 1_000_000


@pytest.mark.slow
def test_without_a_direct_way_news_come_by_polling(port: int) -> None:
    url = emptied_database()
    stores = [PostgresStore(through(port, url), is_pooled=True) for _ in range(2)]
    stores[0].initialise()
    assert seconds_until_told(*stores) < 1.5
    assert not any(store.news.is_listening for store in stores), "LISTEN is lost with the session behind a pooler"
    for store in stores:
        store.close()


@pytest.mark.slow
def test_with_a_direct_way_news_come_at_once(port: int) -> None:
    url = emptied_database()
    stores = [PostgresStore(through(port, url), is_pooled=True, listen_dsn=url) for _ in range(2)]
    stores[0].initialise()
    deadline = time.monotonic() + NEWS_TIMEOUT_S
    for store in stores:
        store.changed()  # begins to listen
    while not all(store.news.is_listening for store in stores):
        assert time.monotonic() < deadline, "nobody listens"
        time.sleep(0.01)
    assert seconds_until_told(*stores) < 0.5
    for store in stores:
        store.close()

"""The connection of an event loop to a store: commits that are known before they are given up, and news."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from stent.errors import StoreUnavailableError
from stent.history.events import RunCompleted
from stent.history.operations import Operation, Outcome, Started, StartRun
from stent.history.sql.sqlite import SQLiteStore
from stent.worker.link import POLL_INTERVAL_US, QUIET_US, WATCH_INTERVAL_US
from stent.worker.starting import first_event, new_run
from tests.worker.desk import TOKEN, function_of, payload
from tests.worker.world import World


def start_of(world: World, run_id: str) -> StartRun:
    async def body() -> None: ...

    function = function_of(world.durable(body))
    arguments = function.encode_arguments((), {})
    started = first_event(run_id, function, arguments, function.call_options, "activity", world.clock.now_us())
    return StartRun(new_run(started, function, TOKEN))


class Slow(SQLiteStore):
    """Waits at a gate before it commits, and may lose the view of its file."""

    gate: threading.Event
    is_blind = False

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        assert self.gate.wait(10)
        return super().commit(operations)

    def changed(self) -> bool:
        if self.is_blind:
            raise StoreUnavailableError("the file is gone")
        return super().changed()


@pytest.fixture
async def slow(world: World) -> AsyncIterator[Slow]:
    store = Slow(world.path, durability="relaxed", clock=world.clock)
    store.gate = threading.Event()
    store.gate.set()
    world.new_node(store)
    world.nodes.reverse()  # it is the one that the test works with
    yield store
    store.gate.set()  # whatever the test has found: its world ends by writing


async def test_the_same_run_is_started_once(world: World) -> None:
    start = start_of(world, "run")
    assert [Started(True), Started(False)] == [await world.commit(start), await world.commit(start)]


async def test_a_commit_that_is_cancelled_ends_only_when_its_outcome_is_known(world: World, slow: Slow) -> None:
    slow.gate.clear()
    committing = asyncio.create_task(world.link.commit(start_of(world, "run")))
    await asyncio.sleep(0.01)
    committing.cancel()
    await asyncio.sleep(0.01)
    assert not committing.done()
    slow.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await committing
    assert world.row("run").run_id == "run"


async def test_reading_does_not_block_the_loop(world: World) -> None:
    release = threading.Event()
    reading = asyncio.create_task(world.link.read(release.wait, 10))
    await asyncio.sleep(0)
    release.set()
    assert await reading


async def test_whoever_waits_for_a_run_here_is_told_and_a_cancelled_wait_is_forgotten(world: World) -> None:
    link = world.link
    first, second, other = link.ended("run"), link.ended("run"), link.ended("other")
    first.cancel()
    event = RunCompleted(2, 1, payload(7))
    link.run_ended("run", event)
    link.run_ended("run", event)
    assert event == await second
    assert not other.done()
    other.cancel()
    await asyncio.sleep(0)
    assert {} == link._waiting


async def test_an_end_that_was_written_by_another_process_is_seen(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    run_id = await world.start(double, 4)
    ended = world.link.ended(run_id)
    await world.new_node().work()
    await world.until(ended.done, tick_us=WATCH_INTERVAL_US)
    assert "RunCompleted" == ended.result().type


async def test_listeners_hear_of_changes_at_once_and_of_nothing_at_the_poll(world: World) -> None:
    heard: list[bool] = []
    start = start_of(world, "run")  # before anybody listens: that a function is defined is news too
    world.link.listen(heard.append)
    world.clock.advance(WATCH_INTERVAL_US)
    heard.clear()
    world.clock.advance(POLL_INTERVAL_US)
    assert [False] == heard
    await world.new_node().link.commit(start)
    await world.until(lambda: True in heard, tick_us=WATCH_INTERVAL_US)
    world.link.unlisten(heard.append)
    heard.clear()
    world.clock.advance(10 * POLL_INTERVAL_US)
    assert [] == heard


async def test_what_a_lookout_sees_is_news_at_the_next_look(world: World) -> None:
    heard: list[bool] = []
    seen = [False]

    def lookout() -> bool:
        return seen[0]

    world.link.listen(heard.append)
    world.link.lookouts.append(lookout)
    world.clock.advance(WATCH_INTERVAL_US)
    heard.clear()
    world.clock.advance(WATCH_INTERVAL_US)
    assert [] == heard
    seen[0] = True
    world.clock.advance(WATCH_INTERVAL_US)
    assert [True] == heard
    world.link.lookouts.remove(lookout)
    world.clock.advance(WATCH_INTERVAL_US)
    assert [True] == heard
    world.link.unlisten(heard.append)


def define(world: World, name: str) -> None:
    async def body() -> None: ...

    world.durable(body, name=name)


async def test_a_function_that_is_defined_is_news_for_all_who_listen(world: World) -> None:
    """Also for whoever listened before somebody else began to."""
    first: list[bool] = []
    second: list[bool] = []
    world.link.listen(first.append)
    world.clock.advance(WATCH_INTERVAL_US)
    first.clear()
    define(world, "one")
    world.link.listen(second.append)
    world.clock.advance(WATCH_INTERVAL_US)
    assert [True] == first
    define(world, "two")
    world.clock.advance(WATCH_INTERVAL_US)
    assert ([True, True], True) == (first, second[-1])


async def test_what_was_defined_before_anybody_listened_is_no_news(world: World) -> None:
    heard: list[bool] = []
    world.link.store.changed()  # that the tables were made is heard once
    define(world, "one")
    world.link.listen(heard.append)
    world.clock.advance(WATCH_INTERVAL_US)
    assert [] == heard


async def test_a_store_that_cannot_say_whether_it_changed_is_still_polled(world: World, slow: Slow) -> None:
    heard: list[bool] = []
    slow.is_blind = True
    world.link.listen(heard.append)
    world.clock.advance(2 * POLL_INTERVAL_US)
    assert [False, False] == heard


async def test_nobody_watches_for_nobody(world: World) -> None:
    world.link.ended("run").cancel()
    await asyncio.sleep(0)
    world.clock.advance(WATCH_INTERVAL_US)
    assert None is world.clock.next_alarm_us()


async def test_a_run_that_ends_is_told_on_every_loop_of_the_process(world: World) -> None:
    ready = threading.Event()
    told: list[str] = []

    def elsewhere() -> None:
        async def wait() -> None:
            link = world.node.threads.link(world.ids, world.registry)
            ended = link.ended("run")
            ready.set()
            told.append((await asyncio.wait_for(ended, 10)).type)
            link.close()

        asyncio.run(wait())

    waiting = asyncio.create_task(asyncio.to_thread(elsewhere))
    await asyncio.to_thread(ready.wait, 10)
    world.link.run_ended("run", RunCompleted(2, 1, payload(7)))
    await waiting
    assert ["RunCompleted"] == told


async def test_the_store_is_watched_half_as_often_while_nothing_happens(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, looks = world.link.store, list[int]()
    has_changed = store.changed

    def changed() -> bool:
        looks.append(world.clock.now_us())
        return has_changed()

    monkeypatch.setattr(store, "changed", changed)
    world.link.listen(lambda _: None)
    world.clock.advance(2 * QUIET_US)
    looks.clear()
    world.clock.advance(100 * WATCH_INTERVAL_US)
    assert 50 == len(looks)
    await world.new_node().link.commit(start_of(world, "run"))
    world.clock.advance(2 * WATCH_INTERVAL_US)
    looks.clear()
    world.clock.advance(25 * WATCH_INTERVAL_US)  # it is quiet again after QUIET_US
    assert 25 == len(looks)

"""A process is killed right before and right after a commit, at some of all commits; `./dev chaos` does all."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stent import Stent
from stent.backends import SQLiteBackend
from stent.worker import strays
from tests.crash.place import enter
from tests.crash.processes import until_event
from tests.crash.rounds import ALL, go_on, killed_and_gone_on, unsure_and_gone_on
from tests.crash.watched_store import Fault, Side, WatchedStore, watched_backend

# All flows together need 30 commits and more: how many depends on how many gather while one is in flight.
SAMPLE = (1, 2, 4, 7, 11, 16, 22)


@pytest.mark.slow
async def test_all_flows_end_well_without_a_fault(tmp_path: Path) -> None:
    await go_on(tmp_path, ALL)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("commit", SAMPLE)
async def test_a_process_killed_at_a_commit_loses_nothing_and_repeats_nothing(
    tmp_path: Path, side: Side, commit: int
) -> None:
    assert await killed_and_gone_on(tmp_path, ALL, Fault(side, commit)), "it was to be killed on the way"


@pytest.mark.slow
@pytest.mark.parametrize("commit", SAMPLE)
async def test_a_commit_whose_answer_is_lost_is_not_done_twice(tmp_path: Path, commit: int) -> None:
    assert commit < await unsure_and_gone_on(tmp_path, ALL, commit)


@Stent.durable
async def collect(count: int) -> list[str]:
    return [await Stent.wait_for_signal("word") for _ in range(count)]


async def test_a_signal_whose_answer_is_lost_keeps_its_place_in_the_queue(tmp_path: Path) -> None:
    backend, store = watched_backend(enter(tmp_path))
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(collect, 2)
        await until_event(executor, run_id, "SignalAwaited")
        store.fault = Fault("unsure", store.commit_count + 1)
        await executor.send_signal(run_id, "word", "first", key="k1")
        await executor.send_signal(run_id, "word", "second", key="k2")
        assert ["first", "second"] == (await executor.wait_for(run_id, expiry=10)).unwrap()


async def test_a_signal_whose_answer_is_lost_is_still_known_as_the_first_one_with_its_key(tmp_path: Path) -> None:
    backend, store = watched_backend(enter(tmp_path))
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(collect, 1)
        await until_event(executor, run_id, "SignalAwaited")
        store.fault = Fault("unsure", store.commit_count + 1)
        assert await executor.send_signal(run_id, "word", "first", key="k1")
        assert not await executor.send_signal(run_id, "word", "first", key="k1")
        assert ["first"] == (await executor.wait_for(run_id, expiry=10)).unwrap()


@pytest.mark.parametrize("key", [None, "k1"])
async def test_a_signal_whose_answer_is_lost_reaches_its_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """Written again, it is there already; but nobody was told of it when it came. Nobody looks for another reason."""
    monkeypatch.setattr(strays, "INTERVAL_US", 3_600_000_000)
    backend, store = watched_backend(enter(tmp_path))
    async with Stent.bootstrap(backend, poll_interval="1h") as executor:
        run_id = await executor.dispatch(collect, 1)
        await until_event(executor, run_id, "SignalAwaited")
        await asyncio.sleep(0.1)  # whatever the worker was about to look for, it has found
        store.fault = Fault("unsure", store.commit_count + 1)
        await executor.send_signal(run_id, "word", "first", key=key)
        assert ["first"] == (await executor.wait_for(run_id, expiry=10)).unwrap()


@pytest.mark.parametrize("key", [None, "k1"])
async def test_a_signal_that_ended_its_run_before_the_commit_was_repeated_was_in_time(
    tmp_path: Path, key: str | None
) -> None:
    async with ended_before_the_answer(tmp_path) as (client, run_id):
        assert await client.send_signal(run_id, "word", "first", key=key)
        assert ["first"] == (await client.wait_for(run_id, expiry=10)).unwrap()


async def test_a_cancel_that_ended_its_run_before_the_commit_was_repeated_was_in_time(tmp_path: Path) -> None:
    async with ended_before_the_answer(tmp_path) as (client, run_id):
        assert await client.cancel(run_id)
        assert not await client.cancel(run_id)


@contextlib.asynccontextmanager
async def ended_before_the_answer(tmp_path: Path) -> AsyncIterator[tuple[Stent, str]]:
    """A run that listens, and a client: what it tells the run ends it, and then the answer to the commit is lost."""
    path = enter(tmp_path)
    backend, store = watched_backend(path)
    client = Stent(backend)
    async with Stent.bootstrap(SQLiteBackend(path)) as executor:
        run_id = await executor.dispatch(collect, 1)
        await until_event(executor, run_id, "SignalAwaited")
        store.fault = Fault("unsure", store.commit_count + 1, pause=lambda: until_ended(store, run_id))
        yield client, run_id
    await client.shutdown()


def until_ended(store: WatchedStore, run_id: str) -> None:
    """Blocks the committer of `store`, while the worker of another one goes on with the run."""
    give_up = time.monotonic() + 10
    while store.terminal_row(run_id) is None and time.monotonic() < give_up:
        time.sleep(0.005)


async def test_a_start_whose_answer_is_lost_is_one_run(tmp_path: Path) -> None:
    backend, store = watched_backend(enter(tmp_path))
    async with Stent.bootstrap(backend) as executor:
        for _ in range(2):
            store.fault = Fault("unsure", store.commit_count + 1)
            assert "one" == await executor.dispatch(collect, 1, id="one")
        store.fault = Fault("unsure", store.commit_count + 1)
        other = await executor.dispatch(collect, 1)
        assert {"one", other} == {info.execution_id for info in await executor.list_executions()}
        for run_id in ("one", other):
            await executor.send_signal(run_id, "word", "go")
            assert ["go"] == (await executor.wait_for(run_id, expiry=10)).unwrap()

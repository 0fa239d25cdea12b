"""Worker processes that are killed, stopped and drained while others live: what they held goes on, soon and once."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stent import Stent
from stent.history.events import CallCompleted
from stent.inspect.invariants import check
from tests.crash import hanging
from tests.crash.ledger import Line
from tests.crash.place import DATABASE, enter, ledger
from tests.crash.processes import Child, Children, children, until

pytestmark = pytest.mark.slow

LEASE_S = 10  # the default: recovery may not take that long where the lock of the dead one can be seen
SHORT_LEASE_S = 0.6
NOTICED_S = 1.0  # how long after its end a lease is noticed
SLACK_S = 1.0  # processes of a busy machine
RECOVERY_S = 3.0
PATIENCE_S = 30


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Stent]:
    """An executor of this process that serves nothing."""
    executor = Stent(str(enter(tmp_path)))
    yield executor
    await executor.shutdown()
    connection = sqlite3.connect(tmp_path / DATABASE)
    violations = [str(violation) for violation in check(connection)]
    connection.close()
    assert [] == violations


async def workers(started: Children, folder: Path, count: int, *options: object) -> dict[int, Child]:
    """Worker processes by process id, ready."""
    found = [await started.start("tests.crash.worker", folder, *options) for _ in range(count)]
    for child in found:
        await child.said("ready")
    return {child.process_id: child for child in found}


def begins(what: str) -> list[Line]:
    return [line for line in ledger().read() if line.what == "begin" and line.value == what]


async def begun(what: str) -> int:
    """The process id of the worker in which a body has begun."""
    await until(lambda: bool(begins(what)))
    return begins(what)[0].process_id


async def value(client: Stent, run_id: str) -> Any:
    return (await client.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


FLOWS = {
    "a run that it holds": (hanging.hanging_flow, ["before", "hanging", "after"]),
    "a limited call that it claimed": (hanging.limited_flow, ["hanging", "after"]),
    "an item of a batch": (hanging.mapping_flow, ["before", "hanging", "after"]),
}


async def begun_again(after: int) -> None:
    """Wait until the hanging body has begun once more, elsewhere."""
    await until(lambda: any(line.process_id != after for line in begins("hanging")))


@pytest.mark.parametrize("held", FLOWS)
async def test_what_a_killed_worker_held_goes_on_long_before_its_lease_ends(
    tmp_path: Path, client: Stent, held: str
) -> None:
    flow, expected = FLOWS[held]
    async with children() as started:
        both = await workers(started, tmp_path, 2)
        run_id = await client.dispatch(flow)
        killed = await begun("hanging")
        await asyncio.sleep(0.1)  # what was done before has been recorded by now
        await both[killed].kill()
        before = time.monotonic()
        await begun_again(killed)
        recovery_s = time.monotonic() - before
        assert expected == await value(client, run_id)
    print(f"\nkill -9 of one worker of two, {held}: goes on after {recovery_s * 1000:.0f} ms")  # noqa: T201
    assert recovery_s < RECOVERY_S
    assert len(begins("before")) <= 1, "what was recorded was not begun again"
    assert 2 == len(begins("hanging"))


async def test_runs_go_on_when_all_workers_died_together(tmp_path: Path, client: Stent) -> None:
    async with children() as started:
        both = await workers(started, tmp_path, 2)
        runs = [await client.dispatch(hanging.hanging_flow) for _ in range(6)]
        await until(lambda: len(begins("hanging")) == len(runs))
        await asyncio.gather(*[child.kill() for child in both.values()])
        before = time.monotonic()
        await workers(started, tmp_path, 1)
        for run_id in runs:
            assert ["before", "hanging", "after"] == await value(client, run_id)
        recovery_s = time.monotonic() - before
    print(f"\nkill -9 of all workers: all is done {recovery_s:.1f} s after another was started")  # noqa: T201
    assert recovery_s < LEASE_S
    assert len(runs) == len(begins("before"))


async def test_on_sigterm_a_worker_hands_over_at_once_and_ends_well(tmp_path: Path, client: Stent) -> None:
    async with children() as started:
        both = await workers(started, tmp_path, 2)
        hangs = await client.dispatch(hanging.hanging_flow)
        drained = await begun("hanging")
        waiting = [await client.dispatch(hanging.signal_flow) for _ in range(4)]
        before = time.monotonic()
        both[drained].send(signal.SIGTERM)
        await both[drained].said("drained")
        drain_s = time.monotonic() - before
        await begun_again(drained)
        assert ["before", "hanging", "after"] == await value(client, hangs)
        for run_id in waiting:
            await client.send_signal(run_id, "go", "went")
            assert ["before", "went"] == await value(client, run_id)
        assert 0 == await both[drained].ended()
    print(f"\nSIGTERM: drained in {drain_s * 1000:.0f} ms, a grace of 1 s included")  # noqa: T201
    assert drain_s < 2.5, "a body that does not end gets its grace of a second, and no more"


async def test_what_ends_within_the_grace_is_recorded_and_not_repeated(tmp_path: Path, client: Stent) -> None:
    async with children() as started:
        [(process_id, child)] = (await workers(started, tmp_path, 1)).items()
        run_id = await client.dispatch(hanging.hanging_flow, 0.3)
        assert process_id == await begun("hanging")
        child.send(signal.SIGTERM)
        assert 0 == await child.ended()
        await workers(started, tmp_path, 1)
        assert ["before", "hanging", "after"] == await value(client, run_id)
    assert 1 == len(begins("hanging"))


async def test_a_worker_that_was_stopped_past_its_lease_changes_nothing_when_it_wakes(
    tmp_path: Path, client: Stent
) -> None:
    async with children() as started:
        both = await workers(started, tmp_path, 2, SHORT_LEASE_S)
        run_id = await client.dispatch(hanging.hanging_flow, 1.0)
        stopped = await begun("hanging")
        both[stopped].send(signal.SIGSTOP)
        assert ["before", "hanging", "after"] == await value(client, run_id)
        history = await client.history_of(run_id)
        both[stopped].send(signal.SIGCONT)
        await asyncio.sleep(1.2)
        assert history == await client.history_of(run_id), "the late outcome was discarded"
        again = await client.dispatch(hanging.signal_flow)
        both.pop(stopped)
        for other in both.values():
            await other.kill()
        await client.send_signal(again, "go", "went")
        assert ["before", "went"] == await value(client, again), "and it works again as any worker"
    assert 3 == sum(isinstance(event, CallCompleted) for event in history)


async def test_a_lease_that_has_run_out_is_noticed_soon(tmp_path: Path, client: Stent) -> None:
    async with children() as started:
        both = await workers(started, tmp_path, 2, SHORT_LEASE_S)
        await client.dispatch(hanging.hanging_flow)
        stopped = await begun("hanging")
        before = time.monotonic()
        both[stopped].send(signal.SIGSTOP)
        await begun_again(stopped)
        recovery_s = time.monotonic() - before
    print(f"\nSIGSTOP of one worker of two, lease {SHORT_LEASE_S} s: goes on after {recovery_s * 1000:.0f} ms")  # noqa: T201
    assert recovery_s < SHORT_LEASE_S + NOTICED_S + SLACK_S

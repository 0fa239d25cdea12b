"""Code that no longer fits a history: the run is stalled, nothing is written, it goes on with fitting code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stent import DivergenceError, RunCancelledError, Stent
from stent.backends import SQLiteBackend
from stent.durable.function import Durable
from tests.crash.place import enter
from tests.crash.processes import children, until_event, until_state

PATIENCE_S = 10

seen: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_was_seen() -> None:
    seen.clear()


@Stent.durable
async def charge(order: int) -> str:
    seen.append(f"charge {order}")
    return f"charged {order}"


@Stent.durable
async def reserve(order: int) -> str:
    seen.append(f"reserve {order}")
    return f"reserved {order}"


def deploy(version: str) -> Durable[[int], Any]:
    """The function `checkout` as one version of the code has it."""
    if version == "first":

        async def checkout(order: int) -> list[str]:
            charged = await charge(order)
            return [charged, await Stent.wait_for_signal("go")]
    elif version == "other call":

        async def checkout(order: int) -> list[str]:
            reserved = await reserve(order)
            return [reserved, await charge(order), await Stent.wait_for_signal("go")]
    elif version == "other argument":

        async def checkout(order: int) -> list[str]:
            return [await charge(order + 1), await Stent.wait_for_signal("go")]
    elif version == "no call":

        async def checkout(order: int) -> list[str]:
            return [str(order), await Stent.wait_for_signal("go")]
    elif version == "ends early":

        async def checkout(order: int) -> list[str]:
            return [await charge(order)]
    else:

        async def checkout(order: int) -> list[str]:
            raise ZeroDivisionError(order)

    return Stent.durable(checkout)


async def begin(backend: SQLiteBackend) -> str:
    """A run of the first version that waits, and no worker any more."""
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(deploy("first"), 1)
        await until_event(executor, run_id, "SignalAwaited")
    return run_id


@pytest.mark.parametrize(
    ("version", "recorded"),
    [
        ("other call", "charge("),
        ("other argument", "charge("),
        ("no call", "charge("),
        ("ends early", "wait_for_signal("),
        ("raises", "charge("),
    ],
)
async def test_other_code_stalls_the_run_and_writes_nothing(
    backend: SQLiteBackend, version: str, recorded: str
) -> None:
    run_id = await begin(backend)
    deploy(version)
    async with Stent.bootstrap(backend) as executor:
        before = await executor.history_of(run_id)
        await executor.send_signal(run_id, "go", "went")
        await until_state(executor, run_id, "stalled")
        assert before == await executor.history_of(run_id)
        reason = (await executor.state_of(run_id)).info.stall_reason or ""
    assert DivergenceError.code in reason
    assert recorded in reason, "what was recorded"
    assert "test_app_stalled.py:" in reason, "and where"
    assert ["charge 1"] == seen, "no body ran"


async def test_a_stalled_run_goes_on_by_itself_when_fitting_code_is_back(backend: SQLiteBackend) -> None:
    run_id = await begin(backend)
    deploy("other call")
    async with Stent.bootstrap(backend) as executor:
        await executor.send_signal(run_id, "go", "went")
        await until_state(executor, run_id, "stalled")
    deploy("first")
    async with Stent.bootstrap(backend) as executor:
        assert ["charged 1", "went"] == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()
    assert ["charge 1"] == seen


@pytest.mark.slow
async def test_a_stalled_run_goes_on_when_the_code_is_put_right_in_the_same_process(backend: SQLiteBackend) -> None:
    run_id = await begin(backend)
    deploy("other call")
    async with Stent.bootstrap(backend) as executor:
        await executor.send_signal(run_id, "go", "went")
        await until_state(executor, run_id, "stalled")
        deploy("first")
        assert ["charged 1", "went"] == (await executor.wait_for(run_id, expiry=PATIENCE_S)).unwrap()


async def test_other_runs_are_not_hindered(backend: SQLiteBackend) -> None:
    run_id = await begin(backend)
    deploy("other call")
    async with Stent.bootstrap(backend) as executor:
        await executor.send_signal(run_id, "go", "went")
        await until_state(executor, run_id, "stalled")
        assert "charged 7" == await charge(7)
        assert [run_id] == [info.execution_id for info in await executor.list_executions(state="stalled")]


async def test_a_stalled_run_can_be_cancelled(backend: SQLiteBackend) -> None:
    run_id = await begin(backend)
    deploy("other call")
    async with Stent.bootstrap(backend) as executor:
        await executor.send_signal(run_id, "go", "went")
        await until_state(executor, run_id, "stalled")
        assert await executor.cancel(run_id, "given up")
        assert RunCancelledError is type((await executor.wait_for(run_id, expiry=PATIENCE_S)).error)


@pytest.mark.slow
async def test_a_process_with_other_code_stalls_it_and_one_with_fitting_code_goes_on(tmp_path: Path) -> None:
    executor = Stent(str(enter(tmp_path)))
    async with children() as started:
        old = await started.start("tests.crash.changing", tmp_path, "old")
        await old.said("waiting")
        await old.kill()
        before = await executor.history_of("order")
        new = await started.start("tests.crash.changing", tmp_path, "new")
        await new.said("waiting")
        await executor.send_signal("order", "go", "went")
        await until_state(executor, "order", "stalled")
        assert before == await executor.history_of("order")
        await new.kill()
        await started.start("tests.crash.changing", tmp_path, "old")
        assert ["charged", "went"] == (await executor.wait_for("order", expiry=PATIENCE_S)).unwrap()
    await executor.shutdown()

"""Whatever faults a seed brings, every acknowledged run ends with its one result, and the invariants hold."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stent.client.client import Client
from stent.errors import RunCancelledError
from stent.inspect.invariants import Ledger, check
from stent.registry import default_registry
from stent.worker.worker import WorkerOptions
from tests.simulation import programs
from tests.simulation.loop import WorldLoop
from tests.simulation.world import Odds, World, keep_serving

SEEDS = int(os.environ.get("STENT_SEEDS", "12"))
FIRST_SEED = int(os.environ.get("STENT_FIRST_SEED", "0"))
FAULTS_END_S = 30.0
HEALED_S = 600.0
WORKERS = 3
OPTIONS = WorkerOptions(slots=4, lease_us=5_000_000)


async def dispatch(client: Client, name: str, *args: Any) -> str:
    function = getattr(programs, name).__stent_function__
    return await client.start(function, function.encode_arguments(args, {}))


async def live(world: World, acknowledged: dict[str, list[Any]]) -> None:
    """Start runs, signal and cancel some, while workers die; then let everything come to its end."""
    client = world.process("client", may_fail=False).client()
    serving = asyncio.ensure_future(keep_serving(world, WORKERS, OPTIONS, FAULTS_END_S))
    runs: dict[str, tuple[str, Any]] = {}
    for _ in range(2):
        for name, (_, args, result) in programs.EXPECTED.items():
            run_id = await dispatch(client, name, *args)
            acknowledged["starts"].append(run_id)
            runs[run_id] = (name, result)
            await asyncio.sleep(world.chance.uniform(0, 1))
    listener, endless = await dispatch(client, "listener", 5), await dispatch(client, "endless")
    racers = [await dispatch(client, "racer", number) for number in (0, 1, 3, 6)]
    acknowledged["starts"] += [listener, endless, *racers]
    for number in range(5):
        await asyncio.sleep(world.chance.uniform(0, 3))
        await client.send_signal(listener, "number", number, key=f"k{number}")
        acknowledged["signals"].append((listener, f"signal-k{number}"))
    await client.cancel(endless)
    await serving
    for run_id, (name, result) in runs.items():
        assert (name, result) == (name, (await client.wait_for(run_id, HEALED_S)).unwrap())
    assert [0, 1, 2, 3, 4] == (await client.wait_for(listener, HEALED_S)).unwrap()
    assert isinstance((await client.wait_for(endless, HEALED_S)).error, RunCancelledError)
    for run_id in racers:
        assert (await client.wait_for(run_id, HEALED_S)).unwrap() in ("work", "timeout")
    await asyncio.sleep(20)  # what the cancelled and the raced left behind comes to its end too


def simulate(seed: int, folder: Path, odds: Odds, monkeypatch: pytest.MonkeyPatch) -> World:
    """One world from its seed to its end, with everything checked that must hold."""
    programs.witness.__init__()  # type: ignore[misc]  # begin anew
    loop = WorldLoop()
    world = World(seed, folder, default_registry, odds, loop)
    world.enter(monkeypatch)
    acknowledged: dict[str, list[Any]] = {"starts": [], "signals": []}
    try:
        loop.run_until_complete(live(world, acknowledged))
        assert [] == loop.failures
        check_world(world, acknowledged)
    finally:
        world.close()
        loop.bury()
        loop.close()
    return world


def check_world(world: World, acknowledged: dict[str, list[Any]]) -> None:
    ledger = Ledger(acknowledged["starts"], acknowledged["signals"], bodies=programs.witness.bodies)
    connection = sqlite3.connect(world.path)
    try:
        assert [] == check(connection, ledger)
        waiting = connection.execute("SELECT run_id, status FROM stent_runs WHERE finished_at_us IS NULL").fetchall()
        assert [] == waiting
        assert [(0, 0, 0)] == connection.execute(
            "SELECT (SELECT count(*) FROM stent_ready), (SELECT count(*) FROM stent_inbox), "
            "(SELECT count(*) FROM stent_sleeping)"
        ).fetchall()
    finally:
        connection.close()


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_a_world_heals(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(seed, tmp_path, Odds(), monkeypatch)


@pytest.mark.chaos
def test_every_fault_is_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    met: Counter[str] = Counter()
    for seed in range(1_000, 1_006):
        met += simulate(seed, tmp_path, Odds(), monkeypatch).met
    wanted = {"dies_before_commit", "dies_after_commit", "away", "answer_lost", "killed", "frozen", "hint_lost"}
    assert wanted == {fault for fault, count in met.items() if count}


@pytest.mark.chaos
def test_one_seed_is_one_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = simulate(7, tmp_path / "one", Odds(), monkeypatch)
    two = simulate(7, tmp_path / "two", Odds(), monkeypatch)
    assert (one.met, one.commit_count) == (two.met, two.commit_count)

"""A worker that is killed loses nothing, and its peers on the machine need not wait for its lease."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from stent.clock import SystemClock
from tests.worker.desk import PATIENCE_S
from tests.worker.killed import RUN_ID, program_in
from tests.worker.world import World

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("peer_is_there", [True, False], ids=["a peer watches", "a worker comes later"])
async def test_the_run_of_a_killed_worker_goes_on_at_once_and_repeats_nothing_recorded(
    tmp_path: Path, peer_is_there: bool
) -> None:
    world = World(tmp_path, SystemClock())
    program_in(world, hangs=False)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.worker.killed",
        str(tmp_path),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    assert child.stdout is not None
    assert b"hanging\n" == await asyncio.wait_for(child.stdout.readline(), 30)
    if peer_is_there:
        await world.node.work()
    child.send_signal(signal.SIGKILL)
    await child.wait()
    if not peer_is_there:
        await world.node.work()
    outcome = await asyncio.wait_for(world.outcome(RUN_ID), PATIENCE_S)  # its lease would have lasted for a day
    assert 3 == outcome.value
    assert ["first", "second", "second"] == (tmp_path / "stent.log").read_text().split()
    assert 1 == world.row(RUN_ID).crashes
    await world.close()

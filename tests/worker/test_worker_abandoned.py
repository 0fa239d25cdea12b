"""A worker that is thrown away with its event loop, as a program does that drops its loop, or the simulator."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path
from typing import Any

from tests.worker.world import World


def test_a_worker_that_is_thrown_away_with_its_loop_goes_in_silence_and_renews_nothing(tmp_path: Path) -> None:
    """Nothing can be awaited any more, so nothing is begun that would have to be: its lease runs out."""
    loop = asyncio.new_event_loop()

    async def begin() -> World:
        world = World(tmp_path)
        await world.node.work()
        return world

    world = loop.run_until_complete(begin())
    assert world.node.working is not None
    abandoned: Any = world.node.working.get_coro()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        abandoned.close()
        gc.collect()
    assert [] == [str(warning.message) for warning in warned]
    assert () == world.node.threads.committer._chores
    world.node.working._log_destroy_pending = False  # type: ignore[attr-defined]  # that is what this is about
    world.link.close()
    world.node.threads.close()
    loop.close()

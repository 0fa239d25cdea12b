"""What the tests of the worker share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.worker.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A database with its threads, and no worker yet."""
    world = World(tmp_path)
    yield world
    await world.close()

"""What all tests share: a database of one's own, an executor on it, and nothing that stays configured behind a test."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stent import Stent
from stent.backends import SQLiteBackend
from stent.inspect.invariants import check
from stent.registry import default_registry
from stent.replay.replayer import fits, is_orchestrator

pytest.register_assert_rewrite("tests.crash.checks", "tests.crash.program")


@pytest.fixture
def backend(tmp_path: Path) -> SQLiteBackend:
    """A database file that nobody has opened yet."""
    return SQLiteBackend(tmp_path / "stent.db")


@pytest.fixture
async def executor(backend: SQLiteBackend) -> AsyncIterator[Stent]:
    """An executor with a worker; durable calls go there. Whatever the test did, its database is sound at the end."""
    async with Stent.bootstrap(backend) as executor:
        yield executor
    with contextlib.closing(sqlite3.connect(backend.path)) as connection:
        assert [] == [str(violation) for violation in check(connection)]
    await _check_replays(backend)


async def _check_replays(backend: SQLiteBackend) -> None:
    """The code of every orchestrator, executed once more from the top, does what its history says."""
    reader = Stent(backend)
    for run in await reader.list_executions(limit=10_000):
        history = await reader.history_of(run.execution_id)
        if is_orchestrator(history):
            assert fits(default_registry.find(run.function), history) is None
    await reader.shutdown()


@pytest.fixture(autouse=True)
def _nothing_stays_configured() -> Iterator[None]:
    yield
    Stent.reset()

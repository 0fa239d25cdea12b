"""The parts of the engine without threads: a killed process writes nothing more; a crash has a side of a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stent.clock import ManualClock
from stent.history.memory import MemoryStore
from stent.history.operations import Operation, RegisterWorker
from stent.testing.embedded import InlineCommitter, Killed

REGISTER = RegisterWorker("w1", "host", 1, 10, None, ())


def committer_on(store: MemoryStore) -> InlineCommitter:
    return InlineCommitter(store, ManualClock(), lambda: None)


async def test_what_a_killed_process_had_queued_is_never_written() -> None:
    store = MemoryStore(ManualClock())
    committer = committer_on(store)
    answer = committer.commit(REGISTER)
    committer.kill()
    with pytest.raises(asyncio.CancelledError):
        await answer
    with pytest.raises(asyncio.CancelledError):
        committer.commit(REGISTER)
    await asyncio.sleep(0)
    assert [] == store.list_workers()


@pytest.mark.parametrize("is_after", [False, True])
async def test_a_process_may_end_on_either_side_of_a_commit(is_after: bool) -> None:
    store = MemoryStore(ManualClock())
    committer = committer_on(store)

    def around(has_written: bool, _: Sequence[Operation]) -> None:
        if has_written == is_after:
            committer.kill()
            raise Killed

    committer.around = around
    with pytest.raises(asyncio.CancelledError):
        await committer.commit(REGISTER)
    assert is_after == bool(store.list_workers())


async def test_what_is_queued_is_written_before_the_end() -> None:
    store = MemoryStore(ManualClock())
    committer = committer_on(store)
    answer = committer.commit(REGISTER)
    committer.close()
    await answer
    assert 1 == len(store.list_workers())

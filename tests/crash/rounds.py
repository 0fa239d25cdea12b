"""One round: a process that meets a fault at a commit, another one that goes on, and the check of what is left."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from tests.crash.checks import check_acknowledged, check_folder
from tests.crash.place import enter
from tests.crash.processes import children
from tests.crash.program import FLOWS, carry_out
from tests.crash.watched_store import Fault, watched_backend

ALL = tuple(FLOWS)


async def killed_and_gone_on(folder: Path, names: Sequence[str], fault: Fault) -> bool:
    """Kill a process at a commit, let this one go on, and check; False if it was done before it came to that commit."""
    enter(folder)
    async with children() as started:
        child = await started.start("tests.crash.program", folder, ",".join(names), fault.side, fault.commit)
        status = await child.ended()
    assert status in (0, -signal.SIGKILL), f"the process ended with {status}"
    check_acknowledged(folder)
    await go_on(folder, names)
    return status != 0


async def unsure_and_gone_on(folder: Path, names: Sequence[str], commit: int) -> int:
    """Lose the answer to a commit in this process, go on, and check; how many commits there were."""
    backend, store = watched_backend(enter(folder), Fault("unsure", commit))
    await carry_out(backend, names)
    check_folder(folder, names, backend)
    return store.commit_count


async def go_on(folder: Path, names: Sequence[str]) -> None:
    backend, _ = watched_backend(enter(folder))
    await carry_out(backend, names)
    check_folder(folder, names, backend)

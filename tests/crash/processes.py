"""Starting, killing and waiting for the processes of a test; none outlives its test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from stent import Stent

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 60


class Child:
    """One process that runs a module of the tests."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def process_id(self) -> int:
        return self._process.pid

    async def said(self, line: str) -> None:
        """Wait until the process has printed a line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while found := (await self._process.stdout.readline()).decode():
                if found.rstrip("\n") == line:
                    return
        raise AssertionError(f"the process ended with {await self.ended()} and never said {line!r}")

    async def ended(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.ended()

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


class Children:
    """The processes of one test."""

    def __init__(self) -> None:
        self._all: list[Child] = []

    async def start(self, module: str, *arguments: object) -> Child:
        """Run `python -m module arguments...`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *map(str, arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        child = Child(process)
        self._all.append(child)
        return child

    async def kill_all(self) -> None:
        for child in self._all:
            await child.kill()


def _environment() -> dict[str, str]:
    """With a place for compiled modules: where none may be written, every process would compile all it imports."""
    cache = Path(tempfile.gettempdir()) / f"stent-test-modules-{os.getuid()}"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache)}


@contextlib.asynccontextmanager
async def children() -> AsyncIterator[Children]:
    """All that is started within is killed at the end, if it still lives."""
    started = Children()
    try:
        yield started
    finally:
        await started.kill_all()


async def until_event(executor: Stent, run_id: str, kind: str) -> None:
    """Wait until a run has an event of a type, such as "SignalAwaited"."""
    async with asyncio.timeout(PATIENCE_S):
        while kind not in [event.type for event in await executor.history_of(run_id)]:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.001)


async def until_state(executor: Stent, run_id: str, state: str) -> None:
    """Wait until a run is in a state."""
    async with asyncio.timeout(PATIENCE_S):
        while state != await executor.state_of(run_id):  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0.001)


async def until(is_so: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until something can be seen from outside; for what no event tells."""
    async with asyncio.timeout(patience_s):
        while not is_so():  # noqa: ASYNC110  # other processes cause it
            await asyncio.sleep(0.005)

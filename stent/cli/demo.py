"""`stent demo`: two flows, each with its worker killed in the middle, and the proof that nothing was lost.

Rules of this file:
- workers are processes like any other's, and a kill is SIGKILL: no handler, no goodbye;
- what is claimed is checked (demo_claims.py), and a claim that does not hold is exit code 1;
- whatever happens, no process and no folder is left behind (`--keep` keeps the folder).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.text import Text

import stent
from stent.cli import demo_app, exits
from stent.cli.demo_claims import Claim, batch_claim, bodies_in, claims_about, kill_of, recorded_in
from stent.cli.drawing import MARKS, draw, span_text
from stent.cli.entry import Settings
from stent.cli.seed import SEED, VARIABLE
from stent.cli.session import Session, session
from stent.cli.show import timeline_in
from stent.cli.terminal import console, note, printable, write
from stent.client.options import StartOptions
from stent.clock import SystemClock
from stent.durable.function import Durable
from stent.errors import StoreError

IMAGES = 12
ITEMS = 1_000
SLOTS = 8
PATIENCE_S = 30.0  # for each thing that is waited for; all of them together take a few seconds
LOOK_S = 0.004
LOG_TAIL_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Flow:
    """One run of the demo: what is called, after how many recorded results its worker dies, what it must return."""

    run_id: str
    title: str
    function: Durable[..., Any]
    arguments: tuple[Any, ...]
    activities: int
    kill_after: int
    result: Any
    is_batch: bool = False


def flows() -> list[Flow]:
    urls = [f"https://example.com/{number}.jpg" for number in range(IMAGES)]
    numbers = list(range(ITEMS))
    return [
        Flow(
            "image-pipeline",
            f"An image pipeline: {IMAGES} downloads side by side, then {IMAGES} analyses, then a summary",
            demo_app.image_pipeline,
            (urls,),
            activities=2 * IMAGES + 1,
            kill_after=IMAGES + 2,
            result={"total": IMAGES, "categories": sorted(demo_app.CATEGORIES)},
        ),
        Flow(
            "large-batch",
            f"A batch: Stent.map over {ITEMS:,} items",
            demo_app.large_batch,
            (numbers,),
            activities=ITEMS,
            kill_after=ITEMS * 4 // 10,
            result={"processed": ITEMS, "sum": sum(number * number for number in numbers)},
            is_batch=True,
        ),
    ]


@click.command()
@click.option("--keep", is_flag=True, help="Keep the database and the ledger, and say where they are.")
@click.pass_context
def demo(context: click.Context, keep: bool) -> None:
    """Run two flows on embedded SQLite, kill the worker of each with SIGKILL in the middle, and start another one.

    Every activity leaves a line in a file outside the database, so that what is claimed can be counted.
    """
    folder = Path(tempfile.mkdtemp(prefix="stent-demo-"))
    try:
        is_proven = asyncio.run(Stage(folder).play(flows()))
    finally:
        if keep:
            note(f"kept: stent --db {folder / 'demo.db'} ls")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if not is_proven:
        context.exit(exits.FAILED)


def tell(claim: Claim) -> None:
    """A claim as a line: in green and with a tick only if it holds."""
    screen = console()
    mark = MARKS["done" if claim.holds else "failed"][screen.options.ascii_only]
    line = Text(f"  {mark}" if claim.holds else f"  {mark} NOT TRUE:", style="green" if claim.holds else "red")
    line.append(f" {printable(claim.text)}", style="default")
    screen.print(line, soft_wrap=True)


def worker_environment() -> dict[str, str]:
    """That of this process, so that the worker finds the same Stent, under the hash seed that it wants."""
    package = Path(stent.__file__).resolve().parent.parent
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), VARIABLE: SEED}


@dataclass(slots=True)
class Stage:
    """A folder with a database, a ledger, and the worker of the moment."""

    folder: Path
    clock: SystemClock = field(default_factory=SystemClock)
    worker: asyncio.subprocess.Process | None = None

    async def play(self, flows: Sequence[Flow]) -> bool:
        """All flows, one after the other; whether every claim holds."""
        started_us = self.clock.monotonic_us()
        write("Stent demo: two flows on embedded SQLite; the worker of each is killed with SIGKILL in the middle.")
        is_proven = True
        async with self._opened() as opened:
            await self._start_worker(opened)
            for flow in flows:
                claims = await self._play_one(opened, flow)
                for claim in claims:
                    tell(claim)
                is_proven = is_proven and all(claim.holds for claim in claims)
                write("")
                row = await opened.find(flow.run_id)
                draw(console(), await timeline_in(opened, row, await opened.history(flow.run_id)))
        took = span_text(self.clock.monotonic_us() - started_us)
        write(f"\n{'Every claim was checked and holds' if is_proven else 'A claim does not hold'} ({took}).")
        return is_proven

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Session]:
        """The database; when it is left no worker is either."""
        async with session(Settings(str(self.folder / "demo.db")), may_create=True) as opened:
            try:
                yield opened
            finally:
                if self.worker is not None:
                    await self._kill_worker()

    async def _play_one(self, opened: Session, flow: Flow) -> list[Claim]:
        write(f"\n{flow.title}")
        function = flow.function.__stent_function__
        arguments = function.encode_arguments(flow.arguments, {})
        await opened.client.start(function, arguments, StartOptions(run_id=flow.run_id))
        await self._until(self._has_recorded(opened, flow.run_id, flow.kill_after))
        killed = await self._kill_worker()
        killed_us = self.clock.monotonic_us()
        history = await opened.history(flow.run_id)
        kill = kill_of(history, self._bodies(flow))
        write(f"  worker process {killed} was killed with SIGKILL")
        await self._start_worker(opened)
        up_us = self.clock.monotonic_us()
        await self._until(self._has_events(opened, flow.run_id, len(history) + 1))
        write(f"  worker process {self._pid()} goes on: {self._recovery(killed_us, up_us)}")
        result = await opened.client.wait_for(flow.run_id, PATIENCE_S)
        history = await opened.history(flow.run_id)
        shown = result.value if result.ok else repr(result.error)
        claims = [Claim(f"the result is right: {shown}", result.ok and result.value == flow.result)]
        claims += claims_about(kill, history, self._bodies(flow), flow.activities)
        return [*claims, batch_claim(history, flow.activities)] if flow.is_batch else claims

    def _recovery(self, killed_us: int, up_us: int) -> str:
        now_us = self.clock.monotonic_us()
        return (
            f"{span_text(up_us - killed_us)} to start a new process, "
            f"{span_text(now_us - up_us)} from there to the next recorded event"
        )

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def _until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something is so; StoreError, with what the worker said, if that takes too long or it died."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await is_so():  # another process writes it, so there is no event to wait for
                    if self.worker is None or self.worker.returncode is not None:
                        break
                    await asyncio.sleep(LOOK_S)
                else:
                    return
        except TimeoutError:
            pass
        said = self._log.read_text(errors="replace")[-LOG_TAIL_CHARS:]
        raise StoreError(
            f"the demo did not go on; its worker said:\n{printable(said)}",
            fix="stent demo --keep leaves the database for a look",
        )

    def _has_recorded(self, opened: Session, run_id: str, count: int) -> Callable[[], Awaitable[bool]]:
        async def is_so() -> bool:
            return len(recorded_in(await opened.history(run_id))) >= count

        return is_so

    def _has_events(self, opened: Session, run_id: str, count: int) -> Callable[[], Awaitable[bool]]:
        async def is_so() -> bool:
            return len(await opened.history(run_id)) >= count

        return is_so

    def _is_up(self, opened: Session) -> Callable[[], Awaitable[bool]]:
        async def is_so() -> bool:
            link = await opened.client.link()
            return any(row.pid == self._pid() for row in await link.read(opened.store.list_workers))

        return is_so

    # -- files and processes ---------------------------------------------------------------------------------------

    def _bodies(self, flow: Flow) -> list[tuple[int, int]]:
        return bodies_in(self._ledger.read_text(), flow.run_id)

    @property
    def _ledger(self) -> Path:
        return self.folder / "bodies.ledger"

    @property
    def _log(self) -> Path:
        return self.folder / "worker.log"

    async def _start_worker(self, opened: Session) -> None:
        """A worker as anybody would start one, `stent worker`; returns when it takes on work."""
        environment = {**worker_environment(), demo_app.LEDGER_VARIABLE: str(self._ledger)}
        command = ["-m", "stent", "--db", str(self.folder / "demo.db"), "worker", demo_app.__name__]
        with self._log.open("ab") as log:
            self.worker = await asyncio.create_subprocess_exec(
                *(sys.executable, *command, "--concurrency", str(SLOTS)),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self._until(self._is_up(opened))

    async def _kill_worker(self) -> int:
        """SIGKILL; its process id, when it is certainly gone."""
        worker, self.worker = self.worker, None
        assert worker is not None, "a worker was started"
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()
        return worker.pid

    def _pid(self) -> int:
        assert self.worker is not None, "a worker was started"
        return self.worker.pid

"""A process that is to be killed: a worker that carries out `program` until it hangs in its second call.

Run as `python -m tests.worker.killed FOLDER`. It prints "hanging" when it may be killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from stent.clock import SystemClock
from tests.worker.world import World

RUN_ID = "run"


def program_in(world: World, *, hangs: bool) -> Any:
    """The program of both processes. Every body that runs leaves a line in a file."""
    log = world.path.with_suffix(".log")

    def note(line: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    @world.durable(name="first")
    async def first() -> int:
        note("first")
        return 1

    @world.durable(name="second")
    async def second() -> int:
        note("second")
        if hangs:
            sys.stdout.write("hanging\n")
            sys.stdout.flush()
            await asyncio.Event().wait()
        return 2

    @world.durable(name="program")
    async def program() -> int:
        return await first() + await second()

    return program


async def main(folder: Path) -> None:
    world = World(folder, SystemClock(), seed=100)
    program = program_in(world, hangs=True)
    await world.node.work()
    await world.call(program, run_id=RUN_ID)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

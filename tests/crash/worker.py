"""A worker process, as a user would have one: it serves until SIGTERM.

Run as `python -m tests.crash.worker FOLDER [LEASE_S [SLOTS]]`. It says "ready" when it takes on work.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stent import Stent
from tests.crash import hanging, limited
from tests.crash.place import enter

FUNCTIONS = (limited.workflow, hanging.hanging_flow)  # importing them is what registers all of their modules


async def main(folder: str, lease_s: str = "10", slots: str = "10") -> None:
    executor = Stent(str(enter(Path(folder))))
    working = asyncio.create_task(executor.serve(max_concurrency=int(slots), lease_duration=float(lease_s)))
    await executor.wait_until_ready()
    print("ready", flush=True)  # noqa: T201  # the test waits for it
    await working
    await executor.shutdown()
    print("drained", flush=True)  # noqa: T201  # likewise


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

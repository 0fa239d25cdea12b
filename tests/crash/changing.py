"""A worker process whose code is one of two versions of the same function.

Run as `python -m tests.crash.changing FOLDER old|new`. The old version starts the run "order"; it says "waiting" when
that run waits for its signal, the new one at once.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stent import Stent
from tests.crash.place import enter
from tests.crash.processes import until_event


@Stent.durable
async def charge() -> str:
    return "charged"


@Stent.durable
async def refund() -> str:
    return "refunded"


if sys.argv[2:] == ["new"]:

    @Stent.durable
    async def checkout() -> list[str]:
        return [await refund(), await charge(), await Stent.wait_for_signal("go")]
else:

    @Stent.durable
    async def checkout() -> list[str]:
        return [await charge(), await Stent.wait_for_signal("go")]


async def main(folder: str, version: str) -> None:
    async with Stent.bootstrap(str(enter(Path(folder)))) as executor:
        if version == "old":
            await executor.dispatch(checkout, id="order")
            await until_event(executor, "order", "SignalAwaited")
        print("waiting", flush=True)  # noqa: T201  # the test waits for it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""The durable functions that the tests of the command line run."""

from __future__ import annotations

import asyncio

from stent import Stent

is_changed = False
"""Set by tests that replay with other code than the one that ran."""


@Stent.durable
async def double(number: int) -> int:
    return number * 2


@Stent.durable
async def order(first: int, second: int = 1) -> dict[str, list[int]]:
    """Two calls side by side, then a third."""
    both = await asyncio.gather(double(first), double(second))
    return {"both": [*both], "last": [await double(both[0] + is_changed)]}


@Stent.durable
async def approval() -> str:
    await double(1)
    return f"approved by {await Stent.wait_for_signal('approve')}"


@Stent.durable
async def refuse() -> None:
    """Fails with a text that would turn a terminal red."""
    raise ValueError("no \x1b[31mway")


@Stent.durable
async def failing() -> None:
    await refuse()


@Stent.durable
async def family() -> int:
    """A run with a run behind its call."""
    return len(await order(1))


@Stent.durable
async def sleeper() -> None:
    await Stent.sleep("1h")


@Stent.durable
async def patched(change: str, is_waiting: bool) -> None:
    """Records a patch, then may wait for a signal."""
    Stent.patched(change)
    await double(2 + is_changed)
    if is_waiting:
        await Stent.wait_for_signal("approve")


def plain() -> None:
    """Not durable."""

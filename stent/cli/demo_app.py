"""The durable functions of `stent demo`: an image pipeline and a large batch, with simulated work.

Every activity leaves a line in a ledger, a plain file outside the database, when its body begins. So the demo can
count bodies without asking the engine that it is about.
"""

from __future__ import annotations

import asyncio
import os

from stent import Stent

__stent_program__ = True  # its lines are the user's here: they are what a demo shows

LEDGER_VARIABLE = "STENT_DEMO_LEDGER"
DOWNLOAD_S = 0.15
PROCESS_S = 0.25
ITEM_S = 0.008
CATEGORIES = ("cat", "dog", "owl", "fox")


@Stent.durable
async def download_image(url: str) -> str:
    """Pretend to download, and return where the image lies."""
    note_body()
    await asyncio.sleep(DOWNLOAD_S)
    return f"images/{url.rpartition('/')[2]}"


@Stent.durable
async def process_image(path: str) -> dict[str, str]:
    """Pretend to look at an image, and return what is on it."""
    note_body()
    await asyncio.sleep(PROCESS_S)
    number = int(path.removeprefix("images/").removesuffix(".jpg"))
    return {"path": path, "category": CATEGORIES[number % len(CATEGORIES)]}


@Stent.durable
async def aggregate_results(results: list[dict[str, str]]) -> dict[str, int | list[str]]:
    """Combine all results."""
    note_body()
    return {"total": len(results), "categories": sorted({each["category"] for each in results})}


@Stent.durable
async def image_pipeline(urls: list[str]) -> dict[str, int | list[str]]:
    """Fan out, fan out again, fan in."""
    paths = await asyncio.gather(*[download_image(url) for url in urls])
    results = await asyncio.gather(*[process_image(path) for path in paths])
    return await aggregate_results(results)


@Stent.durable
async def process_item(number: int) -> int:
    """Pretend to work on one item of a large batch."""
    note_body()
    await asyncio.sleep(ITEM_S)
    return number * number


@Stent.durable
async def large_batch(numbers: list[int]) -> dict[str, int]:
    """Thousands of items, one event to schedule them all."""
    squares = await Stent.map(process_item, numbers)
    return {"processed": len(squares), "sum": sum(squares)}


def note_body() -> None:
    """One line in the ledger: run, call and item. A short append is whole or absent, also for a killed process."""
    ledger = os.environ.get(LEDGER_VARIABLE)
    if ledger is None:
        return
    context = Stent.context()
    item = -1 if context.item is None else context.item
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{context.run_id} {context.call or 0} {item}\n".encode())
    finally:
        os.close(file)

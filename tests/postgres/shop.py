"""A small application whose workers can be killed: each body notes in a file that it began and that it ended.

python -m tests.postgres.shop URL [pooled]    a worker, until it is killed; says "ready" when it works
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

from stent import Stent

LEDGER_VARIABLE = "STENT_TEST_LEDGER"
SLOTS = 4


def note(words: str) -> None:
    with Path(os.environ[LEDGER_VARIABLE]).open("a") as file:
        file.write(f"{words}\n")


def noted(path: Path) -> Counter[str]:
    """How often each line was noted; a line that is being written does not count yet."""
    return Counter(path.read_text().split("\n")[:-1]) if path.exists() else Counter()


@Stent.durable
async def process_item(item_id: str) -> str:
    note(f"began {item_id}")
    await asyncio.sleep(0.02)
    note(f"ended {item_id}")
    return item_id.upper()


@Stent.durable
async def one_by_one(item_ids: list[str]) -> list[str]:
    return [await process_item(item_id) for item_id in item_ids]


@Stent.durable
async def all_at_once(item_ids: list[str]) -> list[str]:
    return await asyncio.gather(*[process_item(item_id) for item_id in item_ids])


@Stent.durable
async def as_a_map(item_ids: list[str]) -> list[str]:
    return await Stent.map(process_item, item_ids)


async def work(url: str, *, is_pooled: bool) -> None:
    backend = Stent.backends.PostgresBackend(url, is_pooled=is_pooled)
    async with Stent.bootstrap(backend, serve=True, max_concurrency=SLOTS):
        print("ready", flush=True)  # noqa: T201  # whoever started this process waits for it
        await asyncio.Event().wait()


if __name__ == "__main__":
    from tests.postgres import shop  # under the name by which the functions are known elsewhere

    asyncio.run(shop.work(sys.argv[1], is_pooled="pooled" in sys.argv[2:]))

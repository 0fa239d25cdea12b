"""Fan out, fan out again, fan in: the images of some pages, downloaded and looked at side by side.

In this folder, with nothing else running:

    stent --db images.db run image_pipeline:image_pipeline '[["https://example.com/1.jpg", "https://example.com/2.jpg"]]'

Kill it in the middle (`kill -9`), and start it again with `--id` and the id that it printed: what was downloaded is not
downloaded again. `stent --db images.db show @last` draws what happened.
"""

from __future__ import annotations

import asyncio

from stent import RetryPolicy, Stent


@Stent.durable(max_concurrent=5, retry_policy=RetryPolicy(max_attempts=3, initial_delay=0.5), timeout="30s")
async def download_image(url: str) -> str:
    """Where the image lies. Never more than five at a time, over all workers."""
    await asyncio.sleep(0.2)  # a real one would fetch it here
    return f"images/{url.rpartition('/')[2]}"


@Stent.durable
async def process_image(path: str) -> dict[str, str]:
    """What is on the image."""
    await asyncio.sleep(0.1)
    return {"path": path, "category": "cat" if "1" in path else "dog"}


@Stent.durable
async def aggregate_results(results: list[dict[str, str]]) -> dict[str, int]:
    """How many images of each category there are."""
    categories = [result["category"] for result in results]
    return {category: categories.count(category) for category in sorted(set(categories))}


@Stent.durable
async def image_pipeline(urls: list[str]) -> dict[str, int]:
    paths = await asyncio.gather(*[download_image(url) for url in urls])
    results = await asyncio.gather(*[process_image(path) for path in paths])
    return await aggregate_results(results)

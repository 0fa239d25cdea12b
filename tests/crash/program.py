"""The program that is killed: one flow for each thing that must survive, and a process that carries flows out.

Run as `python -m tests.crash.program FOLDER FLOWS [SIDE COMMIT]`: it starts the flows (comma-separated) under their own
names as ids, works until all have ended, says "done", and on the way dies at a commit if it was told to. Whoever
starts it again in the same folder goes on, for starts are by id and signals by key.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from stent import RetryPolicy, Stent
from stent.backends import StoreBackend
from tests.crash.place import enter, ledger
from tests.crash.watched_store import Fault, Side, watched_backend

PATIENCE_S = 30
MAX_CONCURRENT = 2
FLAKY = RetryPolicy(max_attempts=4, initial_delay=0.002, backoff_factor=1.0, jitter=0.0)

# -- activities --------------------------------------------------------------------------------------------------------


@Stent.durable
async def fetch(number: int) -> int:
    with ledger().body(number):
        await asyncio.sleep(0.001 * (number % 3))
    return number + 1


@Stent.durable
def square(number: int) -> int:
    with ledger().body(number):
        return number * number


@Stent.durable
async def total(numbers: list[int]) -> int:
    with ledger().body(numbers):
        return sum(numbers)


@Stent.durable(retry_policy=FLAKY)
async def flaky(works_at: int) -> int:
    with ledger().body(works_at):
        attempt = Stent.context().attempt
        if attempt < works_at:
            raise ConnectionError(f"attempt {attempt}")
    return works_at


@Stent.durable(max_concurrent=MAX_CONCURRENT)
async def limited(number: int) -> int:
    with ledger().body(number):
        await asyncio.sleep(0.002)
    return number


@Stent.durable
async def store_results(results: list[int]) -> None:
    with ledger().body(results):
        await asyncio.sleep(0)


# -- flows -------------------------------------------------------------------------------------------------------------


@Stent.durable
async def gather_flow() -> int:
    fetched = await asyncio.gather(*[fetch(number) for number in range(4)])
    squares = await asyncio.gather(*[square(number) for number in fetched])
    return await total(list(squares))


@Stent.durable
async def map_flow() -> list[int]:
    first = await Stent.map(fetch, range(12))
    return await Stent.map(square, first, limit=3)


@Stent.durable
async def timer_flow() -> list[str]:
    order: list[str] = []

    async def ring(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(name)

    await asyncio.gather(ring("late", 0.03), ring("early", 0.005), fetch(1))
    await Stent.sleep("5ms")
    return order


@Stent.durable
async def child_of(number: int) -> int:
    await Stent.sleep("1ms")
    return await fetch(await fetch(number))


@Stent.durable
async def child_flow() -> list[int]:
    first = await asyncio.gather(child_of(1), child_of(2))
    return [*first, *await Stent.map(child_of, [3, 4])]


@Stent.durable
async def signal_flow() -> list[Any]:
    first = await Stent.wait_for_signal("first")
    middle = await fetch(10)
    return [first, middle, await Stent.wait_for_signal("second"), await Stent.wait_for_signal("second")]


@Stent.durable
async def retry_flow() -> list[int]:
    return [*await asyncio.gather(flaky(1), flaky(3)), *await Stent.map(flaky, [2, 3])]


@Stent.durable
async def limited_flow() -> list[int]:
    return await asyncio.gather(*[limited(number) for number in range(5)])


def chunks(items: Sequence[int], size: int) -> Iterator[list[int]]:
    remaining = iter(items)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk


@Stent.durable
async def streaming_flow() -> int:
    processed = 0
    for batch in chunks(range(9), 3):
        results = await asyncio.gather(*[fetch(number) for number in batch])
        await store_results(list(results))
        processed += len(results)
    return processed


@dataclass(frozen=True, slots=True)
class Flow:
    """A program, what it must give, how many runs it takes, and the signals (name, value, key) it waits for."""

    function: Any
    expected: Any
    run_count: int = 1
    signals: tuple[tuple[str, Any, str], ...] = field(default=())


FLOWS = {
    "gather": Flow(gather_flow, 1 + 4 + 9 + 16),
    "map": Flow(map_flow, [number * number for number in range(1, 13)]),
    "timers": Flow(timer_flow, ["early", "late"]),
    "children": Flow(child_flow, [3, 4, 5, 6], run_count=5),
    "signals": Flow(
        signal_flow, ["a", 11, "b", "c"], signals=(("second", "b", "k1"), ("first", "a", "k2"), ("second", "c", "k3"))
    ),
    "retries": Flow(retry_flow, [1, 3, 2, 3]),
    "limits": Flow(limited_flow, [0, 1, 2, 3, 4]),
    "streaming": Flow(streaming_flow, 9),
}


async def carry_out(backend: StoreBackend, names: Sequence[str]) -> None:
    """Start the flows that were not started, tell them what they wait for, and see them through."""
    async with Stent.bootstrap(backend, max_concurrency=4, grace=0) as executor, asyncio.timeout(PATIENCE_S):
        for name in names:
            await executor.dispatch(FLOWS[name].function, id=name)
            ledger().write("started", name)
        for name in names:
            for signal_name, value, key in FLOWS[name].signals:
                if not (await executor.state_of(name)).is_ended:
                    await executor.send_signal(name, signal_name, value, key=key)
                    ledger().write("told", name, f"signal-{key}")
        for name in names:
            assert FLOWS[name].expected == (await executor.wait_for(name)).unwrap(), name


def main(folder: str, flows: str, side: str = "", commit: str = "0") -> None:
    fault = Fault(cast("Side", side), int(commit)) if side else None
    backend, _ = watched_backend(enter(Path(folder)), fault)
    asyncio.run(carry_out(backend, flows.split(",")))
    print("done", flush=True)  # noqa: T201  # the test waits for it


if __name__ == "__main__":
    # As the module that others import, so that the functions have one name and the folder is one.
    from tests.crash import program

    program.main(*sys.argv[1:])

"""What runs in a simulated world: one orchestrator for each public feature, and a ledger outside the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from stent import RetryPolicy, Stent
from stent.codec import encode
from stent.inspect.invariants import Body
from stent.registry import default_registry
from tests.simulation.loop import current_process

LIMIT = 2


@dataclass
class Witness:
    """What bodies did, as the world outside saw it."""

    bodies: list[Body] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    running: int = 0
    most_running: int = 0

    def began(self) -> tuple[int, str]:
        context = Stent.context()
        self.attempts[context.idempotency_key or ""] += 1
        return self.now_us(), context.run_id

    def ended(self, began_us: int, run_id: str, result: Any, limit_key: str | None = None) -> None:
        call = Stent.context().call or 0
        payload = encode(result, default_registry.types).data
        self.bodies.append(Body(run_id, call, began_us, self.now_us(), limit_key, payload))

    def now_us(self) -> int:
        return round(asyncio.get_running_loop().time() * 1_000_000)


witness = Witness()


@Stent.durable(role="activity", name="sim:work")
async def work(number: int) -> int:
    began_us, run_id = witness.began()
    await asyncio.sleep(number % 7 * 0.05)
    witness.ended(began_us, run_id, number * 10)
    return number * 10


@Stent.durable(role="activity", name="sim:limited", max_concurrent=LIMIT)
async def limited(number: int) -> int:
    began_us, run_id = witness.began()
    freezes = times_frozen()
    await asyncio.sleep(0.1)
    # The limit is one of leases: a process that was stopped past its own cannot know (docs/what-survives-a-crash.md).
    witness.ended(began_us, run_id, number, "sim:limited" if freezes == times_frozen() else None)
    return number


@Stent.durable(
    role="activity", name="sim:shaky", retry_policy=RetryPolicy(max_attempts=4, initial_delay=0.5, jitter=0.0)
)
async def shaky(number: int) -> int:
    if Stent.context().attempt < 3:
        raise ConnectionError(f"attempt {Stent.context().attempt}")
    return number


@Stent.durable(role="activity", name="sim:fails")
async def fails(number: int) -> int:
    raise ValueError(f"no {number}")


@Stent.durable(name="sim:chain")
async def chain(count: int) -> list[int]:
    return [await work(number) for number in range(count)]


@Stent.durable(name="sim:fan")
async def fan(count: int) -> list[Any]:
    found = await asyncio.gather(*[work(number) for number in range(count)], fails(1), return_exceptions=True)
    return [value if isinstance(value, int) else str(value) for value in found]


@Stent.durable(name="sim:batch")
async def batch(count: int) -> int:
    return sum(await Stent.map(work, range(count)))


@Stent.durable(name="sim:bounded")
async def bounded(count: int) -> int:
    mapped = await Stent.map(limited, range(count))
    return sum(await asyncio.gather(*[limited(number) for number in range(count)])) + sum(mapped)


@Stent.durable(name="sim:family")
async def family(width: int) -> list[list[int]]:
    return await asyncio.gather(*[chain(number) for number in range(width)])


@Stent.durable(name="sim:sleeper")
async def sleeper(seconds: float) -> float:
    began = Stent.now()
    await Stent.sleep(seconds)
    took_s = (Stent.now() - began).total_seconds()
    assert took_s >= seconds, "no timer fires early"
    return await work(3) + await shaky(7)


@Stent.durable(name="sim:listener")
async def listener(count: int) -> list[int]:
    return [await Stent.wait_for_signal("number") for _ in range(count)]


@Stent.durable(name="sim:racer")
async def racer(number: int) -> str:
    try:
        async with asyncio.timeout(0.12):
            await work(number)
    except TimeoutError:
        return "timeout"
    return "work"


@Stent.durable(name="sim:endless")
async def endless() -> None:
    try:
        await asyncio.gather(work(6), Stent.sleep("1000d"), chain(30))
    finally:
        current_process.get()


def times_frozen() -> int:
    """How often the process of the running body was stopped."""
    process: Any = current_process.get()
    return int(process.freezes)


EXPECTED: dict[str, Any] = {
    "chain": (chain, (6,), [0, 10, 20, 30, 40, 50]),
    "fan": (fan, (8,), [0, 10, 20, 30, 40, 50, 60, 70, "no 1"]),
    "batch": (batch, (40,), sum(number * 10 for number in range(40))),
    "bounded": (bounded, (5,), 20),
    "family": (family, (4,), [[], [0], [0, 10], [0, 10, 20]]),
    "sleeper": (sleeper, (40.0,), 37),
}
"""Name -> (orchestrator, arguments, the one result it may have)."""

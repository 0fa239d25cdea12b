"""The programs behind the golden histories of 0.1, and what happens to each while it is recorded.

Rules of this file:
- it says what ran when the histories were recorded, so what is here is never changed; a program for something new is
  added at the end, or to the folder of a later version;
- a program checks nothing: the replay of its history does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from stent import RetryPolicy, Stent
from stent.testing import Engine

PATIENT = RetryPolicy(max_attempts=3, initial_delay=60.0, backoff_factor=2.0, jitter=0.0)


@dataclass(frozen=True)
class Parcel:
    """A value with a class of its own."""

    number: int
    weight: Decimal
    labels: tuple[str, ...] = ()


class Declined(Exception):
    """An error with a class of its own."""


# -- activities --------------------------------------------------------------------------------------------------------


@Stent.durable(role="activity")
async def echo(value: Any) -> Any:
    return value


@Stent.durable(role="activity")
async def weigh(parcel: Parcel) -> Parcel:
    return Parcel(parcel.number, parcel.weight * 2, (*parcel.labels, "weighed"))


@Stent.durable(role="activity")
async def decline(reason: str) -> str:
    raise Declined(reason)


@Stent.durable(role="activity", retry_policy=PATIENT)
async def succeeds_at_last(number: int) -> int:
    if Stent.context().attempt < 3:
        raise ConnectionError(f"attempt {Stent.context().attempt}")
    return number


@Stent.durable(role="activity", retry_policy=PATIENT)
async def never_succeeds(number: int) -> int:
    raise ConnectionError("away")


@Stent.durable(role="activity", timeout="50ms")
async def too_slow() -> None:
    await asyncio.sleep(60)


@Stent.durable(role="activity")
async def waits_for_nobody(number: int) -> int:
    """Replaced by what never answers."""
    return number


# -- calls -------------------------------------------------------------------------------------------------------------


@Stent.durable
async def calls(count: int) -> int:
    return sum([await echo(number) for number in range(count)])


@Stent.durable
async def values(when: datetime) -> list[Any]:
    """Every kind of stored value, as argument, result and outcome."""
    parcel = await weigh(Parcel(7, Decimal("1.50"), ("fragile",)))
    plain = await echo([None, True, 1, -1.5, "text \U0001f600", {"key": [1]}])
    tagged = await echo(
        (b"bytes", {1, 2}, frozenset({"x"}), UUID(int=5), timedelta(seconds=1.5), date(2026, 1, 1), float("inf"), 2**70)
    )
    return [parcel, plain, tagged, when]


@Stent.durable
async def failures() -> list[str]:
    """Errors that are handled, gathered and raised."""
    found = await asyncio.gather(echo(1), decline("card"), echo(2), return_exceptions=True)
    try:
        await decline("again")
    except Declined as error:
        found.append(error)
    return [f"{type(each).__name__}: {each}" for each in found]


@Stent.durable
async def fails() -> None:
    await echo(1)
    raise ValueError("no way")


@Stent.durable
async def attempts() -> int:
    return await succeeds_at_last(4)


@Stent.durable
async def exhausted() -> None:
    await never_succeeds(1)


@Stent.durable
async def slow_call() -> str:
    try:
        await too_slow()
    except TimeoutError as error:
        return type(error).__name__
    return "in time"


@Stent.durable
async def options() -> int:
    return await echo.options(timeout="1h", priority=3, tags=["x"], retry_policy=PATIENT)(1)


@Stent.durable(version="2026-01")
async def versioned() -> int:
    return await echo(1)


# -- batches -----------------------------------------------------------------------------------------------------------


@Stent.durable
async def batch(count: int) -> list[int]:
    return await Stent.map(echo, range(count))


@Stent.durable
async def batch_with_failures() -> list[str]:
    found = await Stent.map(decline, ["a", "b"], return_exceptions=True)
    return [str(each) for each in [*found, *await Stent.map(succeeds_at_last, [1, 2], limit=1)]]


@Stent.durable
async def batch_as_completed(count: int) -> list[tuple[int, int]]:
    return [(index, value) async for index, value in Stent.map_as_completed(echo, range(count))]


@Stent.durable
async def batch_given_up() -> str:
    try:
        async with asyncio.timeout(5):
            await Stent.map(waits_for_nobody, [1, 2, 3])
    except TimeoutError:
        return "given up"
    return "done"


# -- time --------------------------------------------------------------------------------------------------------------


@Stent.durable
async def sleeps() -> None:
    await Stent.sleep("30d")
    await asyncio.sleep(1.5)
    await echo("awake")


@Stent.durable
async def time_limits() -> list[str]:
    """One that is kept, and one that is not."""
    found = []
    async with asyncio.timeout(10):
        found.append(await echo("in time"))
    try:
        async with asyncio.timeout(10):
            await waits_for_nobody(1)
    except TimeoutError:
        found.append("too late")
    return found


@Stent.durable
async def chance() -> None:
    """Time, numbers and ids of the run, as arguments, so that a replay must come to the same."""
    await echo(Stent.now())
    await echo([Stent.random().random(), Stent.random().randrange(1_000_000)])
    await echo(Stent.uuid4())
    await Stent.sleep("1h")
    await echo([Stent.now(), Stent.random().choice("abcdef"), Stent.uuid4()])


@Stent.durable
async def waits() -> None:
    """Recorded while it waits: its history is open."""
    await echo("before")
    await Stent.sleep("365d")
    await echo("after")


# -- signals -----------------------------------------------------------------------------------------------------------


@Stent.durable
async def signals() -> list[Any]:
    """One that is waited for, two that have come before anybody asked, and one that never comes."""
    found = [await Stent.wait_for_signal("approve")]
    await Stent.sleep("1h")
    found += [await Stent.wait_for_signal("number"), await Stent.wait_for_signal("number")]
    try:
        await Stent.wait_for_signal("never", timeout="1d")
    except TimeoutError:
        found.append("never")
    return found


# -- children ----------------------------------------------------------------------------------------------------------


@Stent.durable
async def child(number: int) -> int:
    return await echo(number) + await echo(1)


@Stent.durable
async def failing_child() -> None:
    await decline("child")


@Stent.durable
async def children() -> list[Any]:
    found: list[Any] = [await child(1)]
    found += await asyncio.gather(child(2), child.options(id="named-child")(3))
    found += await Stent.map(child, [4, 5])
    try:
        await failing_child()
    except Declined as error:
        found.append(str(error))
    return found


TOOLS: dict[str, Any] = {"first": [echo], "call": [echo], "batch": [echo]}


@Stent.durable
async def taken_for_an_activity() -> Any:
    """What it calls is too deep in a table for the look at its code."""
    (tool,) = TOOLS["first"]
    return await tool("found")


@Stent.durable
async def called_as_an_activity() -> Any:
    (tool,) = TOOLS["call"]
    return await tool("found")


@Stent.durable
async def mapped_as_an_activity(number: int) -> Any:
    (tool,) = TOOLS["batch"]
    return await tool(number)


@Stent.durable
async def promotions() -> list[Any]:
    return [await called_as_an_activity(), *await Stent.map(mapped_as_an_activity, [1, 2])]


@Stent.durable
async def activity_alone(number: int) -> int:
    return number


# -- endings -----------------------------------------------------------------------------------------------------------


@Stent.durable
async def cancelled() -> None:
    """Cleans up before it goes."""
    try:
        await asyncio.gather(waits_for_nobody(1), Stent.sleep("1d"))
    finally:
        await echo("cleaned up")


@Stent.durable
async def cancelled_and_fails() -> None:
    try:
        await Stent.sleep("1d")
    except asyncio.CancelledError:
        await echo("cleaned up")
        raise ValueError("no clean end") from None


@Stent.durable
async def past_its_deadline() -> None:
    await waits_for_nobody(1)


@Stent.durable
async def longer_than_allowed() -> None:
    await echo(1)
    await waits_for_nobody(1)


@Stent.durable
async def again(count: int) -> int:
    await echo(count)
    if count < 2:
        Stent.continue_as_new(count + 1)
    return count


@Stent.durable
async def patches() -> list[Any]:
    found = []
    if Stent.patched("weigh-first"):
        found.append(await weigh(Parcel(1, Decimal(1))))
    found.append(await echo("after"))
    if Stent.patched("weigh-first"):
        found.append("asked again")
    return found


# -- races -------------------------------------------------------------------------------------------------------------


@Stent.durable
async def races() -> list[Any]:
    """The first of several, in each way that asyncio has, and what becomes of the others."""
    found: list[Any] = []
    done, others = await asyncio.wait(
        [asyncio.create_task(_after(seconds)) for seconds in (3, 1, 2)], return_when=asyncio.FIRST_COMPLETED
    )
    found += [task.result() for task in done]
    for task in others:
        task.cancel()
    found += [await each for each in asyncio.as_completed([_after(2), _after(1)])]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_after(60))
            group.create_task(_fails_after(1))
    except* Declined as errors:
        found += [str(error) for error in errors.exceptions]
    return found


@Stent.durable
async def synchronization() -> list[int]:
    """Tasks that wait for one another."""
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    lock = asyncio.Lock()
    found: list[int] = []

    async def produce() -> None:
        for number in range(3):
            await queue.put(await echo(number))

    async def consume() -> None:
        for _ in range(3):
            async with lock:
                found.append(await echo(await queue.get()))

    await asyncio.gather(produce(), consume())
    found.append(await asyncio.shield(echo(9)))
    return found


async def _after(seconds: int) -> int:
    await asyncio.sleep(seconds)
    value: int = await echo(seconds)
    return value


async def _fails_after(seconds: int) -> None:
    await asyncio.sleep(seconds)
    await decline(f"after {seconds}")


# -- recording ---------------------------------------------------------------------------------------------------------


def ended(function: Any, *arguments: Any, **chosen: Any) -> Callable[[Engine], Awaitable[None]]:
    """Recorded from its beginning to its end, whatever that is."""

    async def record(engine: Engine) -> None:
        engine.hang(waits_for_nobody)
        run_id = await engine.dispatch(function, *arguments, id=_name(function), **chosen)
        await engine.wait_for(run_id)

    return record


def interrupted(function: Any, *, cancel: bool) -> Callable[[Engine], Awaitable[None]]:
    """Recorded until it waits, and with what a cancel makes of it."""

    async def record(engine: Engine) -> None:
        engine.hang(waits_for_nobody)
        run_id = await engine.dispatch(function, id=_name(function))
        await engine.advance("1m")
        if cancel:
            await engine.cancel(run_id, "enough")
            await engine.wait_for(run_id)

    return record


async def signalled(engine: Engine) -> None:
    run_id = await engine.dispatch(signals, id="signals")
    await engine.settle()
    await engine.send_signal(run_id, "approve", {"by": "me"}, key="once")
    await engine.settle()
    for number in (1, 2):
        await engine.send_signal(run_id, "number", number)
    await engine.wait_for(run_id)


async def cancelled_before_it_begins(engine: Engine) -> None:
    run_id = await engine.dispatch(calls, 1, id="never_begun", delay="1h")
    await engine.cancel(run_id)
    await engine.wait_for(run_id)


def _name(function: Any) -> str:
    name: str = function.__stent_function__.display_name
    return name


RECORDED: dict[str, Callable[[Engine], Awaitable[None]]] = {
    "calls": ended(calls, 3),
    "values": ended(values, datetime(2026, 1, 1, tzinfo=UTC)),
    "failures": ended(failures),
    "fails": ended(fails),
    "attempts": ended(attempts),
    "exhausted": ended(exhausted),
    "slow_call": ended(slow_call),
    "options": ended(options),
    "versioned": ended(versioned),
    "batch": ended(batch, 5),
    "batch_with_failures": ended(batch_with_failures),
    "batch_as_completed": ended(batch_as_completed, 4),
    "batch_given_up": ended(batch_given_up),
    "sleeps": ended(sleeps),
    "time_limits": ended(time_limits),
    "chance": ended(chance),
    "waits": interrupted(waits, cancel=False),
    "signals": signalled,
    "children": ended(children),
    "taken_for_an_activity": ended(taken_for_an_activity),
    "promotions": ended(promotions),
    "activity_alone": ended(activity_alone, 7),
    "cancelled": interrupted(cancelled, cancel=True),
    "cancelled_and_fails": interrupted(cancelled_and_fails, cancel=True),
    "never_begun": cancelled_before_it_begins,
    "past_its_deadline": ended(past_its_deadline, expiry="1h"),
    "longer_than_allowed": ended(longer_than_allowed, max_duration="1h"),
    "again": ended(again, 0),
    "patches": ended(patches),
    "races": ended(races),
    "synchronization": ended(synchronization),
}
"""What is recorded, by the id of the run. Runs behind its calls have ids that begin with it, or that it gives them."""

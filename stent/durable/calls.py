"""What a program may ask for besides calling durable functions: map, time, signals, chance, patches.

Each is exported as a static method of `Stent`. Those marked as durable calls make their caller an orchestrator. Outside
of any run they do what a plain program would do, so that orchestrators can be unit-tested without an executor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable
from datetime import datetime
from typing import Any, Literal, NoReturn, Protocol, TypeVar, overload
from uuid import UUID

from stent.client.checked import checked_name
from stent.client.current import current
from stent.clock import SystemClock, to_datetime
from stent.durable.function import Durable, map_rows
from stent.durable.place import require_orchestrator, running_activity, running_orchestrator
from stent.duration import SECOND_US, Duration, parse_duration
from stent.errors import ArgumentError
from stent.ids import Generator, RandomIds
from stent.replay.roles import durable_call

R = TypeVar("R")


class MapCall(Protocol):
    """The type of `Stent.map`: `staticmethod(map)` alone would leave type checkers without the overloads."""

    @overload
    def __call__(
        self,
        function: Durable[..., R],
        items: Iterable[Any],
        *,
        return_exceptions: Literal[False] = False,
        limit: int | None = None,
    ) -> Coroutine[None, None, list[R]]: ...
    @overload
    def __call__(
        self, function: Durable[..., R], items: Iterable[Any], *, return_exceptions: bool, limit: int | None = None
    ) -> Coroutine[None, None, list[R | BaseException]]: ...


class MapAsCompletedCall(Protocol):
    """The type of `Stent.map_as_completed`, likewise."""

    @overload
    def __call__(
        self,
        function: Durable[..., R],
        items: Iterable[Any],
        *,
        return_exceptions: Literal[False] = False,
        limit: int | None = None,
    ) -> AsyncIterator[tuple[int, R]]: ...
    @overload
    def __call__(
        self, function: Durable[..., R], items: Iterable[Any], *, return_exceptions: bool, limit: int | None = None
    ) -> AsyncIterator[tuple[int, R | BaseException]]: ...


@durable_call
def map(  # the public name
    function: Durable[..., R], items: Iterable[Any], *, return_exceptions: bool = False, limit: int | None = None
) -> Coroutine[None, None, list[R | BaseException]]:
    """Call a durable function once an item; awaited, the results in the order of the items.

    One event is recorded however many items there are, and outcomes are recorded packed. The first failure is raised
    as it was, or stands in the list with `return_exceptions=True`. `limit` bounds how many run at a time. Any iterable
    is taken, generators included; no items give [].
    """
    return _durable(function, "Stent.map").map(items, return_exceptions=return_exceptions, limit=limit)


@durable_call
def map_as_completed(
    function: Durable[..., R], items: Iterable[Any], *, return_exceptions: bool = False, limit: int | None = None
) -> AsyncIterator[tuple[int, R | BaseException]]:
    """As `map`, for `async for index, result in ...`: pairs in the order in which the outcomes were recorded."""
    rows = [(item,) for item in items]
    record = _durable(function, "Stent.map_as_completed").__stent_function__
    orchestrator = running_orchestrator()
    if orchestrator is None and running_activity() is None:
        if current.get() is not None:
            return _recorded(map_rows(function, rows, return_exceptions=True, limit=limit), return_exceptions)
        from stent.durable import local

        return local.call_as_completed(record, rows, return_exceptions=return_exceptions, limit=limit)
    batch = map_rows(function, rows, return_exceptions=True, limit=limit)
    if orchestrator is None:
        return _parked(batch)
    from stent.replay.batches import BatchStream

    return BatchStream(batch, return_exceptions)


async def _recorded(mapped: Awaitable[list[Any]], return_exceptions: bool) -> AsyncIterator[Any]:
    """Outside of any run: the outcomes of a run that maps, once it has ended, in the order of the items."""
    for index, result in enumerate(await mapped):
        if isinstance(result, BaseException) and not return_exceptions:
            raise result
        yield index, result


async def _parked(forever: Awaitable[Any]) -> AsyncIterator[Any]:
    """For a body that turns out to be an orchestrator here: it is dropped at this await and begins again."""
    yield await forever


@durable_call
def sleep(duration: Duration) -> Awaitable[None]:
    """Wait for "1h30m", a timedelta, or seconds. In an orchestrator it is a timer that outlives the process."""
    delay_us = parse_duration(duration, name="duration")
    if running_orchestrator() is None and (body := running_activity()) is not None:
        return body.park()
    return asyncio.sleep(delay_us / SECOND_US)


@durable_call
def wait_for_signal(name: str, *, timeout: Duration | None = None) -> Awaitable[Any]:
    """The value of the next signal of this name; each is given once, in the order of their arrival.

    TimeoutError after `timeout`; the signal that comes later is kept for the next wait. The wait takes its place in
    the queue at the call, not at the await.
    """
    checked_name("name", name)
    timeout_us = parse_duration(timeout, name="timeout") if timeout is not None else None
    if running_orchestrator() is None and (body := running_activity()) is not None:
        return body.park()
    signal = require_orchestrator("Stent.wait_for_signal()").wait_signal(name)
    return signal if timeout_us is None else asyncio.wait_for(signal, timeout_us / SECOND_US)


@durable_call
def now() -> datetime:
    """The time of the last event that the program has seen (aware, UTC): the same on every replay, at no cost."""
    orchestrator = running_orchestrator()
    if orchestrator is not None:
        return to_datetime(orchestrator.last_at_us)
    _begin_again()
    return to_datetime(SystemClock().now_us())


@durable_call
def random() -> Generator:
    """The run's own generator, seeded by its id: `Stent.random().randint(1, 6)`. The same numbers on every replay."""
    orchestrator = running_orchestrator()
    if orchestrator is not None:
        return orchestrator.random()
    _begin_again()
    return RandomIds().generator()


@durable_call
def uuid4() -> UUID:
    """A random UUID from the run's own generator: the same on every replay."""
    return UUID(int=random().getrandbits(128), version=4)


@durable_call
def patched(change: str) -> bool:
    """Whether this run takes the new side of a change of its code.

    True for runs that come here for the first time, and recorded; False for runs that had passed this place before the
    change. The answer stays the same for the whole run.
    """
    checked_name("change", change)
    orchestrator = running_orchestrator()
    if orchestrator is not None:
        return orchestrator.patched(change)
    _begin_again()
    return True


@durable_call
def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """End this run here, and go on in a fresh one with these arguments and an empty history.

    Who waits for the run gets the outcome of the last one of the chain.
    """
    from stent.replay.endings import ContinueAsNew

    raise ContinueAsNew(args, kwargs)


def _begin_again() -> None:
    """In a body that began as an activity: it is an orchestrator, and begins again as one at its next await."""
    body = running_activity()
    if body is not None:
        body.park()


def _durable(function: object, what: str) -> Durable[..., Any]:
    if not isinstance(function, Durable):
        name = getattr(function, "__qualname__", repr(function))
        raise ArgumentError(
            f"{what}() needs a durable function, and {name} is none", fix=f"decorate it: @Stent.durable above {name}"
        )
    return function

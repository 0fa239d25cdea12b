"""Durable functions without an executor: plain coroutines, for unit tests and scripts.

Arguments, results and errors take the same round trip as in a durable run, so that a type that would be refused or
changed there is refused or changed here too. Nothing is recorded, nothing is retried, nothing survives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from stent.codec import decode, decode_exception, encode, encode_exception
from stent.codec.payload import Payload
from stent.registry import Function
from stent.replay.endings import ContinueAsNew


def call(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Run a function here. The arguments are checked at the call, as everywhere."""
    return _run(function, function.encode_arguments(args, kwargs))


async def call_all(
    function: Function, rows: Sequence[tuple[Any, ...]], *, return_exceptions: bool, limit: int | None
) -> list[Any]:
    """Run a function once a row, at most `limit` at a time; results in the order of the rows."""
    gate = _gate(limit)
    running = [_limited(call(function, row, {}), gate) for row in rows]
    return await asyncio.gather(*running, return_exceptions=return_exceptions)


async def call_as_completed(
    function: Function, rows: Sequence[tuple[Any, ...]], *, return_exceptions: bool, limit: int | None
) -> AsyncIterator[tuple[int, Any]]:
    """Run a function once a row; pairs of index and result as they come."""
    gate = _gate(limit)
    tasks = {asyncio.ensure_future(_limited(call(function, row, {}), gate)): at for at, row in enumerate(rows)}
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception()
            if error is not None and not return_exceptions:
                raise error
            yield tasks[task], error if error is not None else task.result()


async def _run(function: Function, arguments: Payload) -> Any:
    while True:
        args, kwargs = function.decode_arguments(arguments)
        try:
            if function.is_async:
                value = await function.body(*args, **kwargs)
            else:
                value = await asyncio.to_thread(function.body, *args, **kwargs)
        except ContinueAsNew as again:
            arguments = function.encode_arguments(again.call_args, again.call_kwargs)
        except Exception as error:  # border: the user's function; what it raises is its answer
            recorded = decode_exception(encode_exception(error, function.types), function.types)
            if type(recorded) is type(error):
                raise
            raise recorded from error
        else:
            where = f"the result of {function.display_name}()"
            return decode(encode(value, function.types, where=where), function.types)


def _gate(limit: int | None) -> asyncio.Semaphore | None:
    return asyncio.Semaphore(limit) if limit is not None else None


async def _limited(coroutine: Coroutine[Any, Any, Any], gate: asyncio.Semaphore | None) -> Any:
    if gate is None:
        return await coroutine
    async with gate:
        return await coroutine

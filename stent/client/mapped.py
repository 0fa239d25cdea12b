"""`Stent.map` outside of any run: an orchestrator of our own does the mapping, so that it survives as any other."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

from stent.client.options import StartOptions
from stent.registry import Function, FunctionOptions, default_registry
from stent.replay.loop import ReplayLoop, running_replay_loop

if TYPE_CHECKING:
    from stent.client.client import Client
    from stent.replay.execution import Execution

NAME = "stent:map"


async def _map(function: str, rows: list[list[Any]], return_exceptions: bool, limit: int | None) -> list[Any]:
    """Call a durable function, known by its name, once a row."""
    loop = cast("ReplayLoop", running_replay_loop())
    execution = cast("Execution", loop.host)
    batch = execution.schedule_batch(
        default_registry.find(function),
        [tuple(row) for row in rows],
        return_exceptions=return_exceptions,
        limit=limit,
    )
    found: list[Any] = await batch
    return found


mapping = Function(NAME, _map, FunctionOptions(role="orchestrator"), default_registry.types)
default_registry.add(mapping)


def run_mapped(
    client: Client,
    function: Function,
    rows: list[tuple[Any, ...]],
    options: StartOptions,
    *,
    return_exceptions: bool,
    limit: int | None,
) -> Coroutine[Any, Any, Any]:
    """A coroutine that starts the mapping run and waits for its results."""
    for row in rows:
        function.encode_arguments(row, {})  # wrong arguments are the caller's error, here and now
    given = (function.name, [list(row) for row in rows], return_exceptions, limit)
    return client.run(mapping, mapping.encode_arguments(given, {}), options)

"""How calls and parts of batches are offered to all workers: rows of the shared table. Pure builders."""

from __future__ import annotations

from stent.history.fold import OpenBatch, OpenCall
from stent.history.records import SharedCall
from stent.registry import Function


def shared_call(run_id: str, call: OpenCall, function: Function) -> SharedCall:
    """A call as it is offered to all workers."""
    options = call.options
    return SharedCall(
        run_id,
        call.call,
        call.seq,
        call.function,
        attempt=call.attempt,
        queue=options.queue,
        priority=options.priority,
        tags=options.tags,
        limit_key=function.limit_key,
    )


def shared_items(
    run_id: str, batch: OpenBatch, function: Function, items: tuple[tuple[int, int], ...], attempt: int = 1
) -> SharedCall:
    """Items of a batch as they are offered to all workers."""
    options = batch.options
    return SharedCall(
        run_id,
        batch.call,
        batch.seq,
        batch.function,
        first_item=items[0][0],
        items=items,
        attempt=attempt,
        queue=options.queue,
        priority=options.priority,
        tags=options.tags,
        limit_key=function.limit_key,
    )

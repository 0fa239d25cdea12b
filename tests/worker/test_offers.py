"""Offers to all workers say where the work is recorded and what bounds it."""

from __future__ import annotations

from stent.history.events import CallOptions
from stent.history.fold import OpenBatch, OpenCall
from stent.worker.offers import shared_call, shared_items
from tests.worker.desk import Desk, function_of, payload

OPTIONS = CallOptions(queue="gpu", priority=3, tags=("a",))


async def body(number: int) -> int:
    return number


FUNCTION = function_of(Desk().durable(body, max_concurrent=2))


def test_a_call_is_offered_with_its_attempt_and_its_limit() -> None:
    call = OpenCall(4, 9, FUNCTION.name, payload([1]), "activity", OPTIONS, attempt=3)
    shared = shared_call("run", call, FUNCTION)
    assert ("run", 4, 9, 3, -1, (), 1) == (
        shared.run_id,
        shared.call,
        shared.seq,
        shared.attempt,
        shared.first_item,
        shared.items,
        shared.size,
    )
    assert ("gpu", 3, ("a",), FUNCTION.name) == (shared.queue, shared.priority, shared.tags, shared.limit_key)


def test_a_retry_of_an_item_does_not_take_the_name_of_a_range() -> None:
    batch = OpenBatch(4, 9, FUNCTION.name, 10, payload([]), "activity", OPTIONS)
    whole = shared_items("run", batch, FUNCTION, ((0, 10),))
    retry = shared_items("run", batch, FUNCTION, ((0, 1),), attempt=2)
    assert (10, 1) == (whole.size, retry.size)
    assert whole.named().first_item != retry.named().first_item

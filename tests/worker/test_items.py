"""The items of a batch: each is given once, within the limit, and again only when its retry is due."""

from __future__ import annotations

from hypothesis import given, strategies as st

from stent.codec import encode
from stent.history.fold import OpenBatch
from stent.registry import Function, FunctionOptions, Registry
from stent.worker.items import OUTCOMES_AT_MOST, BatchSource, ItemOutcome, Outcomes


async def body(number: int) -> int:
    return number


REGISTRY = Registry()
FUNCTION = Function("m:body", body, FunctionOptions(), REGISTRY.types)


def source(count: int, *, limit: int | None = None, items: list[int] | None = None) -> BatchSource:
    packed, _ = FUNCTION.pack_rows([(10 * number,) for number in range(count)])
    batch = OpenBatch(7, 2, "m:body", count, packed, "activity", limit=limit, settled=bytearray(count))
    return BatchSource("run", batch, FUNCTION, iter(range(count) if items is None else items), claim=3)


def take(of: BatchSource) -> list[int]:
    """All items that it gives now."""
    given = []
    while not of.is_empty() and (attempt := of.next_attempt()) is not None:
        given.append(attempt.item)
    return given


def test_an_item_comes_with_its_arguments_its_call_and_its_claim() -> None:
    attempt = source(3, items=[2]).next_attempt()
    assert attempt is not None
    assert ("run", 7, 2, 1, 3, ((20,), {})) == (
        attempt.run_id,
        attempt.call,
        attempt.item,
        attempt.attempt,
        attempt.claim,
        attempt.args,
    )


def test_items_come_in_order_and_then_no_more() -> None:
    items = source(3)
    assert [0, 1, 2] == take(items)
    assert items.is_empty()
    assert None is items.next_attempt()


def test_a_limit_bounds_what_runs_and_a_finished_item_makes_room() -> None:
    items = source(5, limit=2)
    assert [0, 1] == take(items)
    assert items.is_empty()
    assert None is items.next_attempt()
    assert items.finished(1)
    assert [2] == take(items)
    assert {0, 2} == items.running


def test_finishing_asks_to_be_pushed_again_only_if_that_opened_the_way() -> None:
    """Pushed twice, a source would give the same slot to two items of one turn."""
    items = source(5, limit=3)
    take(items)
    assert items.finished(0)
    assert not items.finished(1), "it waits in the queue since the last one"


def test_it_is_over_when_every_item_has_an_outcome() -> None:
    items = source(2)
    assert not items.is_over
    take(items)
    assert not items.is_over
    items.finished(0)
    items.finished(1)
    assert items.is_over
    assert not items.has_work


def test_a_retry_comes_before_new_items_with_its_number_of_attempt() -> None:
    items = source(4, limit=2)
    assert [0, 1] == take(items)
    items.batch.attempts[0] = (2, 99)
    items.finished(0)
    assert not items.has_begun(0)
    items.retry([0])
    assert items.has_begun(0)
    attempt = items.next_attempt()
    assert attempt is not None
    assert (0, 2) == (attempt.item, attempt.attempt)
    assert items.has_begun(0)


def test_a_retry_that_waits_or_runs_is_not_given_twice() -> None:
    items = source(1)
    take(items)
    items.batch.attempts[0] = (2, 99)
    items.finished(0)
    assert items.retry([0])
    assert not items.retry([0])
    assert [0] == take(items)
    assert not items.retry([0])
    assert [] == take(items)


def test_a_batch_with_an_item_between_two_attempts_is_not_over() -> None:
    items = source(1)
    take(items)
    items.batch.attempts[0] = (2, 99)
    items.finished(0)
    assert not items.is_over
    assert not items.has_work, "nothing to do for now: the run may be given back until the retry is due"


def test_a_stopped_source_gives_nothing_and_has_no_work() -> None:
    items = source(3)
    items.stop()
    assert items.is_empty()
    assert None is items.next_attempt()
    assert not items.has_work


@given(st.integers(1, 12), st.none() | st.integers(1, 4), st.data())
def test_whatever_the_order_each_item_is_given_once_and_the_limit_holds(
    count: int, limit: int | None, data: st.DataObject
) -> None:
    items, given, is_queued = source(count, limit=limit), [], True
    while is_queued or items.running:
        if is_queued and (not items.running or data.draw(st.booleans())):
            attempt = items.next_attempt()
            is_queued = not items.is_empty()
            if attempt is not None:
                given.append(attempt.item)
        elif items.running:
            must_push = items.finished(data.draw(st.sampled_from(sorted(items.running))))
            assert not (must_push and is_queued)
            is_queued = is_queued or must_push
        assert limit is None or len(items.running) <= limit
    assert list(range(count)) == given
    assert items.is_over


def test_outcomes_wait_in_order_and_say_when_they_are_enough() -> None:
    outcomes = Outcomes()
    result = encode(1, REGISTRY.types)
    assert not any(outcomes.add(ItemOutcome(number, result, False)) for number in range(OUTCOMES_AT_MOST - 1))
    assert outcomes.add(ItemOutcome(5000, result, True))
    taken = outcomes.take()
    assert [*range(OUTCOMES_AT_MOST - 1), 5000] == [outcome.item for outcome in taken]
    assert [] == outcomes.take()

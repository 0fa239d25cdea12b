"""The queue for slots: priority first, then first come, and a batch never stands in the way."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, strategies as st

from stent.history.events import DEFAULT_OPTIONS
from stent.history.fold import OpenBatch
from stent.registry import Function, FunctionOptions, Registry
from stent.worker.items import BatchSource
from stent.worker.slots import SINGLE, Attempt, Single, WorkQueue


async def body(number: int) -> int:
    return number


FUNCTION = Function("m:body", body, FunctionOptions(), Registry().types)


def single(run_id: str, priority: int = 0) -> Single:
    return Single(Attempt(run_id, 1, SINGLE, FUNCTION, 1, DEFAULT_OPTIONS), priority)


def batch(run_id: str, count: int, *, limit: int | None = None, priority: int = 0) -> BatchSource:
    packed, _ = FUNCTION.pack_rows([(number,) for number in range(count)])
    opened = OpenBatch(1, 2, "m:body", count, packed, "activity", limit=limit, settled=bytearray(count))
    return BatchSource(run_id, opened, FUNCTION, iter(range(count)), priority=priority)


def drain(queue: WorkQueue) -> list[str]:
    """Run ids in the order in which they get slots, as many as there are."""
    given = []
    while (attempt := queue.pop()) is not None:
        given.append(attempt.run_id)
    return given


def test_an_empty_queue_gives_nothing() -> None:
    assert None is WorkQueue().pop()


def test_first_come_first_served_within_a_priority() -> None:
    queue = WorkQueue()
    for run_id, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -1)):
        queue.push(single(run_id, priority))
    assert ["b", "d", "a", "c", "e"] == drain(queue)


def test_a_batch_gives_one_item_at_a_time_and_goes_to_the_back() -> None:
    queue = WorkQueue()
    queue.push(batch("big", 1000))
    queue.push(single("a"))
    queue.push(batch("small", 2))
    queue.push(single("b"))
    assert ["big", "a", "small", "b", "big", "small", "big"] == drain(queue)[:7]


def test_two_hundred_blocked_items_in_front_keep_nobody_waiting() -> None:
    """A batch at its limit is out of the way, however much it has left."""
    queue = WorkQueue()
    blocked = batch("blocked", 200, limit=1)
    queue.push(blocked)
    first = queue.pop()
    assert first is not None
    for number in range(200):
        queue.push(single(f"other-{number}"))
    assert [f"other-{number}" for number in range(200)] == drain(queue)
    assert blocked.finished(first.item), "it has to be pushed again"
    queue.push(blocked)
    assert ["blocked"] == drain(queue)


def test_what_was_stopped_while_it_waited_never_starts() -> None:
    queue = WorkQueue()
    stopped, items, kept = single("stopped"), batch("items", 3), single("kept")
    for source in (stopped, items, kept):
        queue.push(source)
    stopped.stop()
    items.stop()
    assert ["kept"] == drain(queue)
    assert 0 == len(queue)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), max_size=12))
def test_everything_is_given_once_and_never_a_lower_priority_first(sources: list[tuple[int, int]]) -> None:
    queue = WorkQueue()
    for number, (count, priority) in enumerate(sources):
        queue.push(batch(f"{number}", count, priority=priority))
    given = drain(queue)
    assert Counter({str(number): count for number, (count, _) in enumerate(sources)}) == Counter(given)
    priorities = [sources[int(run_id)][1] for run_id in given]
    assert sorted(priorities, reverse=True) == priorities


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_batches_of_one_priority_take_turns(counts: list[int]) -> None:
    queue = WorkQueue()
    for number, count in enumerate(counts):
        queue.push(batch(f"{number}", count))
    seen: Counter[str] = Counter()
    for run_id in drain(queue):
        seen[run_id] += 1
        unfinished = [seen[str(number)] for number, count in enumerate(counts) if seen[str(number)] < count]
        assert not unfinished or max(seen.values()) - min(unfinished) <= max(counts)
        assert not unfinished or seen[run_id] - min(unfinished) <= 1

"""From a schedule that fails to the smallest one: cut, blank and lower its numbers while it still fails.

Rules of this file:
- smaller means shorter, then with smaller numbers in front; zeros at the end are not counted, as nothing reads them;
- it is deterministic and bounded: the same schedule and the same answers give the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from stent.testing.play import BATCHED

CHEAP = 24  # numbers below are tried one by one; there are seldom more things that can happen at once


def smallest(schedule: Sequence[int], fails: Callable[[list[int]], bool], tries: int) -> list[int]:
    """The smallest schedule found with so many tries at most."""
    best = stripped(schedule)
    seen = {tuple(best)}
    has_changed = True
    while has_changed:
        has_changed = False
        for candidate in _smaller(best):
            key = tuple(candidate)
            if key in seen:
                continue
            if tries <= 0:
                return best
            seen.add(key)
            tries -= 1
            if fails(candidate):
                best, has_changed = candidate, True
                break
    return best


def stripped(schedule: Sequence[int]) -> list[int]:
    """A schedule without the zeros at its end."""
    end = len(schedule)
    while end and schedule[end - 1] == 0:
        end -= 1
    return list(schedule[:end])


def _smaller(schedule: list[int]) -> Iterator[list[int]]:
    """Smaller schedules, the boldest first."""
    count = len(schedule)
    size = count
    while size:
        for start in range(0, count - size + 1, max(1, size // 2)):
            yield stripped(schedule[:start] + schedule[start + size :])
        size //= 2
    for place, value in enumerate(schedule):
        lower = [*range(min(value, CHEAP)), value - BATCHED, value // 2, value - 1]
        for each in lower:
            if 0 <= each < value:
                yield stripped([*schedule[:place], each, *schedule[place + 1 :]])

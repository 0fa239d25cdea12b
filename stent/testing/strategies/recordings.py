"""Histories of a program of yours, as its runs record them when things happen in another order each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog  # noqa: F401 - else the first log line does it: rich, behind it, takes chance, and a strategy may not
from hypothesis import strategies as st

from stent.durable.function import Durable
from stent.history.events import Event
from stent.testing.apart import apart
from stent.testing.doubles import Doubles, record_of
from stent.testing.player import Player
from stent.testing.stage import Failure, Program, failures_of

LONGEST_SCHEDULE = 40
"""Choices of a schedule; what comes after them is the least remarkable."""
A_CHOICE = st.integers(0, 255)


def recordings(
    orchestrator: Durable[..., Any],
    *args: Any,
    failures: Sequence[Failure] | Mapping[Durable[..., Any], Sequence[Failure]] = (),
    signals: Sequence[tuple[str, Any]] = (),
    crashes: int = 1,
    arrange: Callable[[Doubles], object] | None = None,
) -> st.SearchStrategy[list[Event]]:
    """Complete histories of a program that is run now, under schedules as those of `explore`, with its options.

    `args` may be strategies: `recordings(order, st.integers(1, 9))`. The bodies of activities run, without real time.
    An example fails with an AssertionError if the program cannot end, or does not replay. Examples shrink to the
    plainest schedule: each activity finishes when it has begun.
    """
    record_of(orchestrator)
    failing = failures_of(failures)

    @st.composite
    def recorded(draw: st.DrawFn) -> list[Event]:
        drawn = [draw(each) if isinstance(each, st.SearchStrategy) else each for each in args]
        program = Program(orchestrator, tuple(drawn), tuple(signals), failing, crashes, arrange)
        schedule = draw(st.lists(A_CHOICE, max_size=LONGEST_SCHEDULE))
        return apart(lambda: _record(program, schedule))

    return recorded()


def _record(program: Program, schedule: Sequence[int]) -> list[Event]:
    player = Player(program)
    try:
        played = player.play(schedule, None)
    finally:
        player.close()
    if played.error is not None:
        raise played.error
    assert played.outcome is not None, "what was played to its end has an outcome"
    return list(next(iter(played.outcome.histories.values())))

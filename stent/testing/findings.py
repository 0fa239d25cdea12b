"""What an exploration shows: an outcome a schedule, a sum over all, and the error for the smallest that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stent.history.events import Event
from stent.result import Result
from stent.testing.doubles import Arguments, Doubles


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one schedule ended, for the invariant to judge."""

    result: Result[Any]
    """What the run returned or raised."""
    moves: Sequence[str]
    """What happened, in order."""
    histories: Mapping[str, Sequence[Event]]
    """The events of all runs, by run id; the first is the explored one."""
    doubles: Doubles

    def calls(self, function: object) -> list[Arguments]:
        """The arguments of every body of an activity that began, also of those that a crash has cut off."""
        return self.doubles.calls(function)


@dataclass(frozen=True, slots=True)
class Explored:
    """The sum of an exploration that found nothing wrong."""

    schedules: int
    """How many were played."""
    distinct: int
    """How many of them led to a history of their own."""
    crashes: int
    seconds: float
    is_complete: bool = False
    """Whether these are all there are."""

    def __str__(self) -> str:
        rate = self.schedules / self.seconds if self.seconds else 0.0
        what = "interleavings" if self.is_complete else "schedules"
        return (
            f"explored {self.schedules:,} {what} ({self.distinct:,} different histories, {self.crashes:,} crashes) "
            f"in {self.seconds:.1f} s, {rate:,.0f} a second: nothing wrong"
        )


class ScheduleError(AssertionError):
    """A schedule under which something is wrong; the smallest that was found.

    `moves` is what happens in it, `path` the file with its history, `schedule` the choices behind it.
    """

    def __init__(self, what: str, moves: Sequence[str], path: Path, schedule: Sequence[int], module: str) -> None:
        self.what = what
        self.moves = list(moves)
        self.path = path
        self.schedule = list(schedule)
        told = "".join(f"\n  {number:>3}  {move}" for number, move in enumerate(self.moves, 1))
        replay = f"stent replay --app {module} {path}"
        kept = f"Its history: {path}, for stent_history and `stent history`; `{replay}` replays it"
        super().__init__(f"{what}\nThe smallest schedule that was found:{told}\n{kept}")

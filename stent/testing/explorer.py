"""`explore`: many schedules of one program, drawn from a seed, and the smallest under which something is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stent.clock import SystemClock
from stent.durable.function import Durable
from stent.errors import OptionError
from stent.ids import Generator
from stent.inspect.portable import dumps
from stent.testing.apart import apart
from stent.testing.depth import wanted_schedules
from stent.testing.doubles import Doubles, record_of
from stent.testing.exhaustive import Redundant, next_schedule
from stent.testing.findings import Explored, Outcome, ScheduleError
from stent.testing.play import Play
from stent.testing.player import Played, Player
from stent.testing.shrinking import smallest, stripped
from stent.testing.stage import Failure, Program, failures_of

FOLDER = Path(".stent")
"""Where the histories of failing schedules go, below the current folder."""
LONGEST_SCHEDULE = 60
"""Choices in a schedule; what comes after them is the least remarkable."""
SHRINKING_TRIES = 1_000
SCHEDULES = 200
INTERLEAVINGS_AT_MOST = 100_000  # a few minutes; a program that has more of them is not small


def explore(
    orchestrator: Durable[..., Any],
    *args: Any,
    invariant: Callable[[Outcome], object] | None = None,
    arrange: Callable[[Doubles], object] | None = None,
    failures: Sequence[Failure] | Mapping[Durable[..., Any], Sequence[Failure]] = (),
    signals: Sequence[tuple[str, Any]] = (),
    crashes: int = 1,
    schedules: int | None = None,
    seed: int = 0,
    exhaustive: bool = False,
    save: Path | str | None = None,
) -> Explored:
    """Play a program under many schedules, and find the smallest under which something is wrong.

    A schedule says in which order activities finish, which of them fail with one of `failures` (for all, or by
    activity), when time passes, when the `signals` (name, value) arrive and which of them arrive twice, and where the
    worker crashes, at most `crashes` times: between two events, or before or after what a body has done is recorded.
    In all of them:

    - the recorded history must give the same calls again;
    - a program that a crash has cut off must go on from what is recorded;
    - the run must end;
    - `invariant(outcome)` must not raise. `outcome` has `.result`, `.calls(activity)`, `.moves` and `.histories`.

    With `exhaustive` all schedules are played, up to `schedules` of them, but for orders of completion that the program
    cannot tell apart, and things that happen together; all that fail are counted. For small programs only.

    `arrange` is called before each schedule, with the doubles of that schedule: the place to empty what activities have
    filled, and to replace them. The bodies of activities run, without real time. ScheduleError, an AssertionError, has
    the smallest schedule; its history is written to `save`, by default to a file in the folder .stent.
    """
    program = Program(orchestrator, args, tuple(signals), failures_of(failures), crashes, arrange)
    record_of(orchestrator)
    if schedules is None:
        schedules = INTERLEAVINGS_AT_MOST if exhaustive else wanted_schedules.get() or SCHEDULES
    if schedules < 1 or crashes < 0:
        raise OptionError(f"schedules={schedules}, crashes={crashes}", fix="from 1, and from 0")
    path = Path(save) if save is not None else FOLDER / f"{record_of(orchestrator).display_name}.json"
    search = _Search(program, invariant, path, schedules, seed, is_exhaustive=exhaustive)
    return apart(search.run)


class _Search:
    """The search for the smallest schedule that fails."""

    def __init__(
        self,
        program: Program,
        invariant: Callable[[Outcome], object] | None,
        path: Path,
        schedules: int,
        seed: int,
        *,
        is_exhaustive: bool,
    ) -> None:
        self._program = program
        self._is_exhaustive = is_exhaustive
        self._invariant = invariant
        self._path = path
        self._schedules = schedules
        self._chance = Generator(seed)
        self._player = Player(program, reduces=is_exhaustive)
        self._played = 0
        self._crashes = 0

    def run(self) -> Explored:
        clock = SystemClock()
        begun_us = clock.monotonic_us()
        try:
            is_complete = self._play_all() if self._is_exhaustive else self._play_some()
        finally:
            self._player.close()
        seconds = (clock.monotonic_us() - begun_us) / 1_000_000
        histories = len(self._player.histories)
        return Explored(self._played, histories, self._crashes, seconds, is_complete=is_complete)

    def _play_some(self) -> bool:
        """So many schedules, drawn from the seed."""
        for number in range(self._schedules):
            played = self._player.play(self._drawn(number), self._invariant)
            self._count(played.play)
            if played.error is not None:
                smaller = self._smallest(played)
                raise self._told(smaller) from smaller.error
        return False

    def _play_all(self) -> bool:
        """All schedules that differ for the program; whether that was all, and not only as many as it may be."""
        schedule: list[int] | None = []
        wrong: Counter[str] = Counter()
        first: Played | None = None
        while schedule is not None and self._played < self._schedules:
            played = self._player.play(schedule, self._invariant)
            schedule = next_schedule(schedule, played.play.widths)
            if isinstance(played.error, Redundant):
                continue
            self._count(played.play)
            if played.error is not None:
                wrong[str(played.error).partition("\n")[0] or repr(played.error)] += 1
                if first is None or len(played.play.moves) < len(first.play.moves):
                    first = played
        if first is not None:
            counted = ", ".join(f"{count:,} x {what}" for what, count in wrong.most_common())
            smaller = self._smallest(first)
            raise self._told(smaller, f"explored {self._played:,} interleavings: {counted}\n") from smaller.error
        return schedule is None

    def _count(self, play: Play) -> None:
        self._played += 1
        self._crashes += play.stage.crash_count

    def _drawn(self, number: int) -> list[int]:
        """A schedule: the plainest one first, then any."""
        return list(self._chance.randbytes(LONGEST_SCHEDULE)) if number else []

    def _smallest(self, failed: Played) -> Played:
        """The smallest schedule under which the same kind of thing is wrong."""
        best = failed

        def fails(schedule: list[int]) -> bool:
            nonlocal best
            played = self._player.play(schedule, self._invariant)
            if type(played.error) is not type(failed.error):
                return False
            best = played
            return True

        smallest(failed.schedule, fails, SHRINKING_TRIES)
        return best

    def _told(self, failed: Played, counted: str = "") -> ScheduleError:
        what = counted + (str(failed.error) or repr(failed.error))
        history = next(iter(failed.play.stage.histories().values()))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(dumps(history), encoding="utf-8")
        module = self._program.function.__stent_function__.name.partition(":")[0]
        return ScheduleError(what, failed.play.moves, self._path, stripped(failed.schedule), module)

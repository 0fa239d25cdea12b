"""`explore`: many schedules of one program, chosen and made small by Hypothesis."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

from stent.clock import SystemClock
from stent.durable.function import Durable
from stent.errors import NotConfiguredError, OptionError
from stent.inspect.portable import dumps
from stent.registry import Function
from stent.testing.doubles import Doubles, record_of
from stent.testing.findings import Explored, Outcome, ScheduleError
from stent.testing.loop import VirtualLoop
from stent.testing.play import Failure, Play, Program

FOLDER = Path(".stent")
"""Where the histories of failing schedules go, below the current folder."""
SHORTEST_SCHEDULE, LONGEST_SCHEDULE = 12, 60
"""Choices in a schedule; what comes after them is the least remarkable."""


def explore(
    orchestrator: Durable[..., Any],
    *args: Any,
    invariant: Callable[[Outcome], object] | None = None,
    arrange: Callable[[Doubles], object] | None = None,
    failures: Sequence[Failure] | Mapping[Durable[..., Any], Sequence[Failure]] = (),
    signals: Sequence[tuple[str, Any]] = (),
    crashes: int = 1,
    schedules: int = 200,
    seed: int = 0,
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

    `arrange` is called before each schedule, with the doubles of that schedule: the place to empty what activities have
    filled, and to replace them. The bodies of activities run, without real time. ScheduleError, an AssertionError, has
    the smallest schedule; its history is written to `save`, by default to a file in the folder .stent.
    """
    program = Program(orchestrator, args, tuple(signals), _failures(failures), crashes, arrange)
    record_of(orchestrator)
    if schedules < 1 or crashes < 0:
        raise OptionError(f"schedules={schedules}, crashes={crashes}", fix="from 1, and from 0")
    path = Path(save) if save is not None else FOLDER / f"{record_of(orchestrator).display_name}.json"
    search = _Search(program, invariant, path, schedules, seed)
    if asyncio._get_running_loop() is None:
        return search.run()
    return _in_a_thread(search.run)  # an event loop runs here already: it is the test's, and waits for this one


def _failures(
    given: Sequence[Failure] | Mapping[Durable[..., Any], Sequence[Failure]],
) -> tuple[tuple[str | None, Failure], ...]:
    if isinstance(given, Mapping):
        return tuple((record_of(function).name, error) for function, errors in given.items() for error in errors)
    return tuple((None, error) for error in given)


class _Search:
    """The search for the smallest schedule that fails."""

    def __init__(
        self,
        program: Program,
        invariant: Callable[[Outcome], object] | None,
        path: Path,
        schedules: int,
        seed: int,
    ) -> None:
        self._program = program
        self._invariant = invariant
        self._path = path
        self._schedules = schedules
        self._seed = seed
        self._loop = VirtualLoop()
        self._checked: WeakSet[Function] = WeakSet()
        self._played = 0
        self._crashes = 0
        self._shapes: set[tuple[object, ...]] = set()
        self._found: tuple[BaseException, Play, list[int]] | None = None

    def run(self) -> Explored:
        clock = SystemClock()
        begun_us = clock.monotonic_us()
        try:
            self._search()
        except BaseException as error:  # border: of the user's invariant, or of ours; told with the schedule
            if self._found is None or self._found[0] is not error:
                raise
        finally:
            self._loop.close()
        if self._found is not None:
            raise self._failure(*self._found) from self._found[0]
        seconds = (clock.monotonic_us() - begun_us) / 1_000_000
        return Explored(self._played, len(self._shapes), self._crashes, seconds)

    def _search(self) -> None:
        try:
            from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings, strategies
        except ImportError:
            raise NotConfiguredError(
                "explore needs Hypothesis, which is not installed", fix="pip install 'stent-replay[test]'"
            ) from None

        choices = strategies.binary(min_size=SHORTEST_SCHEDULE, max_size=LONGEST_SCHEDULE)  # one draw, not dozens

        @seed(self._seed)
        @settings(
            max_examples=self._schedules,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            verbosity=Verbosity.quiet,
        )
        @given(choices)
        def play(schedule: bytes) -> None:
            self.play(list(schedule))

        play()

    def play(self, schedule: list[int]) -> None:
        """One schedule; what it raises is what is wrong."""
        play = Play(self._loop, self._program, schedule, self._checked)
        try:
            outcome = play.run()
            if self._invariant is not None:
                self._invariant(outcome)
        except Exception as error:  # border: the user's invariant; kept to be told with the schedule
            self._found = (error, play, schedule)
            raise
        finally:
            self._played += 1
            self._crashes += play.crash_count
        self._shapes.add(_shape(outcome))

    def _failure(self, error: BaseException, play: Play, schedule: list[int]) -> ScheduleError:
        what = str(error) or repr(error)
        histories = list(play.histories().values())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(dumps(histories[0]), encoding="utf-8")
        while schedule and schedule[-1] == 0:
            schedule = schedule[:-1]
        return ScheduleError(what, play.moves, self._path, schedule)


def _shape(outcome: Outcome) -> tuple[object, ...]:
    """What makes one history different from another: the order of its events."""
    return tuple(
        (event.type, getattr(event, "call", None)) for history in outcome.histories.values() for event in history
    )


def _in_a_thread(work: Callable[[], Explored]) -> Explored:
    """Do something in a thread of its own, while this one waits; what it raises is raised here."""
    answers: list[Explored] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            answers.append(context.run(work))
        except BaseException as error:  # border: raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="stent-explore")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]

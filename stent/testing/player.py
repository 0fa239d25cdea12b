"""Plays schedules of one program: on the program alone while that will do, on the whole engine where it will not.

Rules of this file:
- a schedule that needs the engine is played again there from its beginning, and so are all after it;
- what is wrong is an answer, not an exception: the search decides what to do with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stent.testing.bare import BareProgram
from stent.testing.exhaustive import ReducedPlay, Redundant
from stent.testing.findings import Outcome
from stent.testing.loop import VirtualLoop
from stent.testing.play import Play
from stent.testing.stage import NeedsEngine, Program, Stage
from stent.testing.whole import WholeEngine


@dataclass(frozen=True, slots=True)
class Played:
    """One schedule, played: its outcome, or what is wrong."""

    schedule: Sequence[int]
    play: Play
    outcome: Outcome | None
    error: Exception | None


class Player:
    """The stages of one exploration."""

    def __init__(self, program: Program, *, needs_engine: bool = False, reduces: bool = False) -> None:
        self.needs_engine = needs_engine
        self._reduces = reduces
        self._play_of = ReducedPlay if reduces else Play
        self.histories: set[object] = set()
        """Keys of the different histories so far; each of them replays."""
        self._program = program
        self._loop = VirtualLoop()

    def play(self, schedule: Sequence[int], invariant: Callable[[Outcome], object] | None) -> Played:
        """Play one schedule to its end."""
        if not self.needs_engine:
            try:
                return self._play(
                    BareProgram(self._loop, self._program, notes_quiet=self._reduces), schedule, invariant
                )
            except NeedsEngine:
                self.needs_engine = True
        return self._play(WholeEngine(self._loop, self._program), schedule, invariant)

    def close(self) -> None:
        self._loop.close()

    def _play(self, stage: Stage, schedule: Sequence[int], invariant: Callable[[Outcome], object] | None) -> Played:
        play = self._play_of(stage, self._program, schedule, self.histories)
        outcome = None
        try:
            outcome = play.run()
            if invariant is not None:
                invariant(outcome)
        except NeedsEngine:
            raise
        except Redundant as redundant:
            return Played(schedule, play, None, redundant)
        except Exception as error:  # border: the user's invariant, or what is wrong with the program
            return Played(schedule, play, outcome, error)
        finally:
            stage.close()
        return Played(schedule, play, outcome, None)

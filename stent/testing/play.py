"""One schedule of one program: who finishes when, what fails, when time passes, where the worker crashes.

Rules of this file:
- a body is held when it would begin; the schedule says when it runs, and its outcome is there at once;
- a number of the schedule picks one of the things that can happen now; 0 is always the least remarkable, and what
  the schedule does not say is 0, so that the smallest schedule is the one with the fewest remarkable things in it;
- the same schedule is the same history, event for event.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

from stent.duration import format_duration
from stent.errors import DivergenceError
from stent.history.events import PAYLOAD_FIELDS, Event
from stent.inspect.verdict import judge
from stent.registry import default_registry
from stent.testing.findings import Outcome
from stent.testing.stage import Failure, Held, Program, Stage, WrongError

BATCHED = 128  # a number from here on: the next thing happens before the engine has seen this one
MOVES_AT_MOST = 2_000


class Play:
    """One program under one schedule."""

    def __init__(self, stage: Stage, program: Program, schedule: Sequence[int], known: set[object]) -> None:
        self.moves: list[str] = []
        self.widths: list[int] = []
        """How many things could happen at each move."""
        self.finished: list[tuple[int, bool] | None] = []
        """For each move that lets a body finish: its order among those held, and whether the program saw nothing."""
        self.stage = stage
        self._known = known
        self._program = program
        self._choices: Iterator[int] = iter(schedule)
        self._sent = 0
        self._again = 0

    def run(self) -> Outcome:
        """Play to the end; WrongError where the run cannot end, or does not replay."""
        program, stage = self._program, self.stage
        if program.arrange is not None:
            program.arrange(stage.doubles)
        stage.begin()
        while not stage.has_ended():
            self.move()
        self._finish_the_rest()
        histories = stage.histories()
        self._check_replay(histories.values())
        return Outcome(stage.result(), self.moves, histories, stage.doubles)

    def move(self) -> None:
        """Let the next thing happen."""
        stage, signals = self.stage, self._program.signals
        due_us = stage.next_time_us()
        if not (stage.held or due_us is not None or self._sent < len(signals)):
            # a crash, or a signal that comes again, would change nothing
            raise WrongError(f"nothing can happen any more, and the run has not ended.\n{stage.why()}")
        if len(self.moves) >= MOVES_AT_MOST:
            raise WrongError(f"the run has not ended after {MOVES_AT_MOST:,} moves")
        choice = next(self._choices, 0)
        failing = self._failing()
        may_crash = stage.crash_count < self._program.crashes
        count = len(stage.held)
        kinds = (count, due_us is not None, self._sent < len(signals), self._again < self._sent, len(failing))
        width = sum(kinds) + (1 + 2 * count if may_crash else 0)
        self.widths.append(width)
        place, is_batched = choice % BATCHED % width, choice >= BATCHED
        finishing = stage.held[place] if place < count else None
        self._act(place, kinds, due_us, failing)
        if finishing is None or not is_batched:
            stage.settle()
        is_unseen = stage.was_quiet and not is_batched
        self.finished.append((finishing.order, is_unseen) if finishing is not None else None)

    def _act(
        self, place: int, kinds: tuple[int, ...], due_us: int | None, failing: Sequence[tuple[Held, Failure]]
    ) -> None:
        """Post what the schedule picks. The least remarkable things come first."""
        stage, moves = self.stage, self.moves
        finishing, passing, sending, sending_again, failing_count = kinds
        if place < finishing:
            held = stage.held[place]
            moves.append(f"{held.told} finishes")
            stage.post(functools.partial(stage.release, held))
            return
        place -= finishing
        if due_us is not None and place < passing:
            moves.append(f"time passes by {format_duration(due_us - stage.now_us())}")
            stage.post(functools.partial(stage.pass_time, due_us))
            return
        place -= passing
        if place < sending:
            self._sent += 1
            self._signal(self._sent, "arrives")
            return
        place -= sending
        if place < sending_again:
            self._again += 1
            self._signal(self._again, "arrives again")
            return
        place -= sending_again
        if place < failing_count:
            held, error = failing[place]
            moves.append(f"{held.told} fails with {error!r}")
            held.error = error
            stage.post(functools.partial(stage.release, held))
            return
        self._crash(place - failing_count)

    def _crash(self, place: int) -> None:
        stage = self.stage
        if place == 0:
            self.moves.append("the worker crashes")
            stage.post(stage.crash)
            return
        held, is_after = stage.held[(place - 1) // 2], (place - 1) % 2 == 1
        side = "after" if is_after else "before"
        self.moves.append(f"{held.told} finishes, and the worker crashes {side} recording it")
        stage.post(functools.partial(stage.release_and_crash, held, is_after))

    def _failing(self) -> list[tuple[Held, Failure]]:
        failures = self._program.failures
        if not failures:
            return []
        return [(held, error) for held in self.stage.held for name, error in failures if name in (None, held.name)]

    def _signal(self, number: int, told: str) -> None:
        name, value = self._program.signals[number - 1]
        self.moves.append(f"signal {name} {told}")
        self.stage.post(functools.partial(self.stage.signal, name, value, str(number)))

    def _check_replay(self, histories: Iterable[Sequence[Event]]) -> None:
        """Every program makes the same calls again when it gets the same history.

        A history that was replayed in an earlier schedule need not be: the program has just made the same calls again.
        """
        for history in histories:
            key = _key(history)
            if key in self._known:
                continue
            error = judge(history, default_registry).error
            if isinstance(error, DivergenceError):
                report = error.message.partition("\nNothing was written")[0]
                raise WrongError(f"the same history does not give the same calls again.\n{report}")
            self._known.add(key)

    def _finish_the_rest(self) -> None:
        """Let everything that still runs end."""
        stage = self.stage
        for _ in range(MOVES_AT_MOST):
            stage.settle()
            if not stage.held:
                break
            stage.post(functools.partial(stage.release, stage.held[0]))


def _key(history: Sequence[Event]) -> object:
    """What is the same of two histories only if all that a program sees and does in them is the same."""
    return hash(tuple([(type(event), event.at_us, _called(event), _carried(event)) for event in history]))


def _called(event: Event) -> object:
    return getattr(event, "call", None)


def _carried(event: Event) -> object:
    """The user data in an event."""
    name = PAYLOAD_FIELDS.get(type(event))
    return getattr(event, name) if name is not None else None


__all__ = ["Play"]

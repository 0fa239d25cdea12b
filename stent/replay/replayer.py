"""Going through a recorded history with the code that is here now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stent.errors import DivergenceError
from stent.history.events import BOOKKEEPING, Event, RoleCorrected, RunStarted, Turn, turns_of
from stent.registry import Function
from stent.replay.commands import Command
from stent.replay.divergence import describe_mismatch
from stent.replay.execution import Execution


@dataclass(slots=True)
class Replayed:
    """A program that has caught up with its history, and what it wants beyond it."""

    execution: Execution
    commands: list[Command]


def is_orchestrator(history: Sequence[Event]) -> bool:
    """Whether the run is replayed at all: its recorded role, with the corrections."""
    role = "activity"
    for event in history:
        if isinstance(event, RunStarted | RoleCorrected):
            role = event.role
    return role == "orchestrator"


def replay(function: Function, history: Sequence[Event], now_us: int = 0) -> Replayed:
    """Re-execute an orchestrator against its history; DivergenceError where the code does not fit.

    The history may end anywhere between two turns. Where the program is not over, it is ready for the next event.
    `now_us` is the time of its first turn, if that is not in the history yet.
    """
    execution = Execution(function, is_strict_role=len(history) > 1)
    turns = current_turns(history)
    last = None if is_closed(history) else len(turns)
    commands: list[Command] = []

    def go(start: int, stop: int) -> None:
        nonlocal commands
        for number, turn in enumerate(turns[start:stop], start + 1):
            commands = execution.apply(turn.delivery, turn.decisions, is_open=number == last, now_us=now_us)
            if execution.mismatch is not None:
                raise describe_mismatch(function, history, turn, execution.mismatch)

    try:
        go(0, 1)
        execution.activate(lambda: go(1, len(turns)))
    except DivergenceError:
        execution.close()
        raise
    return Replayed(execution, commands)


def current_turns(history: Sequence[Event]) -> list[Turn]:
    """The turns that the program took part in: from its last change of role to its end."""
    turns = turns_of(list(history))
    for place, turn in enumerate(turns):
        if any(event.is_terminal for event in turn.decisions):
            return turns[: place + 1]
    return turns


def is_closed(history: Sequence[Event]) -> bool:
    """Whether nothing may follow the recorded commands: the run has ended."""
    return any(event.is_terminal for event in history)


def fits(function: Function, history: Sequence[Event]) -> DivergenceError | None:
    """Whether the code fits a history: None if it does, the error if not. The program is dropped again."""
    try:
        replayed = replay(function, history)
    except DivergenceError as error:
        return error
    replayed.execution.close()
    return None


__all__ = ["BOOKKEEPING", "Replayed", "current_turns", "fits", "is_closed", "is_orchestrator", "replay"]

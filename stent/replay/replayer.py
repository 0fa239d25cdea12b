"""Going through a recorded history with the code that is here now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from stent.errors import DivergenceError
from stent.history.events import TERMINALS, Event, RoleCorrected, RunStarted, Turn, turns_of
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
    open_at = None if is_closed(history) else _last_delivery(history)
    turns = turns_of(history)
    commands: list[Command] = []

    def go(some: Iterable[Turn]) -> None:
        nonlocal commands
        for turn in some:
            delivery, decisions = turn
            commands = execution.apply(delivery, decisions, is_open=delivery is open_at, now_us=now_us)
            if execution.mismatch is not None:
                raise describe_mismatch(function, history, turn, execution.mismatch)

    try:
        go(islice(turns, 1))  # makes the loop that is active for all the others
        execution.activate(lambda: go(turns))
    except DivergenceError:
        execution.close()
        raise
    return Replayed(execution, commands)


def is_closed(history: Iterable[Event]) -> bool:
    """Whether nothing may follow the recorded commands: the run has ended."""
    return not TERMINALS.isdisjoint(map(type, history))


def _last_delivery(history: Sequence[Event]) -> Event | None:
    """What began the last turn of a history."""
    return next((event for event in reversed(history) if event.is_delivery), None)


def fits(function: Function, history: Sequence[Event]) -> DivergenceError | None:
    """Whether the code fits a history: None if it does, the error if not. The program is dropped again."""
    try:
        replayed = replay(function, history)
    except DivergenceError as error:
        return error
    replayed.execution.close()
    return None

"""What is done after a turn's events are durable. Data only; `runs` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from stent.history.events import Event, RunStarted
from stent.history.fold import OpenBatch, OpenCall
from stent.history.records import Message, NewRun


@dataclass(frozen=True, slots=True)
class StartCall:
    """Carry out a call here."""

    call: OpenCall


@dataclass(frozen=True, slots=True)
class StartItems:
    """Carry out the items of a batch here."""

    batch: OpenBatch


@dataclass(frozen=True, slots=True)
class StopBodies:
    """Stop whatever runs here for a call."""

    call: int


@dataclass(frozen=True, slots=True)
class Arm:
    """Wake the run at a time: for a timer, a retry, its deadline."""

    due_us: int


@dataclass(frozen=True, slots=True)
class Adopt:
    """A child was started and is held here."""

    run: NewRun
    started: RunStarted


@dataclass(frozen=True, slots=True)
class Tell:
    """A message was put into another run's inbox: if that run is held here, it may have it at once."""

    message: Message


@dataclass(frozen=True, slots=True)
class Ended:
    """The run has an outcome."""

    event: Event


Effect: TypeAlias = StartCall | StartItems | StopBodies | Arm | Adopt | Tell | Ended

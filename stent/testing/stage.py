"""Where a schedule is played: what a `Play` asks of the engine, or of the program alone.

Rules of this file:
- what a schedule lets happen is posted, and takes effect at the next `settle`, so that things can happen together;
- both stages give the same moves and the same history for the same schedule; the tests hold them against one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from stent.clock import SECOND_US
from stent.durable.function import Durable
from stent.history.events import Event
from stent.registry import display_name
from stent.result import Result
from stent.testing.doubles import Doubles, record_of
from stent.worker.slots import Attempt

START_US = 1_767_225_600 * SECOND_US  # 2026-01-01 UTC
Failure: TypeAlias = BaseException | type[BaseException]


class WrongError(AssertionError):
    """Something is wrong under this schedule."""


class NeedsEngine(Exception):
    """The program does something that only the whole engine can play."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is explored, and what may happen to it."""

    function: Durable[..., Any]
    args: tuple[Any, ...]
    signals: tuple[tuple[str, Any], ...] = ()
    failures: tuple[tuple[str | None, Failure], ...] = ()
    """What the activity of a name (any of them, without one) may raise."""
    crashes: int = 1
    arrange: Callable[[Doubles], object] | None = None


def failures_of(
    given: Sequence[Failure] | Mapping[Durable[..., Any], Sequence[Failure]],
) -> tuple[tuple[str | None, Failure], ...]:
    """What may be raised, each with the name of the activity that may raise it, if it is not for all."""
    if isinstance(given, Mapping):
        return tuple((record_of(function).name, error) for function, errors in given.items() for error in errors)
    return tuple((None, error) for error in given)


@dataclass(slots=True, eq=False)
class Held:
    """A body that would run if the schedule let it."""

    name: str
    attempt: Attempt | None
    """Of which call it is, if of any."""
    open: Callable[[], object]
    error: Failure | None = None
    order: int = 0
    """Its place among those that are held at the same time, for a reduction of orders."""

    @property
    def told(self) -> str:
        """The body as a call of its run."""
        return call_text(self.attempt) if self.attempt is not None else display_name(self.name)


class Stage(Protocol):
    """Where one schedule is played."""

    doubles: Doubles
    held: list[Held]
    crash_count: int
    was_quiet: bool
    """Whether what was settled last woke nothing in the program, so that it cannot tell its place in the order."""

    def begin(self) -> None:
        """Start the run."""
        ...

    def post(self, act: Callable[[], object]) -> None:
        """Let something happen, together with what else is posted before the next `settle`."""
        ...

    def settle(self) -> None:
        """Let what was posted happen; WrongError if the program does not fit its history."""
        ...

    def release(self, held: Held) -> None:
        """Let a body run."""
        ...

    def release_and_crash(self, held: Held, is_after: bool) -> None:
        """Let a body run, and crash before or after what it has done is recorded."""
        ...

    def crash(self) -> None:
        """Forget everything that is not recorded, and go on from what is."""
        ...

    def next_time_us(self) -> int | None:
        """When something is due by itself."""
        ...

    def now_us(self) -> int: ...

    def pass_time(self, until_us: int) -> None: ...

    def signal(self, name: str, value: Any, key: str) -> None:
        """Let a signal arrive."""
        ...

    def has_ended(self) -> bool:
        """Whether the run, or the one that goes on in its place, has an outcome."""
        ...

    def histories(self) -> dict[str, list[Event]]:
        """The events of all runs by run id, the explored one first."""
        ...

    def result(self) -> Result[Any]:
        """The outcome of the run."""
        ...

    def why(self) -> str:
        """What the run waits for."""
        ...

    def close(self) -> None:
        """Forget everything."""
        ...


def call_text(attempt: Attempt) -> str:
    """A body as a call of its run: `charge (call 3)`."""
    item = f", item {attempt.item}" if attempt.item >= 0 else ""
    again = f", attempt {attempt.attempt}" if attempt.attempt > 1 else ""
    return f"{display_name(attempt.function.name)} (call {attempt.call}{item}{again})"


__all__ = ["START_US", "Failure", "Held", "NeedsEngine", "Program", "Stage", "WrongError", "failures_of"]

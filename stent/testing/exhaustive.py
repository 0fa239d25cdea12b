"""All schedules of a small program, one after the other, without those that the program cannot tell apart.

Rules of this file:
- the next schedule is the last one with its last choice that has a further possibility moved on by one;
- two bodies that finish one after the other, neither of which woke anything in the program, are one order, not two: it
  is played with the smaller call first. That is a partial-order reduction; it takes for granted that bodies which are
  under way together do not depend on which of them ran first;
- things that happen together (`play.BATCHED`) are not among the choices: a search at random has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from stent.testing.play import Play


class Redundant(Exception):
    """The schedule differs from an earlier one only in an order that nobody can see."""


class ReducedPlay(Play):
    """A play that ends where it turns out to be redundant."""

    def move(self) -> None:
        super().move()
        if len(self.finished) < 2:
            return
        earlier, later = self.finished[-2:]
        if earlier is not None and later is not None and earlier[1] and later[1] and later[0] < earlier[0]:
            raise Redundant


def next_schedule(schedule: Sequence[int], widths: Sequence[int]) -> list[int] | None:
    """The schedule after this one, which had so many possibilities at each move; None after the last."""
    chosen = [*schedule, *[0] * len(widths)][: len(widths)]
    for place in reversed(range(len(widths))):
        if chosen[place] + 1 < widths[place]:
            return [*chosen[:place], chosen[place] + 1]
    return None


__all__ = ["ReducedPlay", "Redundant", "next_schedule"]

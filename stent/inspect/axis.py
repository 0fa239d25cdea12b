"""A time axis on which idle time does not squash the rest.

A run may work for a second, sleep for a month and work for another second. Drawn to scale the work is invisible. So
the axis gives time that is worked through its full length, and a gap between two pieces of work at most
GAP_SHARE of all of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

GAP_SHARE = 0.08  # of the worked time; a gap stays visible as one and takes a few columns at most

Span = tuple[int, int]
"""From and to, in microseconds."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Times and their places on a line from 0.0 to 1.0; straight in between."""

    times_us: tuple[int, ...]
    places: tuple[float, ...]
    gaps: tuple[Span, ...] = ()

    def place(self, at_us: int) -> float:
        """Where a time lies; times off the axis lie at its ends."""
        index = bisect_right(self.times_us, at_us)
        if index == 0:
            return self.places[0]
        if index == len(self.times_us):
            return self.places[-1]
        start_us, stop_us = self.times_us[index - 1], self.times_us[index]
        start, stop = self.places[index - 1], self.places[index]
        return start + (stop - start) * (at_us - start_us) / (stop_us - start_us)

    def columns(self, span: Span, width: int) -> tuple[int, int]:
        """(first column, count of columns) of a span on a line of `width` columns; never empty."""
        first = min(width - 1, int(self.place(span[0]) * width))
        last = max(first + 1, round(self.place(span[1]) * width))
        return first, min(last, width) - first


def axis_of(whole: Span, worked: Iterable[Span]) -> Axis:
    """The axis for a time from which `worked` are the pieces that shall keep their length."""
    start_us, stop_us = whole
    if stop_us <= start_us:
        return Axis((start_us,), (0.0,))
    busy = merged(clip(span, whole) for span in worked)
    busy_us = sum(stop - start for start, stop in busy)
    gaps = _gaps(busy, whole)
    longest_us = busy_us * GAP_SHARE if busy_us else stop_us - start_us
    lengths: list[float] = []
    times = sorted({start_us, stop_us, *(edge for span in busy for edge in span)})
    shortened = []
    for start, stop in pairwise(times):
        length = float(stop - start)
        if (start, stop) in gaps and length > longest_us:
            length = longest_us
            shortened.append((start, stop))
        lengths.append(length)
    total = sum(lengths) or 1.0
    places = [0.0]
    for length in lengths:
        places.append(places[-1] + length / total)
    places[-1] = 1.0
    return Axis(tuple(times), tuple(places), tuple(shortened))


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap or touch, as one; ascending, without empty ones."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if stop <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def clip(span: Span, whole: Span) -> Span:
    """The part of a span within another."""
    return max(span[0], whole[0]), min(span[1], whole[1])


def _gaps(busy: list[Span], whole: Span) -> set[Span]:
    edges = [whole[0], *(edge for span in busy for edge in span), whole[1]]
    return {(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop > start}

"""Which part of what is open a claim takes: slots, limits, and ranges of a batch. No SQL here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from stent.history.events import split_ranges
from stent.history.records import SharedCall


class OpenPart(NamedTuple):
    """A shared call that nobody carries out; `places` is how many bodies its limit leaves, None without a limit."""

    call: SharedCall
    places: int | None


def allotted(parts: Sequence[OpenPart], slots: int) -> list[tuple[SharedCall, int]]:
    """How many bodies of each part to take, best first: within the slots, and within what each limit leaves."""
    taken: list[tuple[SharedCall, int]] = []
    left: dict[str | None, int] = {}
    for call, places in parts:
        size = min(call.size, slots)
        if places is not None:
            free = left.setdefault(call.limit_key, places)
            size = min(size, free)
            left[call.limit_key] = free - size
        if size > 0:
            slots -= size
            taken.append((call, size))
    return taken


def split(call: SharedCall, size: int) -> tuple[SharedCall, SharedCall | None]:
    """The first `size` bodies of a call, under its name, and the rest under a name of its own."""
    if size == call.size:
        return call, None
    mine, others = split_ranges(call.items, size)
    return replace(call, items=mine), replace(call, items=others, first_item=others[0][0]).named()

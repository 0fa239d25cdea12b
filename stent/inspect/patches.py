"""Which patches (`Stent.patched("id")`) have live runs, and what of them may be taken out of the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from stent.history.events import Event, PatchRecorded
from stent.history.records import RunRow

Verdict: TypeAlias = Literal["both sides", "old side is dead", "old side only", "dead"]

ADVICE: dict[Verdict, str] = {
    "both sides": "keep it: runs are on both sides",
    "old side is dead": "take out the old side, keep the call of patched()",
    "old side only": "keep the old side: runs may be on it, and none has recorded the new one",
    "dead": "take it out: no live run has been, or may be, on either side",
}


@dataclass(slots=True)
class PatchUse:
    """One patch, and the runs that have to do with it."""

    change: str
    functions: set[str] = field(default_factory=set)
    live: list[str] = field(default_factory=list)
    """Runs in flight that have recorded it: they take the new side on every replay."""
    others: list[str] = field(default_factory=list)
    """Runs in flight of the same functions that have not: they took the old side, or have not come there yet."""
    ended_count: int = 0

    @property
    def verdict(self) -> Verdict:
        if self.live:
            return "both sides" if self.others else "old side is dead"
        return "old side only" if self.others else "dead"

    def facts(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "change": self.change,
            "functions": sorted(self.functions),
            "verdict": self.verdict,
            "advice": ADVICE[self.verdict],
            "live": self.live,
            "others": self.others,
            "ended": self.ended_count,
        }


def patches_in(runs: Iterable[tuple[RunRow, Sequence[Event]]]) -> list[PatchUse]:
    """All patches that these runs have recorded, by name."""
    found: dict[str, PatchUse] = {}
    live: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for row, history in runs:
        changes = frozenset(event.change for event in history if isinstance(event, PatchRecorded))
        if not row.is_ended:
            live.setdefault(row.function, []).append((row.run_id, changes))
        for change in changes:
            use = found.setdefault(change, PatchUse(change))
            use.functions.add(row.function)
            if row.is_ended:
                use.ended_count += 1
    for use in found.values():
        for function in sorted(use.functions):
            for run_id, changes in live.get(function, ()):
                (use.live if use.change in changes else use.others).append(run_id)
    return [found[change] for change in sorted(found)]

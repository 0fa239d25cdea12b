"""Which of many histories are replayed: the first of each shape, and of the others a sample.

Rules of this file:
- whether a history is in the sample depends on the id of its run alone: the same ones on every machine and in every
  order, and none that a pattern in the order of the runs could keep out;
- a history without a shape is replayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stent.ids import stable_number
from stent.inspect.verdict import Finding, Verdict, told

ONE_IN = 20
"""Of 10,000 equal histories 500 are replayed: code that does not fit one in a hundred is then missed 1 time in 170."""
FAULTS: tuple[Finding, ...] = ("diverged", "unreadable")
REPLAYED: tuple[Finding, ...] = ("fits", *FAULTS)
NOT_REPLAYED: tuple[Finding, ...] = ("unknown", "activity")
WORST_FIRST: tuple[Finding, ...] = (*FAULTS, *NOT_REPLAYED, "fits")


@dataclass(frozen=True, slots=True)
class Choice:
    """The runs to be replayed, in the order given, with their shapes; and how many others there are of each shape."""

    shapes: dict[str, bytes | None]
    others: Counter[bytes]


def choose(shapes: Iterable[tuple[str, bytes | None]]) -> Choice:
    """The first of each shape and one in ONE_IN of the others, of pairs of run id and shape."""
    chosen: dict[str, bytes | None] = {}
    others: Counter[bytes] = Counter()
    seen: set[bytes] = set()
    for run_id, shape in shapes:
        if shape is None or shape not in seen or stable_number(run_id, 32) % ONE_IN == 0:
            chosen[run_id] = shape
        else:
            others[shape] += 1
        if shape is not None:
            seen.add(shape)
    return Choice(chosen, others)


@dataclass(frozen=True, slots=True)
class Survey:
    """What became of many histories: a verdict on each that was judged, and how many others are of the same shapes."""

    verdicts: tuple[Verdict, ...]
    passed_over: Counter[Finding] = field(default_factory=Counter)
    """The others, by the worst that was found of their shape."""
    sampled: int = 0
    """How many were replayed although the first of their shape was."""

    def facts(self) -> dict[str, Any]:
        """The counts, and the verdict on every history that was replayed and does not fit, as plain data."""
        found = Counter(verdict.finding for verdict in self.verdicts)
        return {
            "histories": found.total() + self.passed_over.total(),
            "replayed": sum(found[finding] for finding in REPLAYED),
            "sampled": self.sampled,
            "passed_over": self.passed_over["fits"],
            "suspect": self.suspects,
            "skipped": found["unknown"] + self.passed_over["unknown"],
            "activities": found["activity"] + self.passed_over["activity"],
            "diverged": found["diverged"],
            "unreadable": found["unreadable"],
            "unknown_functions": sorted({each.function for each in self.verdicts if each.finding == "unknown"}),
            "verdicts": [each.facts() for each in self.verdicts if each.finding in FAULTS],
        }

    @property
    def suspects(self) -> int:
        """Histories that were not replayed, of shapes of which one that was does not fit."""
        return sum(self.passed_over[finding] for finding in FAULTS)

    def summary(self) -> str:
        """All of it in one line."""
        counts = Counter(verdict.finding for verdict in self.verdicts)
        for finding in NOT_REPLAYED:
            counts[finding] += self.passed_over[finding]
        more = [
            (self.passed_over["fits"], "of the same shapes (not replayed)"),
            (self.suspects, "suspect (not replayed)"),
        ]
        return told(counts, more)


def survey(choice: Choice, verdicts: Sequence[Verdict]) -> Survey:
    """The sum of the verdicts on the chosen runs."""
    found: dict[bytes, list[Finding]] = {}
    sampled = 0
    for verdict in verdicts:
        shape = choice.shapes[verdict.run_id]
        if shape is not None:
            same = found.setdefault(shape, [])
            sampled += bool(same) and verdict.finding in REPLAYED
            same.append(verdict.finding)
    passed_over: Counter[Finding] = Counter()
    for shape, count in choice.others.items():
        passed_over[min(found[shape], key=WORST_FIRST.index)] += count
    return Survey(tuple(verdicts), passed_over, sampled)

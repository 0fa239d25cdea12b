"""What became of planted bugs: who was caught, by which test, and whether that is all as it should be. No I/O."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from tests.mutants.mutant import Mutant
from tests.mutants.workspace import Run

Verdict: TypeAlias = Literal["caught", "survived", "does not apply", "broken", "timed out"]

PYTEST_PASSED, PYTEST_FAILED = 0, 1  # all other codes say that tests could not be run
ADVICE: dict[Verdict, str] = {
    "caught": "",
    "survived": "no test saw it: write the one that does, and name it in the table",
    "does not apply": "the code has changed: plant the same bug in it again",
    "broken": "its tests could not be run: a name has changed, or the bug is none that imports",
    "timed out": "its tests took too long to tell: name narrower ones",
}
_FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+?::[^\s\[]+(?:\[.*?\])?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Result:
    """One planted bug and what its tests said."""

    id: str
    file: str
    breaks: str
    verdict: Verdict
    caught_by: str | None = None
    duration_s: float = 0.0
    detail: str = ""
    """What to look at where it was not caught."""


@dataclass(frozen=True, slots=True)
class Report:
    """All results, and the tests that fail without any bug: then nobody knows what the others mean."""

    results: tuple[Result, ...]
    failing_anyway: tuple[str, ...]
    duration_s: float

    @property
    def is_good(self) -> bool:
        return not self.failing_anyway and all(result.verdict == "caught" for result in self.results)


def judged(mutant: Mutant, run: Run) -> Result:
    """What a run of a mutant's tests says of it."""
    verdict: Verdict = "broken"
    if run.exit_code is None:
        verdict = "timed out"
    elif run.exit_code in (PYTEST_PASSED, PYTEST_FAILED):
        verdict = "caught" if run.exit_code == PYTEST_FAILED else "survived"
    caught_by = next(iter(failed_tests(run.output)), None) if verdict == "caught" else None
    detail = "" if verdict == "caught" else run.output
    return Result(mutant.id, mutant.file, mutant.breaks, verdict, caught_by, round(run.duration_s, 1), detail)


def failed_tests(output: str) -> tuple[str, ...]:
    """The ids of tests that pytest's summary names."""
    return tuple(_FAILED_TEST.findall(output))


def failing_without(run: Run) -> tuple[str, ...]:
    """What is wrong with a run of tests in which no bug was planted."""
    if run.exit_code == PYTEST_PASSED:
        return ()
    return failed_tests(run.output) or (run.output.strip()[-2000:] or "pytest ended without a word",)


def as_text(report: Report) -> str:
    """A table, and below it what is wrong."""
    lines = [_line(result) for result in sorted(report.results, key=lambda result: (result.file, result.id))]
    for result in report.results:
        if result.verdict != "caught":
            lines += ["", f"{result.id} {result.verdict}: {ADVICE[result.verdict]}", f"    it breaks: {result.breaks}"]
            lines += [f"    {line}" for line in result.detail.strip().splitlines()[-15:]]
    lines += ["", *(f"fails without any bug: {test}" for test in report.failing_anyway)]
    count = sum(result.verdict == "caught" for result in report.results)
    lines.append(f"{count} of {len(report.results)} caught in {report.duration_s:.0f} s")
    return "\n".join(lines)


def as_json(report: Report) -> str:
    return json.dumps({"is_good": report.is_good, **asdict(report)}, indent=2)


def _line(result: Result) -> str:
    seen_by = result.caught_by.rpartition("/")[2] if result.caught_by is not None else ""
    return f"{result.verdict:14} {result.duration_s:5.1f} s  {result.id:44} {seen_by}".rstrip()

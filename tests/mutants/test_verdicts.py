"""What a run of pytest says of a planted bug, and how that is told."""

from __future__ import annotations

import json

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.verdicts import Report, Result, Verdict, as_json, as_text, failing_without, judged
from tests.mutants.workspace import Run

MUTANT = Mutant("late", "stent/a.py", "<=", "<", "L3: it wakes", ("tests/test_a.py::test_it_wakes",))
SAID = "FAILED tests/test_a.py::TestA::test_it[x - y] - assert 1 == 2\nERROR tests/test_b.py::test_b - OSError\n"


@pytest.mark.parametrize(
    ("exit_code", "verdict"),
    [(0, "survived"), (1, "caught"), (2, "broken"), (4, "broken"), (5, "broken"), (-9, "broken"), (None, "timed out")],
)
def test_only_a_test_that_failed_has_caught_anything(exit_code: int | None, verdict: Verdict) -> None:
    result = judged(MUTANT, Run(exit_code, SAID, 1.25))
    assert verdict == result.verdict
    assert (result.caught_by is not None) == (verdict == "caught")


def test_the_test_that_failed_is_named_with_its_parameters() -> None:
    assert "tests/test_a.py::TestA::test_it[x - y]" == judged(MUTANT, Run(1, SAID, 1.0)).caught_by


def test_a_run_without_a_bug_names_all_that_fails_or_says_why_it_could_not_run() -> None:
    assert () == failing_without(Run(0, SAID, 1.0))
    assert 2 == len(failing_without(Run(1, SAID, 1.0)))
    assert ("no such file",) == failing_without(Run(4, "no such file\n", 1.0))
    assert 1 == len(failing_without(Run(None, "", 1.0)))


def result(verdict: Verdict) -> Result:
    return Result(MUTANT.id, MUTANT.file, MUTANT.breaks, verdict, detail="1 passed")


def test_a_report_is_good_if_every_bug_was_caught_and_no_test_fails_without_one() -> None:
    assert Report((result("caught"),), (), 1.0).is_good
    assert not Report((result("caught"),), ("tests/test_a.py::test_a",), 1.0).is_good
    others: tuple[Verdict, ...] = ("survived", "does not apply", "broken", "timed out")
    for verdict in others:
        assert not Report((result("caught"), result(verdict)), (), 1.0).is_good


def test_a_report_says_what_a_survivor_breaks_and_what_to_do() -> None:
    report = Report((result("survived"),), ("tests/test_a.py::test_a",), 61.4)
    said = as_text(report)
    for part in ("late", "L3: it wakes", "write the one that does", "fails without any bug: tests/test_a.py::test_a"):
        assert part in said
    assert said.endswith("0 of 1 caught in 61 s")
    document = json.loads(as_json(report))
    assert (False, "survived") == (document["is_good"], document["results"][0]["verdict"])

"""The runner tells who is caught, who survives and who cannot be told; tried on a tree of a few lines, and on ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.running import run_all
from tests.mutants.table import MUTANTS
from tests.mutants.verdicts import Report

ROOT = Path(__file__).resolve().parents[2]
TREE = {
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\npythonpath = ["."]\n',
    "stent/__init__.py": "",
    "stent/sums.py": "def add(one, other):\n    return one + other\n",
    "tests/test_sums.py": (
        "from stent.sums import add\n\n\n"
        "def test_it_adds():\n    assert 3 == add(1, 2)\n\n\n"
        "def test_it_is_there():\n    assert add\n\n\n"
        "def test_that_fails_anyway():\n    assert not add\n"
    ),
}
TESTS = "tests/test_sums.py::"
MINUS = Mutant("minus", "stent/sums.py", "one + other", "one - other", "sums", (f"{TESTS}test_it_adds",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def verdicts(report: Report) -> dict[str, str]:
    return {result.id: result.verdict for result in report.results}


@pytest.mark.slow
def test_each_mutant_gets_its_verdict_and_the_tree_stays_as_it_is(tree: Path) -> None:
    mutants = (
        MINUS,
        replace(MINUS, id="unseen", tests=(f"{TESTS}test_it_is_there",)),
        replace(MINUS, id="gone", old="one * other"),
        replace(MINUS, id="twice", old="other"),
        replace(MINUS, id="moved", file="stent/products.py"),
        replace(MINUS, id="no program", new="one +"),
        replace(MINUS, id="renamed test", tests=(f"{TESTS}test_it_sums",)),
    )
    report = run_all(tree, mutants)
    expected = {
        "minus": "caught",
        "unseen": "survived",
        "gone": "does not apply",
        "twice": "does not apply",
        "moved": "does not apply",
        "no program": "broken",
        "renamed test": "broken",
    }
    assert expected == verdicts(report)
    assert f"{TESTS}test_it_adds" == report.results[0].caught_by
    assert not report.is_good
    assert TREE == {name: (tree / name).read_text(encoding="utf-8") for name in TREE}


@pytest.mark.slow
def test_a_bug_leaves_nothing_behind_for_the_next_one(tree: Path) -> None:
    """Of the same size and in the same second: Python would take the compiled code of one for that of the other."""
    swapped = replace(MINUS, id="swapped", new="other + one")
    report = run_all(tree, (MINUS, swapped, replace(MINUS, id="again"), replace(swapped, id="last")), at_once=1)
    assert {"minus": "caught", "swapped": "survived", "again": "caught", "last": "survived"} == verdicts(report)
    assert () == report.failing_anyway


@pytest.mark.slow
def test_tests_that_fail_without_any_bug_prove_nothing(tree: Path) -> None:
    report = run_all(tree, (replace(MINUS, tests=(f"{TESTS}test_that_fails_anyway",)),))
    assert {"minus": "caught"} == verdicts(report)
    assert (f"{TESTS}test_that_fails_anyway",) == report.failing_anyway
    assert not report.is_good


@pytest.mark.slow
def test_tests_that_do_not_end_are_ended_and_have_caught_nothing(tree: Path) -> None:
    endless = replace(MINUS, id="endless", new="add(one, other) if __import__('time').sleep(60) else 0")
    report = run_all(tree, (endless,), timeout_s=1.5)
    assert {"endless": "timed out"} == verdicts(report)


@pytest.mark.slow
def test_a_bug_of_the_table_is_caught_by_its_test_and_survives_another() -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.id == "fold-timer-may-be-early"]
    unseen = replace(mutant, id="unseen", tests=("tests/history/test_fold.py::test_a_timer_on_time",))
    report = run_all(ROOT, (mutant, unseen))
    assert {mutant.id: "caught", "unseen": "survived"} == verdicts(report)
    assert (mutant.tests[0], ()) == (report.results[0].caught_by, report.failing_anyway)

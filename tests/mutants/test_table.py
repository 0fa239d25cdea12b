"""Every mutant still changes what it says, once, and the tests that are to see it are there."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.mutant import DoesNotApply, Mutant
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
TESTS_AT_MOST = 3  # of one mutant: a list of many is a suite that is run in the hope that something fails

PARTS = (
    "stent/client/",
    "stent/codec/",
    "stent/history/events.py",
    "stent/history/fold.py",
    "stent/history/memory",
    "stent/history/sql/postgres",
    "stent/history/sql/sqlite",
    "stent/history/wire.py",
    "stent/replay/batches.py",
    "stent/replay/execution.py",
    "stent/replay/matcher.py",
    "stent/retry.py",
    "stent/worker/adoption.py",
    "stent/worker/bodies.py",
    "stent/worker/committer.py",
    "stent/worker/draft.py",
    "stent/worker/leases.py",
    "stent/worker/local.py",
    "stent/worker/planning.py",
    "stent/worker/runs.py",
    "stent/worker/shared.py",
    "stent/worker/worker.py",
)


def wrong(mutant: Mutant) -> str | None:
    """What keeps a mutant from being a bug."""
    whole = (ROOT / mutant.file).read_text(encoding="utf-8")
    try:
        program = ast.parse(mutant.planted(whole))
    except (DoesNotApply, SyntaxError) as error:
        return f"{mutant.id}: {error}"
    return f"{mutant.id} changes nothing" if ast.dump(program) == ast.dump(ast.parse(whole)) else None


def test_every_mutant_applies_exactly_once_and_makes_another_program() -> None:
    assert [] == [why for why in map(wrong, MUTANTS) if why is not None]


def test_every_mutant_has_a_name_of_its_own_a_reason_and_few_tests() -> None:
    assert len(MUTANTS) == len({mutant.id for mutant in MUTANTS})
    assert [] == [mutant.id for mutant in MUTANTS if not mutant.breaks or not 0 < len(mutant.tests) <= TESTS_AT_MOST]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_that_keeps_a_promise_has_mutants(part: str) -> None:
    assert any(mutant.file.startswith(part) for mutant in MUTANTS)


@pytest.mark.slow
def test_the_tests_of_every_mutant_exist() -> None:
    """Parameters included: a renamed test would be a mutant that nobody looks for."""
    tests = sorted({test for mutant in MUTANTS for test in mutant.tests})
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests]
    answer = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    said = [line for line in (answer.stdout + answer.stderr).splitlines() if line.startswith("ERROR")]
    assert (0, []) == (answer.returncode, said)

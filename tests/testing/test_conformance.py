"""The conformance suite as a third party has it: a right store passes it, a wrong one does not, and says where."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import TypeAlias

import pytest

import stent.testing.conformance as suite

pytest_plugins = ["pytester"]

Run: TypeAlias = Callable[..., pytest.RunResult]

HEAD = """
import pytest
from stent.history.memory import MemoryStore
from stent.history.operations import Append
from stent.history.records import RunFilter
from stent.testing.conformance import *

@pytest.fixture
def opener(clock):
    return MyStore(clock).peer
"""

RIGHT = """
class MyStore(MemoryStore):
    pass
"""

WRONG: dict[str, tuple[str, str]] = {
    "a question": (
        """
class MyStore(MemoryStore):
    def read_outlines(self, run_ids):
        return {run_id: found[:-1] for run_id, found in super().read_outlines(run_ids).items()}
""",
        "TestReadingHistories::test_what_happened_in_many_runs_without_their_data",
    ),
    "half a transaction": (
        """
class MyStore(MemoryStore):
    def commit(self, operations):
        return [outcome for each in operations for outcome in super(MyStore, self).commit([each])]
""",
        "TestCommit::test_all_or_nothing",
    ),
    "no fence": (
        """
class MyStore(MemoryStore):
    def commit(self, operations):
        runs = {run.run_id: run.epoch for run in self.list_runs(RunFilter(limit=1_000))}
        return super().commit([
            each._replace(epoch=runs[each.run_id]) if isinstance(each, Append) and each.run_id in runs else each
            for each in operations
        ])
""",
        "TestAppending::test_",
    ),
    "deaf": (
        """
class MyStore(MemoryStore):
    def changed(self):
        return False
""",
        "TestTwoProcesses::test_a_commit_elsewhere_is_noticed",
    ),
}


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run the suite on the store in a text; the result."""

    def run(store: str, *options: str) -> pytest.RunResult:
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        pytester.makepyfile(test_my_store=HEAD + store)
        return pytester.runpytest_inprocess(
            "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", *options
        )

    return run


@pytest.mark.slow
def test_a_store_that_keeps_its_promises_passes(run: Run) -> None:
    done = run(RIGHT)
    outcomes = done.parseoutcomes()
    assert {"passed"} == set(outcomes)
    assert outcomes["passed"] > 200


@pytest.mark.slow
@pytest.mark.parametrize("fault", WRONG)
def test_a_store_that_breaks_one_is_found_out(run: Run, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stent.testing.conformance.rigging.NEWS_TIMEOUT_S", 0)
    store, expected = WRONG[fault]
    done = run(store)
    failed = re.findall(r"FAILED test_my_store.py::(\S+)", done.stdout.str())
    assert any(name.startswith(expected) for name in failed), failed
    assert done.parseoutcomes()["passed"] > 100, "one fault leaves most of the suite alone"


@pytest.mark.slow
def test_a_failure_shows_what_was_compared(run: Run) -> None:
    """The modules of the suite are rewritten by pytest as test files are."""
    done = run(WRONG["a question"][0], "-k", "without_their_data")
    assert "Left contains one more item: ('b', 20, 1, 7, " in done.stdout.str()


def test_every_test_of_the_suite_is_at_the_door() -> None:
    parts = (getattr(suite, name) for name in ("children", "claims", "endings", "limits", "reads", "runs", "workers"))
    tests = {name for part in parts for name in vars(part) if name.startswith("Test")}
    assert tests <= set(suite.__all__)
    assert len(tests) >= 18


@pytest.mark.parametrize("module", ["stent.testing", "stent.testing.engines", "stent.testing.conformance"])
def test_only_the_suite_itself_needs_pytest(module: str) -> None:
    program = f"import sys; import {module}; print('pytest' in sys.modules)"
    needs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert ("conformance" in module) == (needs.strip() == "True")

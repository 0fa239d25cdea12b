"""`stent demo`: it proves what it says, says so where it cannot, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stent.cli import demo as module, demo_app
from stent.cli.demo import Flow, Stage, flows
from tests.cli.conftest import Cli

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
def test_it_kills_two_workers_and_every_claim_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stent", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
        timeout=90,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert 2 == done.stdout.count("was killed with SIGKILL")
    assert 11 == done.stdout.count("  ✓ ")
    assert "1,000 items were scheduled by 1 event (BatchScheduled)" in done.stdout
    assert "Every claim was checked and holds" in done.stdout
    assert [] == list(tmp_path.glob("stent-demo*"))


@pytest.mark.slow
def test_a_claim_that_does_not_hold_is_code_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> list[Flow]:
        first = flows()[0]
        return [replace(first, result={"total": 13})]

    monkeypatch.setattr(module, "flows", wrong)
    result = cli("demo")
    assert 1 == result.exit_code
    assert "✗ NOT TRUE: the result is right" in result.stdout
    assert "A claim does not hold" in result.stdout


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_told_with_what_it_said(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(demo_app, "__name__", "no_such_module")
    result = cli("demo")
    assert 4 == result.exit_code
    assert "there is no module 'no_such_module'" in result.stderr
    assert [] == list(tmp_path.glob("stent-demo*"))


def test_a_flow_is_killed_somewhere_in_its_middle() -> None:
    assert all(0 < flow.kill_after < flow.activities for flow in flows())
    assert ["image-pipeline", "large-batch"] == [flow.run_id for flow in flows()]
    assert Stage(Path("/nowhere")).worker is None

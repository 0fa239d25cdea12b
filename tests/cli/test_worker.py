"""`stent worker`: it works, it drains, and it says what it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import APP, Cli, data

ROOT = Path(__file__).resolve().parent.parent.parent


def test_until_idle_it_does_what_there_is_to_do(shop: Cli) -> None:
    result = shop("worker", APP, "--until-idle")
    assert (0, "") == (result.exit_code, result.stdout)
    assert "worker ready: " in result.stderr
    assert "completed" == data(shop("show", "unbegun-1", "--json"))["state"]


@pytest.mark.slow
@pytest.mark.timeout(20)
def test_what_it_does_not_serve_is_left_alone_and_does_not_keep_it_from_ending(shop: Cli) -> None:
    assert 0 == shop("worker", APP, "--until-idle", "--tag", "gpu").exit_code
    assert "pending" == data(shop("show", "unbegun-1", "--json"))["state"]


@pytest.mark.parametrize(
    ("args", "code"),
    [((), 2), (("no_such_module",), 3), ((APP, "--concurrency", "0"), 2), ((APP, "--lease", "1ms"), 2)],
)
def test_what_makes_no_sense_is_refused(cli: Cli, args: tuple[str, ...], code: int) -> None:
    assert code == cli("worker", *args).exit_code


@pytest.fixture
def process(database: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "stent", "--db", str(database), "worker", APP]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        yield worker
        worker.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_it_and_its_code_is_zero(process: subprocess.Popen[str], number: int) -> None:
    assert process.stderr is not None
    assert process.stderr.readline().startswith("worker ready: ")
    process.send_signal(number)
    assert 0 == process.wait(30)
    assert process.stderr.read().endswith("worker stopped\n")

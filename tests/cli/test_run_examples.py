"""The examples do what they say, from the folder that they say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, data

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


@pytest.fixture(autouse=True)
def in_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.mark.slow
def test_the_image_pipeline(cli: Cli) -> None:
    urls = '[["https://example.com/1.jpg", "https://example.com/2.jpg", "https://example.com/3.jpg"]]'
    assert {"cat": 1, "dog": 2} == data(cli("run", "image_pipeline:image_pipeline", urls))


@pytest.mark.slow
def test_the_large_batch(cli: Cli) -> None:
    assert {"processed": 198, "failed": 2} == data(cli("run", "large_batch:large_batch", "[200]"))
    assert 1 == cli("history", "@last").stdout.count("BatchScheduled")


@pytest.mark.slow
def test_the_order_that_waits_for_a_person(cli: Cli) -> None:
    assert "paid 9.50 for order 1" == data(cli("run", "order_approval:order", "[1, 9.5]"))
    assert 6 == cli("run", "order_approval:order", "[2, 99.5]", "--id", "large", "--timeout", "100ms").exit_code
    assert "It has listened for the signal 'decision'" in cli("why", "large").stdout
    assert 0 == cli("signal", "large", "decision", '{"approved": false, "by": "Ada"}').exit_code
    assert "refused by Ada" == data(cli("run", "order_approval:order", "[2, 99.5]", "--id", "large"))


def test_every_example_has_a_test() -> None:
    assert {"image_pipeline", "large_batch", "order_approval"} == {path.stem for path in EXAMPLES.glob("*.py")}

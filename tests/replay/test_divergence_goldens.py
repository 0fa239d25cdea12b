"""The report of each kind of change, word for word, as text and as data.

Golden files are read by people: look at a difference before you take it over (STENT_WRITE_GOLDENS=1 writes them).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stent.errors import DivergenceError
from stent.replay.replayer import fits
from tests.replay.changed_programs import CHANGES, recorded
from tests.replay.driver import Drive, durable, finish, record

FOLDER = Path(__file__).parent / "goldens"


def divergence(change: Callable[..., Any]) -> DivergenceError:
    drive = Drive(durable(recorded, name="shop:checkout"), 42, run_id="order-8f2")
    drive.start()
    finish(drive)
    error = fits(record(durable(change, name="shop:checkout")), drive.history)
    assert error is not None, "the code does not fit"
    return error


def golden(name: str, text: str) -> str:
    path = FOLDER / name
    if os.environ.get("STENT_WRITE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_report_of_each_kind_of_change(change: Callable[..., Any]) -> None:
    error = divergence(change)
    data = json.dumps({"code": error.code, **error.facts}, indent=2) + "\n"
    assert golden(f"{change.__name__}.txt", f"{error}\n") == f"{error}\n"
    assert golden(f"{change.__name__}.json", data) == data
    assert (error.facts["expected"], error.facts["actual"]) == (error.expected, error.actual)


def test_there_is_no_golden_file_without_a_change() -> None:
    names = {path.stem for path in FOLDER.iterdir()}
    assert {change.__name__ for change in CHANGES} == names

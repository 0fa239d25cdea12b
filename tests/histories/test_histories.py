"""Histories that a released Stent has recorded are replayed by this one, on the interpreter that runs the tests."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stent.codec import Payload
from stent.history.events import EVENT_CODES, CallScheduled, Event, RunCompleted, RunStarted
from stent.inspect.portable import VERSION, loads
from stent.inspect.verdict import judge
from stent.registry import default_registry
from tests.histories.make import DIGESTS, FOLDER, digest_of, make

VERSIONS = sorted(path.parent.name for path in FOLDER.glob("*/programs.py"))
PROGRAMS = {version: importlib.import_module(f"tests.histories.{version}.programs") for version in VERSIONS}
GOLDEN = {f"{path.parent.name}/{path.stem}": path for path in sorted(FOLDER.glob("*/*.json"))}
NOTHING_COMPARED = {"v0_1/activity_alone", "v0_1/never_begun"}
"""There is no program behind them that was called or has returned."""


def history(name: str) -> list[Event]:
    return loads(GOLDEN[name].read_bytes())


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_history_is_replayed(name: str) -> None:
    events = history(name)
    started = events[0]
    assert isinstance(started, RunStarted)
    verdict = judge(events, default_registry)
    is_activity = started.role == "activity" and not any(event.type == "RoleCorrected" for event in events)
    assert ("activity" if is_activity else "fits") == verdict.finding, verdict.error


@pytest.mark.parametrize("name", sorted(set(GOLDEN) - NOTHING_COMPARED))
def test_a_golden_history_that_were_another_would_not_fit(name: str) -> None:
    """Each call and each result is held against the program: no file is replayed without being looked at."""
    events = history(name)
    compared = 0
    for place, event in enumerate(events):
        if isinstance(event, CallScheduled):
            other: Event = replace(event, arguments=Payload(1, b'["another"]'))
        elif isinstance(event, RunCompleted):
            other = replace(event, result=Payload(1, b'"another"'))
        else:
            continue
        verdict = judge([*events[:place], other, *events[place + 1 :]], default_registry)
        assert "diverged" == verdict.finding, f"seq {event.seq} is not compared"
        compared += 1
    assert compared > 0


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_says_which_schema_it_has(name: str) -> None:
    """That of the file, and that of each of its events."""
    document = json.loads(GOLDEN[name].read_bytes())
    assert document["version"] in range(1, VERSION + 1)
    assert all(type(event["version"]) is int and event["version"] >= 1 for event in document["events"])


def test_every_type_of_event_has_a_golden_history() -> None:
    recorded = Counter(type(event) for name in GOLDEN for event in history(name))
    assert set() == set(EVENT_CODES) - set(recorded), "add a program to tests/histories, and run its make"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_golden_history_was_changed_lost_or_smuggled_in(version: str) -> None:
    recorded = dict(reversed(line.split("  ")) for line in (FOLDER / version / DIGESTS).read_text().splitlines())
    found = {path.name: digest_of(path.read_bytes()) for path in (FOLDER / version).glob("*.json")}
    assert recorded == found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_program_has_been_recorded(version: str) -> None:
    assert set() == {f"{version}/{name}" for name in PROGRAMS[version].RECORDED} - set(GOLDEN)


def test_what_is_there_is_never_written_again(tmp_path: Path) -> None:
    recorded: dict[str, Any] = {name: PROGRAMS["v0_1"].RECORDED[name] for name in ("calls", "fails", "again")}
    for name in ("calls.json", "again~2.json"):
        shutil.copy(FOLDER / "v0_1" / name, tmp_path)
    (tmp_path / "calls.json").write_text("old")
    with pytest.raises(FileExistsError):  # the run that the first one goes on as is there already
        make(recorded, tmp_path)
    (tmp_path / "again~2.json").unlink()
    (tmp_path / "again.json").unlink(missing_ok=True)
    made = {path.name for path in make(recorded, tmp_path)}
    assert {"again.json", "again~2.json", "again~3.json"} <= made
    assert "old" == (tmp_path / "calls.json").read_text()
    assert [] == make(recorded, tmp_path)


def test_a_new_one_says_nothing_of_the_machine_that_recorded_it(tmp_path: Path) -> None:
    (made,) = make({"slow_call": PROGRAMS["v0_1"].RECORDED["slow_call"]}, tmp_path)
    text = made.read_text()
    assert "tests/histories/v0_1/programs.py" in text
    assert [] == absolute_paths(text)
    assert [f"{digest_of(text.encode())}  slow_call.json"] == (tmp_path / DIGESTS).read_text().splitlines()


@pytest.mark.parametrize("name", GOLDEN)
def test_no_golden_history_names_a_folder_of_one_machine(name: str) -> None:
    assert [] == absolute_paths(GOLDEN[name].read_text())


def absolute_paths(text: str) -> list[str]:
    """Of the frames of tracebacks."""
    return re.findall(r'File \\"(/[^"\\]*)', text)

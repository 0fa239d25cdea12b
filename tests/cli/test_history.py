"""`stent history`: the events of a run."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli, data

TYPES = [
    "RunStarted",
    "CallScheduled",
    "CallScheduled",
    "CallCompleted",
    "CallCompleted",
    "CallScheduled",
    "CallCompleted",
    "RunCompleted",
]


def test_events_are_lines_with_seq_type_and_what_was_recorded(shop: Cli) -> None:
    lines = shop("history", "done-1").stdout.splitlines()
    assert TYPES == [line.split()[3] for line in lines]
    assert "call 1    double(1)  tests/cli/shop.py:" in lines[1]


def test_json_has_the_payloads_decoded(shop: Cli) -> None:
    events = data(shop("history", "done-1", "--json"))
    assert list(range(1, 9)) == [event["seq"] for event in events]
    assert {"both": [2, 2], "last": [4]} == events[-1]["result"]


def test_a_file_is_read_without_a_database(shop: Cli, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(shop("export", "done-1").stdout, encoding="utf-8")
    assert shop("history", "done-1").stdout == shop("history", str(file)).stdout


def test_no_text_of_a_payload_acts_on_the_terminal(shop: Cli) -> None:
    assert "\x1b" not in shop("history", "failed-1").stdout + shop("history", "failed-1", "--json").stdout

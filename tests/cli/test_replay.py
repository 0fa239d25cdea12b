"""`stent replay`: the gate that says whether the code still fits what was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stent.cli.entry import commands
from stent.cli.replay import SHOWN_REPORTS, exit_code
from stent.inspect.verdict import Finding, Verdict
from stent.registry import Registry
from tests.cli import shop as app
from tests.cli.conftest import APP, Cli, data
from tests.cli.copies import copy_run


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is another than the one that ran."""
    monkeypatch.setattr(app, "is_changed", True)


def test_code_that_fits_is_code_zero(shop: Cli) -> None:
    result = shop("replay", "--all", "--app", APP)
    assert (0, "4 histories: 3 fit, 1 without a program (single activities)\n") == (result.exit_code, result.stdout)


@pytest.mark.usefixtures("changed")
def test_code_that_does_not_fit_is_code_five_and_the_report_is_the_data(shop: Cli) -> None:
    result = shop("replay", "done-1", "--app", APP)
    assert 5 == result.exit_code
    for part in ("DivergenceError [STN101] run done-1 of order()", "args[0]: 2 was recorded, now 3", "shop.py:"):
        assert part in result.stdout


@pytest.mark.usefixtures("changed")
def test_what_is_said_of_a_file_is_said_of_the_file(shop: Cli, tmp_path: Path) -> None:
    """Of its run nothing is known here: it may be in another database, and have ended long ago."""
    file = tmp_path / "done-1.json"
    file.write_text(shop("export", "done-1").stdout)
    result = shop("replay", str(file), "--app", APP)
    assert 5 == result.exit_code
    said = result.stdout
    assert (
        f"The history in {file} does not fit this code. A run with this history would be stalled, not failed." in said
    )
    assert "guard the change:  if Stent.patched('double'): ..." in said
    for untrue in ("Nothing was written", "The run is stalled", "stent show", "goes on by itself"):
        assert untrue not in said


@pytest.mark.usefixtures("changed")
def test_a_run_that_is_only_looked_at_is_not_called_stalled(shop: Cli) -> None:
    said = shop("replay", "done-1", "--app", APP).stdout
    assert "Nothing was written. With this code a worker would stall the run, not fail it.\n" in said
    assert "look at it:        stent show done-1" in said
    for untrue in ("The run is stalled", "goes on by itself"):
        assert untrue not in said


@pytest.mark.usefixtures("changed")
def test_one_that_does_not_fit_does_not_hide_the_others(shop: Cli) -> None:
    result = shop("replay", "--all", "--app", APP)
    assert (5, True) == (
        result.exit_code,
        "2 fit, 1 without a program (single activities), 1 diverged" in result.stdout,
    )


@pytest.mark.usefixtures("changed")
def test_json_has_a_verdict_for_each(shop: Cli) -> None:
    result = shop("replay", "done-1", "failed-1", "--app", APP, "--json")
    assert 5 == result.exit_code
    assert '"finding": "diverged"' in result.stdout
    assert '"finding": "fits"' in result.stdout


@pytest.fixture
def many(shop: Cli, database: Path) -> Cli:
    """`shop` with sixty runs of the same shape as `done-1`."""
    copy_run(database, "done-1", [f"copy-{number}" for number in range(60)])
    return shop


def test_of_equal_histories_the_first_and_a_sample_are_replayed(many: Cli) -> None:
    found = data(many("replay", "--all", "--app", APP, "--json"))
    assert (64, 0, [], []) == (
        *(found["histories"], found["diverged"]),
        *(found["verdicts"], found["unknown_functions"]),
    )
    assert 3 + found["sampled"] == found["replayed"]
    assert 64 == found["replayed"] + found["passed_over"] + found["activities"]
    assert 0 < found["sampled"] < 20
    said = many("replay", "--all", "--app", APP).stdout
    assert f"{found['passed_over']} of the same shapes (not replayed)" in said


def test_every_history_is_replayed_if_that_is_asked_for(many: Cli) -> None:
    result = many("replay", "--all", "--every", "--app", APP)
    assert (0, "64 histories: 63 fit, 1 without a program (single activities)\n") == (result.exit_code, result.stdout)


def test_what_nobody_knows_here_is_skipped_and_counted(many: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stent.cli.judging.default_registry", Registry())
    result = many("replay", "--all", "--json")
    found = data(result)
    assert (0, 64, 0, 63, 1) == (
        result.exit_code,
        *(found["histories"], found["replayed"], found["skipped"], found["activities"]),
    )
    assert ["tests.cli.shop:approval", "tests.cli.shop:failing", "tests.cli.shop:order"] == found["unknown_functions"]


@pytest.mark.usefixtures("changed")
def test_a_divergence_makes_those_of_its_shape_suspect(many: Cli) -> None:
    result = many("replay", "--all", "--app", APP, "--json")
    found = json.loads(result.stdout)
    assert 5 == result.exit_code
    assert found["diverged"] == len(found["verdicts"]) == 1 + found["sampled"]
    assert 61 == found["diverged"] + found["suspect"]
    result = many("replay", "--all", "--app", APP)
    assert 5 == result.exit_code
    assert f"{found['suspect']} suspect (not replayed)" in result.stdout
    assert f"{found['suspect']} have the shape of one that does not fit; --every replays them" in result.stderr


@pytest.mark.usefixtures("changed")
def test_so_many_reports_and_no_more(many: Cli) -> None:
    result = many("replay", "--all", "--every", "--app", APP)
    assert SHOWN_REPORTS == result.stdout.count("DivergenceError [STN101]")
    assert f"{61 - SHOWN_REPORTS} more do not fit or cannot be read; --json names all of them" in result.stderr
    assert 61 == len(json.loads(many("replay", "--all", "--every", "--app", APP, "--json").stdout)["verdicts"])


@pytest.mark.slow
def test_several_processes_say_the_same(many: Cli) -> None:
    alone = many("replay", "--all", "--app", APP, "--json")
    together = many("replay", "--all", "-j", "2", "--app", APP, "--json")
    assert (alone.exit_code, alone.stdout) == (together.exit_code, together.stdout)


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_so_many_processes_are_none(shop: Cli, count: str) -> None:
    assert 2 == shop("replay", "--all", "-j", count).exit_code


def test_nothing_is_written_and_no_activity_runs(shop: Cli, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(number: int) -> int:
        raise AssertionError("an activity ran")

    monkeypatch.setattr(app.double.__stent_function__, "body", never)
    before = data(shop("history", "done-1", "--json"))
    assert 0 == shop("replay", "--all", "--app", APP).exit_code
    assert before == data(shop("history", "done-1", "--json"))


def test_without_a_database_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STENT_DATABASE_URL", raising=False)
    result = CliRunner().invoke(commands, ["replay", "nowhere.json"], prog_name="stent")
    assert (2, True) == (result.exit_code, "there is no file 'nowhere.json'" in result.stderr)


def test_a_file_that_is_no_history_is_named(shop: Cli, tmp_path: Path) -> None:
    file = tmp_path / "no.json"
    file.write_text("{}")
    result = shop("replay", str(file))
    assert (1, True) == (result.exit_code, "no.json: this is no usable history file" in result.stderr)


@pytest.mark.parametrize("args", [(), ("done-1", "--all")])
def test_runs_or_all_of_them_but_not_both_or_neither(shop: Cli, args: tuple[str, ...]) -> None:
    assert 2 == shop("replay", *args).exit_code


@pytest.mark.parametrize(
    ("findings", "is_all", "code"),
    [
        (["fits", "activity"], False, 0),
        (["fits", "unknown"], False, 3),
        (["fits", "unknown"], True, 0),
        (["unreadable", "unknown"], True, 1),
        (["unreadable", "diverged", "unknown"], False, 5),
        ([], True, 0),
    ],
)
def test_the_worst_finding_decides(findings: list[Finding], is_all: bool, code: int) -> None:
    assert code == exit_code([Verdict("r", "f", finding) for finding in findings], is_all=is_all)

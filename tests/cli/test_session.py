"""Which run a reference means."""

from __future__ import annotations

import pytest

from stent.cli import session
from tests.cli.conftest import APP, Cli, data


def found(cli: Cli, reference: str) -> str:
    return str(data(cli("show", reference, "--json"))["run_id"])


@pytest.mark.parametrize(
    ("reference", "run_id"),
    [
        ("done-1", "done-1"),
        ("do", "done-1"),
        ("w", "waiting-1"),
        ("@last", "unbegun-1"),
        ("@last-failed", "failed-1"),
    ],
)
def test_a_run_is_named_by_its_id_a_unique_beginning_or_a_word(shop: Cli, reference: str, run_id: str) -> None:
    assert run_id == found(shop, reference)


def test_a_beginning_of_several_runs_is_refused_with_what_they_are(shop: Cli) -> None:
    shop("run", f"{APP}:double", "[1]", "--id", "done-2", "--detach")
    result = shop("show", "done")
    assert 2 == result.exit_code
    assert "several runs begin with 'done': done-1, done-2" in result.stderr


def test_the_runs_behind_its_calls_do_not_make_a_beginning_ambiguous(cli: Cli) -> None:
    assert 2 == data(cli("run", f"{APP}:family", "--id", "family-1"))
    assert ["family-1", "family-1.1", "family-1.1"] == [found(cli, each) for each in ("fam", "family-1.", "family-1.1")]
    assert ["order(1)"] == [entry["label"] for entry in data(cli("show", "fam", "--json"))["entries"]]
    assert "double(2)" in cli("show", "fam").stdout
    assert ["family-1.1"] == [row["run_id"] for row in data(cli("ls", "--json", "--parent", "fam"))]


def test_a_whole_id_wins_over_longer_ones(shop: Cli) -> None:
    shop("run", f"{APP}:double", "[1]", "--id", "done-11", "--detach")
    assert "done-1" == found(shop, "done-1")


@pytest.mark.parametrize(("reference", "code"), [("@first", 2), ("nonsense", 3)])
def test_what_means_nothing_is_an_error(shop: Cli, reference: str, code: int) -> None:
    assert code == shop("show", reference).exit_code


def test_the_last_of_none_is_not_found(cli: Cli, database: object) -> None:
    assert 0 == cli("run", f"{APP}:double", "[1]", "--detach").exit_code
    assert 3 == cli("show", "@last-failed").exit_code


def test_commands_that_look_at_all_runs_read_them_in_pages(shop: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = data(shop("replay", "--all", "--app", APP, "--json"))
    monkeypatch.setattr(session, "RUNS_A_PAGE", 2)
    assert at_once == data(shop("replay", "--all", "--app", APP, "--json"))
    assert 4 == at_once["histories"]

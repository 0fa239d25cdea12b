"""`stent show`: the timeline of a run."""

from __future__ import annotations

from tests.cli.conftest import Cli, data


def test_it_draws_head_calls_and_outcome(shop: Cli) -> None:
    text = shop("show", "done-1").stdout
    assert text.startswith("done-1  completed  tests.cli.shop:order(1)\n")
    for part in (
        "2 × double",
        "├─ ✓ double(1)",
        "└─ ✓ double(1)",
        "✓ double(2)",
        "returned {'both': [2, 2], 'last': [4]}",
    ):
        assert part in text


def test_a_failed_run_shows_its_error_and_traceback_with_control_characters_escaped(shop: Cli) -> None:
    text = shop("show", "@last-failed").stdout
    assert "✗ refuse()  ValueError('no \\x1b[31mway')" in text
    assert "Traceback (most recent call last):" in text
    assert "\x1b" not in text


def test_json_is_the_same_tree(shop: Cli) -> None:
    facts = data(shop("show", "done-1", "--json"))
    assert ["group", "call"] == [entry["kind"] for entry in facts["entries"]]
    assert ("completed", 8) == (facts["state"], facts["events"])


def test_a_run_of_no_worker_is_shown_too(shop: Cli) -> None:
    assert "unbegun-1  pending  tests.cli.shop:double(4)" in shop("show", "unbegun").stdout


def test_an_unknown_run_is_not_found(shop: Cli) -> None:
    result = shop("show", "nonsense")
    assert (3, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("UnknownRunError [STN401] there is no run 'nonsense'")
    assert "  fix: look at `stent ls`" in result.stderr

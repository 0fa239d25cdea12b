"""`stent why`: what a run waits for, told without any worker."""

from __future__ import annotations

import pytest

from tests.cli import shop as app
from tests.cli.conftest import APP, Cli, data


def test_a_waiting_run_says_for_what_and_how_to_unblock_it(shop: Cli) -> None:
    text = shop("why", "waiting").stdout
    assert text.startswith("Run waiting-1 of approval() is running. It has listened for the signal 'approve' for ")
    assert "`stent signal waiting-1 approve JSON`" in text


def test_with_the_code_at_hand_it_shows_the_line_that_waits(shop: Cli) -> None:
    text = shop("why", "waiting-1", "--app", APP).stdout
    assert "task 0 waits at\n  tests/cli/shop.py:" in text
    assert """      return f"approved by {await Stent.wait_for_signal('approve')}"\n""" in text


def test_a_run_that_no_worker_has_begun_says_which_worker_to_start(shop: Cli) -> None:
    assert f"`stent worker {APP}`" in shop("why", "unbegun-1").stdout


def test_a_run_that_has_ended_waits_for_nothing(shop: Cli) -> None:
    assert shop("why", "done-1").stdout.endswith("It waits for nothing.\n")


def test_json_has_state_text_and_stacks(shop: Cli) -> None:
    facts = data(shop("why", "waiting-1", "--app", APP, "--json"))
    assert ("running", ["0"]) == (facts["state"], [stack["task"] for stack in facts["stacks"]])


def test_code_that_does_not_fit_is_reported_beside_the_answer(shop: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.approval.__stent_function__, "body", app.sleeper.__stent_function__.body)
    result = shop("why", "waiting-1", "--app", APP)
    assert (0, True) == (result.exit_code, "STN101" in result.stderr)

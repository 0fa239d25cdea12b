"""`stent signal` and `stent cancel`."""

from __future__ import annotations

import pytest

from stent.cli.telling import json_argument
from stent.errors import OptionError
from tests.cli.conftest import APP, Cli, data


def test_a_signal_reaches_the_run(shop: Cli) -> None:
    assert 0 == shop("signal", "waiting", "approve", '"bob"').exit_code
    assert "approved by bob" == data(shop("run", f"{APP}:approval", "--id", "waiting-1"))


def test_the_same_key_is_the_same_signal(shop: Cli) -> None:
    assert "sent 'approve'" in shop("signal", "waiting", "approve", "1", "--key", "k").stderr
    assert "nothing was sent" in shop("signal", "waiting", "approve", "1", "--key", "k").stderr


def test_a_name_that_nobody_listens_for_is_pointed_out(shop: Cli) -> None:
    assert "so far it has listened for 'approve' only" in shop("signal", "waiting", "aprove").stderr


def test_a_run_that_has_ended_takes_no_signal(shop: Cli) -> None:
    result = shop("signal", "done-1", "approve")
    assert (1, True) == (result.exit_code, "STN408" in result.stderr)


def test_a_value_that_is_no_json_is_a_usage_error(shop: Cli) -> None:
    assert 2 == shop("signal", "waiting", "approve", "bob").exit_code


def test_a_cancelled_run_ends_as_that(shop: Cli) -> None:
    assert 0 == shop("cancel", "waiting-1", "--reason", "too late").exit_code
    assert "a request to stop" in shop("why", "waiting-1").stdout
    result = shop("run", f"{APP}:approval", "--id", "waiting-1")
    assert 1 == result.exit_code
    assert "failed: cancelled: too late" in result.stderr
    assert ["waiting-1"] == [row["run_id"] for row in data(shop("ls", "--json", "--state", "cancelled"))]


def test_a_run_that_has_ended_cannot_be_cancelled(shop: Cli) -> None:
    assert 1 == shop("cancel", "done-1").exit_code


def test_an_argument_that_is_no_json_says_how_to_quote() -> None:
    assert [1, {"a": None}] == json_argument('[1, {"a": null}]')
    with pytest.raises(OptionError, match="quote it for the shell"):
        json_argument("bob")

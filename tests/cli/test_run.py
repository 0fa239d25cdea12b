"""`stent run`: the result on stdout, everything else on stderr, and an exit code for each way to end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stent.cli.run import call_arguments
from stent.errors import OptionError
from tests.cli import shop
from tests.cli.conftest import APP, Cli, data


def test_the_result_is_json_on_stdout_and_nothing_else_is(cli: Cli) -> None:
    result = cli("run", f"{APP}:order", "[1, 2]")
    assert (0, {"both": [2, 4], "last": [4]}) == (result.exit_code, json.loads(result.stdout))
    assert result.stderr.startswith("run ")


def test_an_object_is_keyword_arguments(cli: Cli) -> None:
    assert {"both": [6, 2], "last": [12]} == data(cli("run", f"{APP}:order", '{"first": 3}'))


def test_a_run_is_started_once_under_one_id(cli: Cli) -> None:
    assert 0 == cli("run", f"{APP}:order", "[1]", "--id", "mine").exit_code
    assert 0 == cli("run", f"{APP}:order", "[1]", "--id", "mine").exit_code
    assert ["mine"] == [row["run_id"] for row in data(cli("ls", "--json"))]
    other = cli("run", f"{APP}:order", "[2]", "--id", "mine")
    assert 2 == other.exit_code
    assert "STN407" in other.stderr


def test_a_failed_run_says_why_without_letting_its_text_act_on_the_terminal(cli: Cli) -> None:
    result = cli("run", f"{APP}:failing")
    assert (1, "") == (result.exit_code, result.stdout)
    assert "failed: raised ValueError('no \\x1b[31mway')" in result.stderr
    assert "\x1b" not in result.stderr
    assert "shop.py" in result.stderr


def test_detached_it_is_only_started_and_its_id_is_the_data(cli: Cli) -> None:
    result = cli("run", f"{APP}:order", "[1]", "--detach")
    (row,) = data(cli("ls", "--json"))
    assert (row["run_id"], "pending") == (result.stdout.strip(), row["state"])


@pytest.mark.slow
def test_a_timeout_leaves_the_run_and_another_call_goes_on_with_it(cli: Cli) -> None:
    late = cli("run", f"{APP}:approval", "--id", "a", "--timeout", "200ms")
    assert 6 == late.exit_code
    assert "stent why a" in late.stderr
    assert 0 == cli("signal", "a", "approve", '"bob"').exit_code
    assert "approved by bob" == data(cli("run", f"{APP}:approval", "--id", "a"))


@pytest.mark.slow
def test_a_run_whose_code_no_longer_fits_is_reported(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 6 == cli("run", f"{APP}:approval", "--id", "a", "--timeout", "200ms").exit_code
    monkeypatch.setattr(shop.approval.__stent_function__, "body", shop.sleeper.__stent_function__.body)
    assert 0 == cli("signal", "a", "approve").exit_code
    result = cli("run", f"{APP}:approval", "--id", "a", "--timeout", "5s")
    assert 5 == result.exit_code
    assert "cannot go on with this code" in result.stderr
    assert "is stalled: the code of the worker that tried it does not fit" in cli("why", "a").stdout


@pytest.mark.parametrize(
    ("args", "code", "what"),
    [
        (("order",), 2, "write it as module:function"),
        (("no_such_module:order",), 3, "there is no module 'no_such_module'"),
        ((f"{APP}:ordr",), 3, f"did you mean {APP}:order?"),
        ((f"{APP}:plain",), 3, "decorate it: @Stent.durable above plain"),
        ((f"{APP}:order", "{]"), 2, "is no JSON"),
        ((f"{APP}:order", "abc"), 2, """quote it for the shell and for JSON: '"abc"'"""),
        ((f"{APP}:order", "42"), 2, "write one argument as a list"),
        ((f"{APP}:order", "[]"), 2, "STN003"),
        ((f"{APP}:order", '["x"]'), 2, "STN003"),
        ((f"{APP}:order", "[1]", "--timeout", "soon"), 2, "timeout='soon'"),
        ((f"{APP}:order", "[1]", "--concurrency", "0"), 2, "max_concurrency=0"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_started(
    cli: Cli, args: tuple[str, ...], code: int, what: str
) -> None:
    result = cli("run", *args)
    assert code == result.exit_code
    assert what in result.stderr
    assert "Traceback" not in result.output
    assert cli("ls", "--json").stdout in ("", "[]\n")


@pytest.mark.parametrize(
    ("given", "call"),
    [([1, 2], ((1, 2), {})), ({"id": 1}, ((), {"id": 1})), ([], ((), {})), ([[1]], (([1],), {}))],
)
def test_a_list_is_positional_and_an_object_is_keywords(given: Any, call: Any) -> None:
    assert call == call_arguments(given)


def test_a_single_value_is_no_arguments() -> None:
    with pytest.raises(OptionError):
        call_arguments(42)

"""`stent ls`: runs, newest first, narrowed by options."""

from __future__ import annotations

import pytest

from tests.cli.conftest import APP, Cli, data


def ids(shop: Cli, *args: str) -> list[str]:
    return [row["run_id"] for row in data(shop("ls", "--json", *args))]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ((), ["unbegun-1", "waiting-1", "failed-1", "done-1"]),
        (("--state", "completed"), ["done-1"]),
        (("--state", "failed", "--state", "running"), ["waiting-1", "failed-1"]),
        (("--function", "order"), ["done-1"]),
        (("--function", f"{APP}:failing"), ["failed-1"]),
        (("--limit", "2"), ["unbegun-1", "waiting-1"]),
        (("--parent", "done-1"), []),
    ],
)
def test_options_narrow_the_list(shop: Cli, args: tuple[str, ...], found: list[str]) -> None:
    assert found == ids(shop, *args)


def test_the_table_names_run_state_and_function(shop: Cli) -> None:
    lines = shop("ls").stdout.splitlines()
    assert ["RUN", "STATE", "FUNCTION", "CREATED", "(UTC)", "TOOK"] == lines[0].split()
    assert ["unbegun-1", "pending", f"{APP}:double"] == lines[1].split()[:3]


def test_a_list_that_was_cut_says_so_beside_the_data(shop: Cli) -> None:
    result = shop("ls", "--limit", "1")
    assert "there are more" in result.stderr
    assert 2 == len(result.stdout.splitlines())


def test_an_unknown_state_is_a_usage_error(shop: Cli) -> None:
    assert 2 == shop("ls", "--state", "nonsense").exit_code

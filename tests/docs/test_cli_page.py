"""docs/cli.md has every command with every option, and none that does not exist."""

from __future__ import annotations

import re

import click
import pytest

from stent.cli.entry import COMMANDS, commands
from tests.docs.runner import ROOT

TEXT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `stent (\w+)[^\n]*\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))


def options_of(command: click.Command) -> set[str]:
    """What `--help` shows: an option that is hidden there (`--db`, for every command) is told of once, on top."""
    given = (parameter for parameter in command.params if isinstance(parameter, click.Option))
    return {name for option in given if not option.hidden for name in option.opts if name.startswith("--")}


def test_every_command_has_a_section_in_the_order_of_the_help() -> None:
    assert list(COMMANDS) == list(SECTIONS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_names_the_options_of_its_command(name: str) -> None:
    """In a table, one a line."""
    with click.Context(commands) as context:
        command = commands.get_command(context, name)
    assert command is not None
    assert options_of(command) == set(re.findall(r"^\| `(--[\w-]+)", SECTIONS[name], re.MULTILINE))


def test_the_options_in_front_of_a_command_are_mentioned() -> None:
    options = {*options_of(commands), "--help"} - {"--version"}
    assert [] == [option for option in options if option not in TEXT]

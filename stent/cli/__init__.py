"""The `stent` command: what a person at a terminal does with runs.

Importing this imports no command, no database driver and no rich: each command is imported when it is used.
"""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """The entry point of the `stent` script."""
    from stent.cli.entry import main as enter

    enter()

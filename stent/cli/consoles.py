"""A rich console that leaves the end of a pipe to the one place that turns ends into exit codes (`entry`)."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class StreamConsole(Console):
    """Rich itself would end the process with status 1, as if the run had failed."""

    def on_broken_pipe(self) -> NoReturn:
        """Nobody reads any longer."""
        raise BrokenPipeError

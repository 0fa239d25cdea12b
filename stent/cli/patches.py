"""`stent patches`: what `Stent.patched()` has recorded, and what of it may be taken out of the code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from stent.cli.entry import Settings
from stent.cli.session import Session, session, settings_of
from stent.cli.terminal import console, note, one_line, write_json
from stent.errors import StentError
from stent.history.events import Event, PatchRecorded
from stent.history.records import RunRow
from stent.inspect.patches import ADVICE, PatchUse, patches_in
from stent.registry import display_name


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def patches(context: click.Context, as_json: bool) -> None:
    """List the patches that runs have recorded: which have live runs, and which are dead code."""
    found = asyncio.run(_read(settings_of(context)))
    if as_json:
        write_json([use.facts() for use in found])
    elif found:
        _print(found)
    else:
        note("no run has recorded a patch")


async def _read(settings: Settings) -> list[PatchUse]:
    async with session(settings) as opened:
        orchestrators = [row async for row in opened.runs() if row.role == "orchestrator"]
        return patches_in([(row, await _recorded(opened, row)) for row in orchestrators])


async def _recorded(opened: Session, row: RunRow) -> Sequence[Event]:
    """The patches of a run, without the rest of its history. One that cannot be read must not hide the others."""
    try:
        return [event for event in await opened.history(row.run_id) if isinstance(event, PatchRecorded)]
    except StentError as error:
        note(f"run {one_line(row.run_id)} cannot be read: {one_line(error.message)}", style="yellow")
        return ()


def _print(found: Sequence[PatchUse]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("PATCH", "FUNCTION", "LIVE", "LIVE WITHOUT", "ENDED", "WHAT TO DO"):
        table.add_column(name, overflow="fold")
    for use in found:
        functions = ", ".join(sorted(display_name(name) for name in use.functions))
        numbers = [f"{count:,}" for count in (len(use.live), len(use.others), use.ended_count)]
        cells = [one_line(use.change), one_line(functions), *numbers, ADVICE[use.verdict]]
        table.add_row(*[Text(cell) for cell in cells])
    console().print(table)

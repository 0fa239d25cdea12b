"""`stent show`: the timeline of a run."""

from __future__ import annotations

import asyncio

import click

from stent.cli.entry import Settings
from stent.cli.session import Session, session, settings_of
from stent.cli.terminal import console, printable, write, write_json
from stent.history.events import Event
from stent.history.records import RunFilter, RunRow
from stent.inspect.failure import traceback_of
from stent.inspect.plain import timeline_facts
from stent.inspect.timeline import Timeline, timeline_of

MAX_CHILDREN = 50  # runs behind calls whose histories are read and drawn in place


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--all", "is_whole", is_flag=True, help="Leave nothing out, however long it gets.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def show(context: click.Context, run: str, is_whole: bool, as_json: bool) -> None:
    """Draw the timeline of RUN: calls with their attempts, gathers, maps, child runs, timers and signals."""
    row, history, timeline = asyncio.run(_read(settings_of(context), run))
    if as_json:
        write_json(timeline_facts(timeline))
        return
    from stent.cli.drawing import draw

    draw(console(), timeline, is_whole=is_whole)
    if row.stall is not None:
        write(printable(row.stall))
    frames = traceback_of(history)
    if frames:
        write(printable(frames))


async def _read(settings: Settings, reference: str) -> tuple[RunRow, list[Event], Timeline]:
    async with session(settings) as opened:
        row = await opened.find(reference)
        history = await opened.history(row.run_id)
        return row, history, await timeline_in(opened, row, history)


async def timeline_in(opened: Session, row: RunRow, history: list[Event]) -> Timeline:
    """The timeline of a run, with the runs behind its calls."""
    children = await _children(opened, row.run_id)
    return timeline_of(history, opened.store.now_us(), state=row.status, children=children)


async def _children(opened: Session, run_id: str) -> dict[str, list[Event]]:
    """The histories of the runs below a run, the nearest first, at most MAX_CHILDREN."""
    found: dict[str, list[Event]] = {}
    parents: list[str] = [run_id]
    for parent in parents:
        room = MAX_CHILDREN - len(found)
        if not room:
            break
        for child in await opened.client.list_runs(RunFilter(parent_run=parent, limit=room)):
            found[child.run_id] = await opened.history(child.run_id)
            parents.append(child.run_id)
    return found

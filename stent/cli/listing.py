"""`stent ls`: runs, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from stent.cli.entry import Settings
from stent.cli.session import session, settings_of
from stent.cli.terminal import console, note, one_line, write_json
from stent.client.views import STATES
from stent.clock import to_datetime
from stent.history.records import RunFilter, RunRow
from stent.inspect.plain import run_facts
from stent.registry import display_name

MAX_ROWS = 10_000


@click.command()
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these; may be given again.")
@click.option("--function", metavar="NAME", help="Only runs of module:function, or of a function of this name.")
@click.option("--parent", metavar="RUN", help="Only the runs behind the calls of this one.")
@click.option("--children", "with_children", is_flag=True, help="Also the runs behind calls.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, MAX_ROWS), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def ls(
    context: click.Context,
    states: Sequence[str],
    function: str | None,
    parent: str | None,
    with_children: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    rows = asyncio.run(_read(settings_of(context), states, function, parent, with_children, limit))
    if as_json:
        write_json([run_facts(row) for row in rows[:limit]])
        return
    if not rows:
        note("no runs")
        return
    _print(rows[:limit])
    if len(rows) > limit:
        note(f"there are more: --limit {limit * 5}")


async def _read(
    settings: Settings,
    states: Sequence[str],
    function: str | None,
    parent: str | None,
    with_children: bool,
    limit: int,
) -> list[RunRow]:
    """One row more than asked for, if there is one."""
    async with session(settings) as opened:
        parent_id = (await opened.find(parent)).run_id if parent is not None else None
        by_name = function is not None and ":" not in function
        wanted = RunFilter(
            statuses=tuple(states),  # type: ignore[arg-type]  # click has checked them
            function=None if by_name else function,
            parent_run=parent_id,
            roots_only=not with_children and parent_id is None,
            limit=MAX_ROWS if by_name else limit + 1,
        )
        rows = await opened.client.list_runs(wanted)
        if by_name:
            rows = [row for row in rows if display_name(row.function) == function]
        return rows[: limit + 1]


def _print(rows: Sequence[RunRow]) -> None:
    from rich.table import Table
    from rich.text import Text

    from stent.cli.drawing import STYLES, span_text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("RUN", no_wrap=True, overflow="fold")
    for name in ("STATE", "FUNCTION", "CREATED (UTC)", "TOOK"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for row in rows:
        took = "" if row.finished_at_us is None else span_text(row.finished_at_us - row.created_at_us)
        table.add_row(
            Text(one_line(row.run_id)),
            Text(row.status, style=STYLES.get(row.status, "")),
            Text(one_line(row.function)),
            Text(to_datetime(row.created_at_us).strftime("%Y-%m-%d %H:%M:%S")),
            Text(took, style="bright_black"),
        )
    console().print(table)

"""`stent doctor`: what needs a person, in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from stent.cli import exits
from stent.cli.entry import Settings
from stent.cli.session import session, settings_of
from stent.cli.terminal import one_line, printable, write, write_json
from stent.history import wire
from stent.history.events import RunStarted
from stent.history.records import RunFilter, RunRow
from stent.inspect.stalls import StallGroup, stall_groups
from stent.registry import display_name

PAGE = 500
SHOWN_RUNS = 3


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The groups as JSON, with all runs.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Say which runs are stalled, grouped by the place in the code and by the version that began them.

    Exit code 5 if there are any. They go on by themselves once code that fits is deployed.
    """
    groups = asyncio.run(_read(settings_of(context)))
    if as_json:
        write_json([group.facts() for group in groups])
    else:
        _print(groups)
    context.exit(exits.DIVERGED if groups else exits.OK)


async def _read(settings: Settings) -> list[StallGroup]:
    async with session(settings) as opened:
        link = await opened.client.link()
        found: list[tuple[RunRow, str | None]] = []
        place: tuple[int, str] | None = None
        while page := await opened.client.list_runs(RunFilter(statuses=("stalled",), before=place, limit=PAGE)):
            for row in page:
                (first,) = await link.read(opened.store.read_rows, row.run_id, 0, 1)
                started = wire.decode(first)
                found.append((row, started.version if isinstance(started, RunStarted) else None))
            place = (page[-1].created_at_us, page[-1].run_id)
        return stall_groups(found)


def _print(groups: Sequence[StallGroup]) -> None:
    for group in groups:
        count = len(group.run_ids)
        version = f", version {group.version}" if group.version is not None else ""
        place = f" at {group.code_site or group.recorded_site}" if group.code_site or group.recorded_site else ""
        shown = ", ".join(group.run_ids[:SHOWN_RUNS]) + (" ..." if count > SHOWN_RUNS else "")
        name = display_name(group.function)
        head = f"{count:,} stalled run{'' if count == 1 else 's'} of {name}(){version}{place}: {shown}"
        write(printable(f"{one_line(head)}\n{group.reason}\n"))
    if not groups:
        write("nothing stalled")
        return
    total = sum(len(group.run_ids) for group in groups)
    write(f"{total:,} stalled, {len(groups):,} reason{'' if len(groups) == 1 else 's'}")

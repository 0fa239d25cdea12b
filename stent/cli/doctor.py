"""`stent doctor`: what needs a person, in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from stent.cli import exits
from stent.cli.entry import Settings
from stent.cli.session import Session, session, settings_of
from stent.cli.terminal import one_line, printable, write, write_json
from stent.errors import CorruptHistoryError
from stent.history import wire
from stent.history.events import RunStarted
from stent.inspect.stalls import StallGroup, stall_groups
from stent.registry import display_name

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
        return stall_groups([(row, await _version(opened, row.run_id)) async for row in opened.runs("stalled")])


async def _version(opened: Session, run_id: str) -> str | None:
    """The version that began a run; None where that cannot be read, which the reason of its stall tells better."""
    link = await opened.client.link()
    try:
        (first,) = await link.read(opened.store.read_rows, run_id, 0, 1)
        started = wire.decode(first)
    except CorruptHistoryError:
        return None
    return started.version if isinstance(started, RunStarted) else None


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

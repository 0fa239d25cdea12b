"""`stent history`: the recorded events of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from stent.cli.entry import Settings
from stent.cli.session import session, settings_of
from stent.cli.terminal import one_line, write, write_json
from stent.clock import to_datetime
from stent.history.events import Event
from stent.inspect.plain import event_facts, event_text
from stent.inspect.portable import loads


@click.command()
@click.argument("run", metavar="RUN|FILE")
@click.option("--json", "as_json", is_flag=True, help="All fields, payloads decoded, as JSON.")
@click.pass_context
def history(context: click.Context, run: str, as_json: bool) -> None:
    """Print the events of RUN, oldest first: seq, time, type, call number, and what was recorded.

    A FILE that `stent export` or a test wrote is read without a database.
    """
    is_file = Path(run).is_file()
    events = loads(Path(run).read_bytes()) if is_file else asyncio.run(_read(settings_of(context), run))
    if as_json:
        write_json([event_facts(event) for event in events])
        return
    width = len(str(events[-1].seq))
    for event in events:
        write(_line(event, width))


async def _read(settings: Settings, reference: str) -> list[Event]:
    async with session(settings) as opened:
        row = await opened.find(reference)
        return await opened.history(row.run_id)


def _line(event: Event, width: int) -> str:
    time = to_datetime(event.at_us).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    number = getattr(event, "call", None)
    call = "" if number is None else f"call {number}"
    return f"{event.seq:>{width}}  {time}  {event.type:<19}  {call:<9} {one_line(event_text(event))}".rstrip()

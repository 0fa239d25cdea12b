"""`stent export`: a history as a file."""

from __future__ import annotations

import asyncio

import click

from stent.cli.entry import Settings
from stent.cli.session import session, settings_of
from stent.cli.terminal import write
from stent.inspect.portable import dumps


@click.command()
@click.argument("run", metavar="RUN")
@click.pass_context
def export(context: click.Context, run: str) -> None:
    """Write the history of RUN as portable JSON: stent export RUN > run.json

    The file opens in `stent replay`, here or on another machine. It holds the arguments and results of the run.
    """
    write(asyncio.run(_export(settings_of(context), run)).rstrip("\n"))


async def _export(settings: Settings, reference: str) -> str:
    async with session(settings) as opened:
        row = await opened.find(reference)
        return dumps(await opened.history(row.run_id))

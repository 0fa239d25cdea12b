"""`stent signal` and `stent cancel`: facts from outside for a run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

from stent.cli.entry import Settings
from stent.cli.session import session, settings_of
from stent.cli.terminal import note
from stent.errors import OptionError, RunFinishedError
from stent.history.events import SignalAwaited


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("name")
@click.argument("value", metavar="[JSON]", default="null")
@click.option("--key", metavar="KEY", help="Your own name for this message: sent twice, it is delivered once.")
@click.pass_context
def signal(context: click.Context, run: str, name: str, value: str, key: str | None) -> None:
    """Send the signal NAME to RUN, with a JSON value. It is kept until the run reads it."""
    asyncio.run(_signal(settings_of(context), run, name, json_argument(value), key))


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--reason", default="", metavar="TEXT", help="Recorded, and what the run's error says.")
@click.pass_context
def cancel(context: click.Context, run: str, reason: str) -> None:
    """Ask RUN to stop, with its children and running activities."""
    asyncio.run(_cancel(settings_of(context), run, reason))


async def _signal(settings: Settings, reference: str, name: str, value: Any, key: str | None) -> None:
    async with session(settings) as opened:
        row = await opened.find(reference)
        is_new = await opened.client.send_signal(row.run_id, name, value, key)
        if not is_new:
            note(f"run {row.run_id} has a signal with key {key!r} already: nothing was sent")
            return
        note(f"sent {name!r} to {row.run_id}")
        awaited = {event.name for event in await opened.history(row.run_id) if isinstance(event, SignalAwaited)}
        if awaited and name not in awaited:
            note(f"so far it has listened for {', '.join(map(repr, sorted(awaited)))} only", style="yellow")


async def _cancel(settings: Settings, reference: str, reason: str) -> None:
    async with session(settings) as opened:
        row = await opened.find(reference)
        if not await opened.client.cancel(row.run_id, reason):
            raise RunFinishedError(f"run {row.run_id} has ended already: {row.status}", run_id=row.run_id)
        note(f"asked {row.run_id} to stop; a worker records its end")


def json_argument(text: str) -> Any:
    """A JSON argument of a command; OptionError shows where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        fix = f"""quote it for the shell and for JSON: '"{text}"'""" if text.isalnum() else "check quotes and commas"
        raise OptionError(f"{text[:200]!r} is no JSON: {error}", fix=fix) from error

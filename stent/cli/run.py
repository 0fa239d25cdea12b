"""`stent run`: start a run, work on it in this process, follow it, and print its result."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from stent.cli import exits
from stent.cli.apps import find_function
from stent.cli.entry import Settings
from stent.cli.seed import fix_hash_seed
from stent.cli.session import Session, session, settings_of
from stent.cli.show import timeline_in
from stent.cli.telling import json_argument
from stent.cli.terminal import console, note, one_line, printable, write, write_json
from stent.client.checked import checked_id
from stent.client.options import StartOptions
from stent.client.serving import Serving, WorkerLifecycle, worker_options
from stent.codec import describe
from stent.duration import parse_duration
from stent.errors import ExpiryError, OptionError
from stent.history.events import Event, RunCompleted, RunContinuedAsNew, RunFailed
from stent.inspect.failure import traceback_in
from stent.inspect.plain import payload_facts
from stent.inspect.timeline import outcome_text
from stent.registry import Function
from stent.replay.watch import strict

T = TypeVar("T")

LOOK_S = 0.1
MAX_LIVE_LINES = 30


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run, and how."""

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    run_id: str | None
    timeout_us: int | None
    concurrency: int
    is_detached: bool


@click.command()
@click.argument("target", metavar="MODULE:FUNCTION")
@click.argument("arguments", metavar="[JSON]", default="[]")
@click.option("--id", "run_id", metavar="ID", help="Your own id: asked for twice, the run is started once.")
@click.option("--detach", is_flag=True, help="Only start it, for workers elsewhere; prints its id.")
@click.option("--timeout", metavar="DURATION", help="How long to wait, such as 30s. The run goes on afterwards.")
@click.option("--concurrency", default=10, show_default=True, metavar="N", help="Bodies that run here at a time.")
@click.pass_context
def run(
    context: click.Context,
    target: str,
    arguments: str,
    run_id: str | None,
    detach: bool,
    timeout: str | None,
    concurrency: int,
) -> None:
    """Start a run of MODULE:FUNCTION, work on it here, and print its result as JSON.

    JSON is a list of positional arguments or an object of keyword arguments: '[1, 2]' or '{"id": 1}'. Ctrl-C loses
    nothing: any worker goes on with the run.
    """
    settings = settings_of(context)
    args, kwargs = call_arguments(json_argument(arguments))
    timeout_us = parse_duration(timeout, name="timeout") if timeout is not None else None
    checked = checked_id(run_id) if run_id is not None else None
    fix_hash_seed(settings)
    function = find_function(target)
    wish = Wish(function, args, kwargs, checked, timeout_us, concurrency, detach)
    with strict():  # somebody is looking: the time for a first execution to be watched
        context.exit(asyncio.run(_run(settings, wish)))


def call_arguments(given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments from a JSON value."""
    if isinstance(given, list):
        return tuple(given), {}
    if isinstance(given, dict):
        return (), given
    raise OptionError("the arguments are neither a list nor an object", fix="write one argument as a list: '[42]'")


async def _run(settings: Settings, wish: Wish) -> int:
    payload = wish.function.encode_arguments(wish.args, wish.kwargs)
    async with session(settings, may_create=True) as opened:
        options = StartOptions(run_id=wish.run_id)
        if wish.is_detached:
            write(await opened.client.start(wish.function, payload, options))
            return exits.OK
        async with _serving(opened, wish.concurrency) as working:
            run_id = await opened.client.start(wish.function, payload, options)
            note(f"run {one_line(run_id)}")
            try:
                ended = await _with(working, _follow(opened, run_id, wish.timeout_us))
            except asyncio.CancelledError:  # Ctrl-C
                note(f"run {one_line(run_id)} is not lost: the same command, or any worker, goes on with it")
                raise
        return _tell(run_id, ended)


@contextlib.asynccontextmanager
async def _serving(opened: Session, concurrency: int) -> AsyncIterator[asyncio.Task[None]]:
    """A worker in this process; its task, which only ends by itself if the worker fails."""
    lifecycle = WorkerLifecycle()
    options = worker_options(concurrency)
    working = asyncio.create_task(Serving(opened.client).serve(options, lifecycle), name="stent-worker")
    try:
        await _with(working, lifecycle.wait_until_ready())
        yield working
    finally:
        lifecycle.drain()
        await working


async def _with(working: asyncio.Task[None], wanted: Coroutine[Any, Any, T]) -> T:
    """The outcome of `wanted`, unless the worker that it depends on fails first: then that is the error."""
    waiting = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            working.result()
        return await waiting
    finally:
        waiting.cancel()


async def _follow(opened: Session, run_id: str, timeout_us: int | None) -> Event | str:
    """The event that ends the run, or the reason why it is stalled; ExpiryError when the time is over."""
    limit = asyncio.timeout(timeout_us / 1_000_000 if timeout_us is not None else None)
    try:
        async with limit:
            if sys.stderr.isatty():
                return await _watch(opened, run_id)
            return await _wait(opened, run_id)
    except TimeoutError:
        if not limit.expired():
            raise
    raise ExpiryError(
        f"run {run_id} had no outcome in time",
        fix=f"it is not lost: stent worker goes on with it, and `stent why {run_id}` says what it waits for",
        run_id=run_id,
    )


async def _wait(opened: Session, run_id: str) -> Event | str:
    """Wait for the end without a word; what is written between two looks is seen at the next one."""
    while True:
        row = await opened.client.get(run_id)
        if row.is_ended:
            ended = next(event for event in await opened.history(run_id) if event.is_terminal)
            if not isinstance(ended, RunContinuedAsNew):
                return ended
            run_id = ended.next_run
        elif row.status == "stalled":
            return row.stall or "stalled"
        else:
            await asyncio.sleep(LOOK_S)


async def _watch(opened: Session, run_id: str) -> Event | str:
    """The same with the timeline drawn on the terminal as it grows."""
    from rich.live import Live

    from stent.cli.drawing import drawing

    screen = console(stderr=True)
    waiting = asyncio.ensure_future(_wait(opened, run_id))
    with Live(console=screen, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            await asyncio.wait([waiting], timeout=LOOK_S * 2)
            row = await opened.client.get(run_id)
            timeline = await timeline_in(opened, row, await opened.history(run_id))
            is_ascii = screen.options.ascii_only
            lines = max(1, min(MAX_LIVE_LINES, screen.height - 6))
            live.update(drawing(timeline, screen.width, is_ascii=is_ascii, max_lines=lines), refresh=True)
            if waiting.done():
                return waiting.result()


def _tell(run_id: str, ended: Event | str) -> int:
    """Print the outcome; the exit code that it means."""
    if isinstance(ended, str):
        note(printable(ended), style="magenta")
        return exits.DIVERGED
    if isinstance(ended, RunCompleted):
        write_json(payload_facts(ended.result))
        return exits.OK
    if isinstance(ended, RunFailed):
        frames = traceback_in(ended.error)
        note(printable(frames or describe(ended.error)))
    note(f"run {one_line(run_id)} failed: {one_line(outcome_text(ended))}", style="red")
    return exits.FAILED

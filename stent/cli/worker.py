"""`stent worker`: a process that works on runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence

import click

from stent.cli.apps import load
from stent.cli.entry import Settings
from stent.cli.seed import fix_hash_seed
from stent.cli.session import Session, session, settings_of
from stent.cli.terminal import note
from stent.client.serving import Serving, WorkerLifecycle, on_sigterm, worker_options
from stent.registry import default_registry
from stent.worker.worker import WorkerOptions


@click.command()
@click.argument("apps", nargs=-1, required=True, metavar="APP...")
@click.option("--concurrency", default=10, show_default=True, metavar="N", help="Bodies that run at a time.")
@click.option("--queue", "queues", multiple=True, metavar="Q", help="Take only from this queue; may be given again.")
@click.option("--tag", "tags", multiple=True, metavar="T", help="Take only what has this tag; may be given again.")
@click.option("--until-idle", is_flag=True, help="End when nothing is left to do.")
@click.option("--lease", default="10s", show_default=True, help="How long others wait for a worker that went silent.")
@click.option("--grace", default="5s", show_default=True, help="How long running bodies may go on when draining.")
@click.pass_context
def worker(
    context: click.Context,
    apps: Sequence[str],
    concurrency: int,
    queues: Sequence[str],
    tags: Sequence[str],
    until_idle: bool,
    lease: str,
    grace: str,
) -> None:
    """Work on the runs of the durable functions in the modules APP.

    SIGTERM and Ctrl-C drain: running bodies get their grace, waiting runs are given back, and the exit code is 0.
    A second Ctrl-C ends at once; nothing that was recorded is lost by that either.
    """
    settings = settings_of(context)
    fix_hash_seed(settings)
    options = worker_options(
        max_concurrency=concurrency,
        queues=queues or None,
        tags=tags or None,
        lease_duration=lease,
        poll_interval=1.0,
        grace=grace,
        until_idle=until_idle,
    )
    load(apps)
    asyncio.run(_work(settings, options))


async def _work(settings: Settings, options: WorkerOptions) -> None:
    async with session(settings, may_create=True) as opened:
        lifecycle = WorkerLifecycle()
        announcing = asyncio.ensure_future(_announce(opened, options, lifecycle))
        try:
            with on_sigterm(lifecycle.drain), _on_first_interrupt(lifecycle):
                await Serving(opened.client).serve(options, lifecycle)
        finally:
            announcing.cancel()
    note("worker stopped")


async def _announce(opened: Session, options: WorkerOptions, lifecycle: WorkerLifecycle) -> None:
    await lifecycle.wait_until_ready()
    count = len(default_registry.names())
    note(f"worker ready: {count} functions, {options.slots} slots, {opened.backend.url}")


@contextlib.contextmanager
def _on_first_interrupt(lifecycle: WorkerLifecycle) -> Iterator[None]:
    """The first Ctrl-C drains, the second one interrupts."""
    loop = asyncio.get_running_loop()

    def react() -> None:
        note("draining; Ctrl-C again ends at once")
        loop.remove_signal_handler(signal.SIGINT)
        lifecycle.drain()

    loop.add_signal_handler(signal.SIGINT, react)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)

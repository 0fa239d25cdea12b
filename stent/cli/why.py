"""`stent why`: what a run waits for."""

from __future__ import annotations

import asyncio
import linecache
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from stent.cli.apps import load
from stent.cli.entry import Settings
from stent.cli.seed import fix_hash_seed
from stent.cli.session import Session, session, settings_of
from stent.cli.terminal import note, printable, report, write, write_json
from stent.errors import DivergenceError
from stent.history import wire
from stent.history.events import Event, Site
from stent.history.records import LoadedRun, RunFilter
from stent.inspect.plain import run_facts
from stent.inspect.waiting import Surroundings, why as explain
from stent.registry import default_registry
from stent.replay.replayer import is_orchestrator, replay

MAX_CHILDREN = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A run, why it waits, and where its program stands: for each task its path and its awaits, outermost first."""

    loaded: LoadedRun
    history: list[Event]
    text: str
    stacks: list[tuple[str, list[Site]]] = field(default_factory=list)
    divergence: DivergenceError | None = None


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--app", "apps", multiple=True, metavar="MODULE", envvar="STENT_APP", help="Show the await stack too.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def why(context: click.Context, run: str, apps: Sequence[str], as_json: bool) -> None:
    """Say what RUN waits for, since when, and what would unblock it. Needs no worker.

    With --app the program is replayed here (no activity runs), and every line that it waits at is shown.
    """
    settings = settings_of(context)
    if apps:
        fix_hash_seed(settings)
    load(apps)
    answer = asyncio.run(_ask(settings, run))
    if as_json:
        stacks = [{"task": path, "stack": [str(site) for site in stack]} for path, stack in answer.stacks]
        write_json({**run_facts(answer.loaded.run), "why": answer.text, "stacks": stacks})
        return
    write(printable(answer.text))
    for path, stack in answer.stacks:
        write("\n".join(["", f"task {path} waits at", *(_shown(site) for site in stack)]))
    if answer.divergence is not None:
        note("\nthe code here does not fit its history:")
        report(answer.divergence)


async def _ask(settings: Settings, reference: str) -> Answer:
    async with session(settings) as opened:
        row = await opened.find(reference)
        link = await opened.client.link()
        (loaded,) = await link.read(opened.store.load_runs, [row.run_id])
        history = wire.decode_history(loaded.rows)
        text = explain(loaded, history, await _surroundings(opened, row.run_id))
        stacks, divergence = _stand(loaded, history)
        return Answer(loaded, history, text, stacks, divergence)


async def _surroundings(opened: Session, run_id: str) -> Surroundings:
    link = await opened.client.link()
    workers = await link.read(opened.store.list_workers)
    children = await opened.client.list_runs(RunFilter(parent_run=run_id, limit=MAX_CHILDREN))
    return Surroundings(opened.store.now_us(), tuple(workers), tuple(children))


def _stand(loaded: LoadedRun, history: list[Event]) -> tuple[list[tuple[str, list[Site]]], DivergenceError | None]:
    """Where the program stands, if its function is known here."""
    function = default_registry.get(loaded.run.function)
    if function is None or loaded.run.is_ended or not is_orchestrator(history):
        return [], None
    try:
        replayed = replay(function, history)
    except DivergenceError as error:
        return [], error
    stacks = replayed.execution.waiting_stacks()
    replayed.execution.close()
    return stacks, None


def _shown(site: Site) -> str:
    """A site with its line of code, if the file is here."""
    code = linecache.getline(_path_of(site), site.line).strip()
    return printable(f"  {site}" + (f"\n      {code}" if code else ""))


def _path_of(site: Site) -> str:
    """The file that a site means: histories hold no folders of a machine, so it is looked for among the modules."""
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if name and Path(name).as_posix().endswith(f"/{site.file}"):
            return str(name)
    return site.file

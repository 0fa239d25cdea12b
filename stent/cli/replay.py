"""`stent replay`: stored histories against the code that is here.

No activity runs: a replay feeds recorded results back and compares what the program wants with what was recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from stent.cli import exits
from stent.cli.apps import load
from stent.cli.bar import progress
from stent.cli.entry import Settings
from stent.cli.judging import SHAPES_A_CHUNK, VERDICTS_A_CHUNK, judges, shapes, verdicts
from stent.cli.seed import fix_hash_seed
from stent.cli.session import session, settings_of
from stent.cli.terminal import note, printable, report, write, write_json
from stent.errors import CorruptHistoryError, NotConfiguredError, OptionError
from stent.inspect.portable import loads
from stent.inspect.sampling import Survey, choose, survey
from stent.inspect.verdict import Finding, Verdict, judge
from stent.registry import default_registry

SHOWN_REPORTS = 20  # of ten thousand that do not fit nobody reads more


@click.command()
@click.argument("what", metavar="[RUN|FILE]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every run in the database; of equal histories a sample.")
@click.option("--every", "is_every", is_flag=True, help="With --all: replay also those with the shape of another.")
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, metavar="N", help="Use N processes.")
@click.option("--app", "apps", multiple=True, metavar="MODULE", envvar="STENT_APP", help="Where the functions are.")
@click.option("--json", "as_json", is_flag=True, help="A verdict for each history, or with --all the counts, as JSON.")
@click.pass_context
def replay(
    context: click.Context,
    what: Sequence[str],
    is_all: bool,
    is_every: bool,
    processes: int,
    apps: Sequence[str],
    as_json: bool,
) -> None:
    """Re-execute the histories of runs, or of files that `stent export` wrote, with the code here and now.

    Exit code 5 if the code does not fit one of them, 3 if a function is not known here (with --all such runs are
    skipped). Nothing is written and no activity runs.
    """
    settings = settings_of(context)
    if is_all == bool(what):
        raise OptionError("say what to replay", fix="give runs or files, or --all")
    fix_hash_seed(settings)
    load(apps)
    if is_all:
        found = asyncio.run(_survey_database(settings, apps, processes, is_every=is_every))
        data: object = found.facts()
    else:
        found = Survey(tuple(_judge_named(settings, what, apps, processes)))
        data = [verdict.facts() for verdict in found.verdicts]
    if as_json:
        write_json(data)
    else:
        _print(found, is_all=is_all)
    context.exit(exit_code(found.verdicts, is_all=is_all))


def exit_code(verdicts: Sequence[Verdict], *, is_all: bool) -> int:
    """What matters most: a divergence, then a history that cannot be read, then one that nobody here knows."""
    findings = {verdict.finding for verdict in verdicts}
    if "diverged" in findings:
        return exits.DIVERGED
    if "unreadable" in findings:
        return exits.FAILED
    return exits.NOT_FOUND if "unknown" in findings and not is_all else exits.OK


def judge_file(name: str) -> Verdict:
    """A file that `stent export` wrote; CorruptHistoryError names it if it is none."""
    try:
        return judge(loads(Path(name).read_bytes()), default_registry, file=name)
    except CorruptHistoryError as error:
        raise CorruptHistoryError(f"{name}: {error.message}", fix=error.fix, **error.facts) from error


def _judge_named(settings: Settings, what: Sequence[str], apps: Sequence[str], processes: int) -> list[Verdict]:
    """The files and runs that are meant."""
    files = [name for name in what if Path(name).is_file()]
    found = [judge_file(name) for name in files]
    references = [name for name in what if name not in files]
    if not references:
        return found  # no database is needed
    if not settings.database:
        raise NotConfiguredError(
            f"there is no file {references[0]!r}, and no database to look for a run of that name",
            fix="name a file that `stent export` wrote, or the database with --db",
        )
    return found + asyncio.run(_judge_stored_runs(settings, references, apps, processes))


async def _judge_stored_runs(
    settings: Settings, references: Sequence[str], apps: Sequence[str], processes: int
) -> list[Verdict]:
    async with session(settings) as opened:
        run_ids = [(await opened.find(each)).run_id for each in references]
        with judges(opened.store, settings, apps, min(processes, len(run_ids))) as those, progress() as show:
            return show("replaying", those.each(verdicts, run_ids, 1), len(run_ids))


async def _survey_database(settings: Settings, apps: Sequence[str], processes: int, *, is_every: bool) -> Survey:
    """All runs of the database; without `is_every` those whose shapes ask for it."""
    async with session(settings) as opened:
        run_ids = [row.run_id async for row in opened.runs()]
        with judges(opened.store, settings, apps, processes) as those, progress() as show:
            if is_every:
                return Survey(tuple(show("replaying", those.each(verdicts, run_ids, VERDICTS_A_CHUNK), len(run_ids))))
            found = show("comparing", those.each(shapes, run_ids, SHAPES_A_CHUNK), len(run_ids))
            choice = choose(zip(run_ids, found, strict=True))
            chosen = list(choice.shapes)
            return survey(choice, show("replaying", those.each(verdicts, chosen, VERDICTS_A_CHUNK), len(chosen)))


def _print(found: Survey, *, is_all: bool) -> None:
    """Every history that does not fit with its report, up to a number; the others as a sum."""
    telling: set[Finding] = {"diverged", "unreadable"} if is_all else {"diverged", "unreadable", "unknown"}
    told = [verdict for verdict in found.verdicts if verdict.error is not None and verdict.finding in telling]
    for verdict in told[:SHOWN_REPORTS]:
        _report(verdict)
    if len(told) > SHOWN_REPORTS:
        note(f"{len(told) - SHOWN_REPORTS:,} more do not fit or cannot be read; --json names all of them")
    if found.suspects:
        note(f"{found.suspects:,} have the shape of one that does not fit; --every replays them", style="yellow")
    skipped = sorted({verdict.function for verdict in found.verdicts if verdict.finding == "unknown"})
    if skipped:
        note(f"not known here: {printable(', '.join(skipped))}; --app MODULE imports them", style="yellow")
    write(found.summary())


def _report(verdict: Verdict) -> None:
    assert verdict.error is not None, "only what does not fit is reported"
    if verdict.finding == "diverged":
        write(printable(f"DivergenceError [{verdict.error.code}] {verdict.error.message}\n"))
    else:
        note(printable(f"run {verdict.run_id} of {verdict.function}:"))
        report(verdict.error)

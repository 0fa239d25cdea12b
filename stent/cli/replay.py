"""`stent replay`: stored histories against the code that is here.

No activity runs: a replay feeds recorded results back and compares what the program wants with what was recorded.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from stent.cli import exits
from stent.cli.apps import load
from stent.cli.entry import Settings
from stent.cli.seed import fix_hash_seed
from stent.cli.session import Session, session, settings_of
from stent.cli.terminal import console, note, printable, report, write, write_json
from stent.errors import CorruptHistoryError, NotConfiguredError, OptionError, StentError
from stent.inspect.portable import loads
from stent.inspect.verdict import Finding, Verdict, judge, summary
from stent.registry import default_registry


@click.command()
@click.argument("what", metavar="[RUN|FILE]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every run in the database.")
@click.option("--app", "apps", multiple=True, metavar="MODULE", envvar="STENT_APP", help="Where the functions are.")
@click.option("--json", "as_json", is_flag=True, help="A verdict for each history, as JSON.")
@click.pass_context
def replay(context: click.Context, what: Sequence[str], is_all: bool, apps: Sequence[str], as_json: bool) -> None:
    """Re-execute the histories of runs, or of files that `stent export` wrote, with the code here and now.

    Exit code 5 if the code does not fit one of them, 3 if a function is not known here (with --all such runs are
    skipped). Nothing is written and no activity runs.
    """
    settings = settings_of(context)
    if is_all == bool(what):
        raise OptionError("say what to replay", fix="give runs or files, or --all")
    fix_hash_seed(settings)
    load(apps)
    files = [name for name in what if Path(name).is_file()]
    verdicts = [judge_file(name) for name in files]
    references = [name for name in what if name not in files]
    if references and not settings.database:
        raise NotConfiguredError(
            f"there is no file {references[0]!r}, and no database to look for a run of that name",
            fix="name a file that `stent export` wrote, or the database with --db",
        )
    if is_all or references:  # else no database is needed
        verdicts += asyncio.run(_judge_stored_runs(settings, references))
    if as_json:
        write_json([verdict.facts() for verdict in verdicts])
    else:
        _print(verdicts, is_all=is_all)
    context.exit(exit_code(verdicts, is_all=is_all))


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


async def _judge_stored_runs(settings: Settings, references: Sequence[str]) -> list[Verdict]:
    """The runs that are meant, or without one all of them."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    verdicts: list[Verdict] = []
    async with session(settings) as opened:
        ids = [(await opened.find(each)).run_id for each in references]
        ids = ids or [row.run_id async for row in opened.runs()]
        with Progress(*columns, console=console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
            following = bar.add_task("", total=len(ids))
            for run_id in ids:
                verdicts.append(await _judge_stored(opened, run_id))
                bar.advance(following)
    return verdicts


async def _judge_stored(opened: Session, run_id: str) -> Verdict:
    """One stored history; one that cannot be read must not hide what is wrong with the others."""
    try:
        history = await opened.history(run_id)
    except StentError as error:
        return Verdict(run_id, "?", "unreadable", error=error)
    return judge(history, default_registry)


def _print(verdicts: Sequence[Verdict], *, is_all: bool) -> None:
    """Every history that does not fit with its report; the others as a sum."""
    told: set[Finding] = {"diverged", "unreadable"} if is_all else {"diverged", "unreadable", "unknown"}
    for verdict in verdicts:
        if verdict.error is None or verdict.finding not in told:
            continue
        if verdict.finding == "diverged":
            write(printable(f"DivergenceError [{verdict.error.code}] {verdict.error.message}\n"))
        else:
            note(printable(f"run {verdict.run_id} of {verdict.function}:"))
            report(verdict.error)
    skipped = sorted({verdict.function for verdict in verdicts if verdict.finding == "unknown"})
    if skipped:
        note(f"not known here: {printable(', '.join(skipped))}; --app MODULE imports them", style="yellow")
    write(summary(verdicts))

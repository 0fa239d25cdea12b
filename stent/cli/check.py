"""`stent check`: what would not replay, found in the source."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from stent.check.findings import Finding, summary
from stent.check.lint import check as check_target
from stent.check.source import find_target
from stent.cli import exits
from stent.cli.terminal import printable, write, write_json


@click.command()
@click.argument("targets", metavar="MODULE[:FUNCTION]|PATH...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
@click.pass_context
def check(context: click.Context, targets: Sequence[str], as_json: bool) -> None:
    """Look for what would not replay in orchestrators and the helpers that they use.

    The source is read; nothing is imported or run. Exit code 1 if anything is found. `# stent: ok[CODE] reason` on a
    line, or alone on the line above, allows a code there.
    """
    here = Path.cwd()
    folders = [here, *(Path(entry) for entry in sys.path if entry and os.path.isdir(entry))]
    reports = [check_target(find_target(target, folders)) for target in targets]
    found: list[Finding] = list(dict.fromkeys(each for report in reports for each in report.findings))
    if as_json:
        write_json([finding.facts(here) for finding in found])
    else:
        for finding in found:
            write(printable(f"{finding.text(here)}\n"))
        write(summary(found, sum(report.orchestrators for report in reports)))
    context.exit(exits.FAILED if found else exits.OK)

"""The group of commands: which there are, what they have in common, and how each ends.

Rules of this file:
- a command's module is imported when the command is used; `stent --help` knows the others by one line of text;
- every way out of a command is turned into an exit code here and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from stent.cli import exits
from stent.cli.terminal import note, printable, report
from stent.errors import StentError

PACKAGE = "stent-replay"

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("stent.cli.demo", "See a worker killed in the middle, and nothing lost."),
    "run": ("stent.cli.run", "Start a run, work on it here, and print its result."),
    "worker": ("stent.cli.worker", "Work on runs until SIGTERM, which drains."),
    "ls": ("stent.cli.listing", "List runs, newest first."),
    "show": ("stent.cli.show", "Draw the timeline of a run."),
    "history": ("stent.cli.history", "Print the recorded events of a run."),
    "why": ("stent.cli.why", "Say what a run waits for, and what would unblock it."),
    "signal": ("stent.cli.telling", "Send a named message to a run."),
    "cancel": ("stent.cli.telling", "Ask a run to stop."),
    "export": ("stent.cli.export", "Write a run's history as portable JSON."),
    "db": ("stent.cli.db", "Create or migrate the tables, or say where they stand."),
    "check": ("stent.cli.check", "Find what would not replay in the source."),
    "replay": ("stent.cli.replay", "Re-execute stored histories against the code here."),
    "patches": ("stent.cli.patches", "Say which patches have live runs, and which are dead code."),
    "doctor": ("stent.cli.doctor", "Say which runs are stalled, and why."),
}
"""Name -> (module with a click command of that name, one line of help)."""


@dataclass(slots=True)
class Settings:
    """What the options before the command say. `may_restart`: this is a process of ours, not a caller's."""

    database: str | None = None
    may_restart: bool = False


class Commands(click.Group):
    """Commands that are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        command: click.Command = getattr(importlib.import_module(found[0]), cmd_name)
        if not any(parameter.name == "database" for parameter in command.params):
            command.params.append(_database_option())
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with did-you-mean."""
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"there is no command {printable(args[0])!r}.{meant}")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run a command and leave with its exit code."""
        extra["standalone_mode"] = False
        sys.exit(self._run(args, *rest, **extra))

    def _run(self, *args: Any, **extra: Any) -> int:
        _take_any_text()
        try:
            found = super().main(*args, **extra)
            return found if isinstance(found, int) else exits.OK
        except StentError as error:
            report(error)
            return exits.exit_code_of(error)
        except click.exceptions.Exit as leaving:
            return leaving.exit_code
        except click.ClickException as error:
            error.show()
            return exits.USAGE
        except (KeyboardInterrupt, click.Abort):
            note("interrupted")
            return exits.INTERRUPTED

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """As click does it, help and version included, with a clean end where the reader of a pipe has gone."""
        with _quiet_end_of_pipe():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it, likewise."""
        with _quiet_end_of_pipe():
            found = super().invoke(ctx)
            sys.stdout.flush()
            return found


def _database_option() -> click.Option:
    """`--db` behind the command's name, where many will write it. It wins over the one in front."""

    def choose(context: click.Context, _parameter: click.Parameter, database: str | None) -> None:
        if database is not None:
            context.ensure_object(Settings).database = database

    return click.Option(["--db", "database"], metavar="URL", hidden=True, expose_value=False, callback=choose)


def _take_any_text() -> None:
    """A terminal that cannot show a character gets its escape: no text may end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _quiet_end_of_pipe() -> Iterator[None]:
    """Where nobody reads any longer: silence, and an exit code of its own."""
    try:
        yield
    except BrokenPipeError:
        _silence()
        raise click.exceptions.Exit(exits.BROKEN_PIPE) from None


def _silence() -> None:
    """Nobody reads any longer: what is still buffered must not complain when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def tell_version(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    """The version that is installed; a checkout that nobody installed has none."""
    if not is_wanted:
        return
    from importlib import metadata

    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        version = "of a checkout"
    click.echo(f"stent {version}")
    context.exit(exits.OK)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 the run failed, 2 usage, 3 not found, 4 no database or not migrated, "
    "5 the code does not fit the history, 6 timeout, 130 Ctrl-C.",
)
@click.option(
    "--db",
    "database",
    envvar="STENT_DATABASE_URL",
    metavar="URL",
    help="The database: sqlite:///app.db or a file name. Default: STENT_DATABASE_URL.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=tell_version, help="Show it, exit."
)
@click.pass_context
def commands(context: click.Context, database: str | None) -> None:
    """Durable functions for Python: start, watch and repair runs.

    RUN is a run's id, the beginning of one, @last or @last-failed.
    """
    settings = context.ensure_object(Settings)
    settings.database = database


def main() -> NoReturn:
    """Run the command that the process was started with."""
    commands.main(prog_name="stent", obj=Settings(may_restart=True))

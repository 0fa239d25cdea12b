"""Writing for people and for pipes.

Rules of this file:
- data goes to stdout, everything else to stderr;
- no text reaches a terminal before `printable` has seen it: payloads are anybody's, and an escape sequence in one
  must not move a cursor;
- JSON is read by programs: one document, or one a line, without colour.
"""

from __future__ import annotations

import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any

import click

from stent.errors import StentError

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 120  # columns where nobody says how many there are
ONE_LINE_CHARS = 100


def printable(text: object) -> str:
    """A text whose only control character is the line end; the others are shown as escapes."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in shown)


def one_line(text: object) -> str:
    """The same on one line."""
    return printable(text).replace("\n", "\\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Plain data as JSON in which nothing can act on a terminal either; readable where it is text."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def write(text: str) -> None:
    """A line of data."""
    click.echo(text)


def write_json(value: Any) -> None:
    """One JSON document: on one line for a pipe, and indented for a person if it is longer than a line."""
    text = json_text(value)
    if len(text) > ONE_LINE_CHARS and sys.stdout.isatty():
        text = json_text(value, indent=2)
    write(_encodable(text))


def note(text: str, *, style: str | None = None) -> None:
    """A line about what is going on; for people, so not on stdout."""
    click.echo(click.style(text, fg=style) if style else text, err=True, color=_colour())


def report(error: StentError) -> None:
    """An error as its code, what happened, and the way out."""
    title, *rest = printable(error.message or type(error).__name__).split("\n")
    head = click.style(f"{type(error).__name__} [{error.code}]", fg="red", bold=True)
    lines = [f"{head} {title}", *rest]
    if error.fix:
        lines.append(f"  {click.style('fix:', fg='green')} {printable(error.fix)}")
    click.echo("\n".join(lines), err=True, color=_colour())


def console(*, stderr: bool = False) -> Console:
    """A rich console on the stream of this moment. It honours NO_COLOR by itself."""
    from stent.cli.consoles import StreamConsole

    stream: IO[str] = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return StreamConsole(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def _colour() -> bool | None:
    """False where colour is not wanted; None leaves it to click, which looks whether it is a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _encodable(text: str) -> str:
    """JSON that the stream can carry, whatever its encoding."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in text)
    return text

"""A bar at the terminal that says how far something is; nowhere else is anything said."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from stent.cli.terminal import console

T = TypeVar("T")


class Show(Protocol):
    """Collects what comes in chunks, while a line says what is done and how much of it."""

    def __call__(self, doing: str, chunks: Iterable[list[T]], total: int) -> list[T]: ...


@contextlib.contextmanager
def progress() -> Iterator[Show]:
    """One line for each thing that is shown; all are gone at the end."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:

        def show(doing: str, chunks: Iterable[list[T]], total: int) -> list[T]:
            following = bar.add_task(doing, total=total)
            answers: list[T] = []
            for chunk in chunks:
                answers += chunk
                bar.advance(following, len(chunk))
            return answers

        yield show

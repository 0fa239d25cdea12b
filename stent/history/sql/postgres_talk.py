"""Talking to PostgreSQL: statements, tables that are sent along, and talks that share round trips.

Rules of this file:
- what is to be written for many operations of a kind is one statement: its rows travel as arrays and are unnested;
- a talk yields the statements it wants answered, is sent their rows, and returns one outcome for each operation;
- talks of one level know nothing of each other, so each round trip carries the statements of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from stent.history.operations import Outcome
from stent.history.sql.rows import Row

NOW = "$now$"
"""Stands for the time in statements: the database's, or in tests the one that a test has set."""

DATABASE_TIME = "(extract(epoch from statement_timestamp()) * 1000000)::bigint"  # stable, so an index can serve it
TEST_TIME = "current_setting('stent.now_us')::bigint"


class Statement(NamedTuple):
    """A statement with its values, by place or by name."""

    sql: str
    values: Sequence[Any] | Mapping[str, Any] = ()


Answers: TypeAlias = list[list[Row]]
Talk: TypeAlias = Generator[list[Statement], Answers, list[Outcome]]
Send: TypeAlias = Callable[[list[Statement]], Answers]


def converse(talks: Sequence[Talk], send: Send) -> list[list[Outcome]]:
    """Carry on several talks at once; the outcomes of each."""
    outcomes: list[list[Outcome]] = [[] for _ in talks]
    open_talks: dict[int, list[Statement]] = {}

    def go_on(place: int, answers: Answers | None) -> None:
        try:
            open_talks[place] = talks[place].send(answers) if answers is not None else next(talks[place])
        except StopIteration as end:
            open_talks.pop(place, None)
            outcomes[place] = end.value

    for place in range(len(talks)):
        go_on(place, None)
    while open_talks:
        asked = list(open_talks.items())
        answers = send([statement for _, statements in asked for statement in statements])
        for place, statements in asked:
            own, answers = answers[: len(statements)], answers[len(statements) :]
            go_on(place, own)
    return outcomes


class Sent:
    """A table that travels with a statement: `sql` goes behind FROM, `values` are the arrays for its placeholders."""

    def __init__(self, name: str, columns: Mapping[str, str], *, has_place: bool = False) -> None:
        kinds = ", ".join(f"%s::{kind}[]" for kind in columns.values())
        names = [*columns, "place"] if has_place else list(columns)
        ordinality = " WITH ORDINALITY" if has_place else ""
        self.columns = tuple(columns)
        self.kinds = tuple(columns.values())
        self.sql = f"unnest({kinds}){ordinality} AS {name} ({', '.join(names)})"
        self._writers = [_WRITERS.get(kind, numbers) for kind in columns.values()]

    def values(self, table: Iterable[Row]) -> list[str]:
        columns = list(zip(*table, strict=True)) or [()] * len(self._writers)
        return [write(column) for write, column in zip(self._writers, columns, strict=True)]


# Arrays are written here: the driver's own writer for lists takes seven times as long (24 values: 40 us against 6).


def numbers(values: Iterable[int | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def flags(values: Iterable[bool]) -> str:
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def blobs(values: Iterable[bytes | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]) + "}"


def plain_text(value: int | str | bytes | None) -> str | None:
    """A value for a placeholder with a cast. As text all values look alike, and so do the statements that hold them."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return None if value is None else str(value)


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


_WRITERS: dict[str, Callable[[Iterable[Any]], str]] = {"text": texts, "bytea": blobs, "boolean": flags}

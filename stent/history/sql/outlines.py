"""Outlines of many histories at once: the one question whose answer is as long as the database is large.

Rule of this file: rows come from the driver as they are, are checked column by column, and stay as they are. A history
of 42 events took 240 us as rows of SQLAlchemy, checked one by one, and takes 90 so (2026-11, SQLite, a busy machine).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from operator import itemgetter

import sqlalchemy as sa

from stent.history.records import Outline
from stent.history.sql import rows
from stent.history.sql.schema import events

IDS_A_QUESTION = 500  # well under the number of parameters that either database takes
RUN_IDS: sa.BindParameter[Sequence[str]] = sa.bindparam("run_ids", expanding=True)

_OUTLINES = (
    sa.select(*(events.c[name.strip()] for name in rows.OUTLINE_COLUMNS.split(",")))
    .where(events.c.run_id.in_(RUN_IDS))
    .order_by(events.c.run_id, events.c.seq)
)
_RUN_OF = itemgetter(0)


class OutlineReads:
    """The part of an SQL store that reads them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._single = engine
        """For questions of one statement, where a transaction around it would cost round trips."""

    def _errors(self) -> AbstractContextManager[None]:
        """Turns errors of the driver into ours, where SQLAlchemy does not see them."""
        raise NotImplementedError("a store knows its driver")

    def read_outlines(self, run_ids: Sequence[str]) -> dict[str, list[Outline]]:
        found: dict[str, list[Outline]] = {}
        for some in batches(run_ids, IDS_A_QUESTION):
            with self._errors(), self._single.connect() as connection:
                cursor = connection.execute(_OUTLINES, {"run_ids": some}).cursor
                assert cursor is not None, "a question has an answer"
                read = cursor.fetchall()
            for run_id, outlines in groupby(rows.outlines(read), _RUN_OF):
                found[run_id] = list(outlines)
        return found


def batches(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]

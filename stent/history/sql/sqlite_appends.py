"""Plain appends, those that only add events, of several runs as one statement on SQLite.

Why: a statement is one step of the driver, which lets go of Python's lock once and has to win it back once, however
many rows it writes; a transaction of single statements wins it back for each, against an event loop that is busy.

Rules of this file:
- all or nothing: the rows are written if every run is still its holder's and stands where its append says, else none
  is, and who asks has to go through them one by one;
- a statement of its own is a transaction of its own (SQLite's autocommit), with one commit like any other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeGuard

from stent.history.operations import Append, Operation
from stent.history.sql.cursor import Cursor, marks
from stent.history.sql.rows import EVENT_COLUMN_COUNT, EVENT_COLUMNS
from stent.history.sql.schema import INLINE_PAYLOAD_BYTES

MOST_RUNS = 32
MOST_ROWS = 64  # 12 values each: the text of the statement is a few KB, and prepared once for each pair of counts
_TEXTS_KEPT = 96  # the driver keeps 128 prepared statements a connection


def are_one_statement(operations: Sequence[Operation]) -> TypeGuard[Sequence[Append]]:
    """Whether they are plain appends, of one run each, and one statement can write them all."""
    if not 0 < len(operations) <= MOST_RUNS:
        return False
    run_ids = set()
    row_count = 0
    for operation in operations:
        if type(operation) is not Append or not operation.adds_events_only:
            return False
        run_ids.add(operation.run_id)
        row_count += len(operation.rows)
    return row_count <= MOST_ROWS and len(run_ids) == len(operations)


def groups(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """The operations in their order: plain appends that one statement can write together, each of the others alone."""
    group: list[Append] = []
    run_ids: set[str] = set()
    row_count = 0
    for operation in operations:
        if type(operation) is not Append or not operation.adds_events_only or len(operation.rows) > MOST_ROWS:
            if group:
                yield group
                group, run_ids, row_count = [], set(), 0
            yield [operation]
            continue
        row_count += len(operation.rows)
        if group and (row_count > MOST_ROWS or len(group) == MOST_RUNS or operation.run_id in run_ids):
            yield group
            group, run_ids, row_count = [], set(), len(operation.rows)
        group.append(operation)
        run_ids.add(operation.run_id)
    if group:
        yield group


def write(cursor: Cursor, appends: Sequence[Append]) -> bool:
    """Write them all; False, and nothing is written, if one cannot be written so.

    That is: another holds its run, or it does not come right after what the run has, or a payload of it is too large
    to lie in its row.
    """
    values: list[Any] = []
    row_count = 0
    for append in appends:
        for row in append.rows:
            payload = row.payload
            if payload is None:
                values += (*row[:8], None, None, row.hash, row.token)
                continue
            codec, data = payload
            if len(data) > INLINE_PAYLOAD_BYTES:
                return False
            values += (*row[:8], codec, data, row.hash, row.token)
        row_count += len(append.rows)
    for append in appends:
        values += (append.run_id, append.epoch, append.rows[0].seq - 1)
    try:
        cursor.execute(_insert(row_count, len(appends)), values)
    except sqlite3.IntegrityError:
        return False
    return cursor.rowcount == row_count


@lru_cache(_TEXTS_KEPT)
def _insert(row_count: int, run_count: int) -> str:
    return (
        f"INSERT INTO stent_events ({EVENT_COLUMNS}) "
        f"SELECT * FROM (VALUES {','.join([marks(EVENT_COLUMN_COUNT)] * row_count)}) WHERE ("
        f"WITH asked (run_id, epoch, head) AS (VALUES {','.join([marks(3)] * run_count)}) SELECT count(*) FROM asked "
        "JOIN stent_runs r ON r.run_id = asked.run_id AND r.epoch = asked.epoch WHERE EXISTS "
        f"(SELECT 1 FROM stent_events e WHERE e.run_id = asked.run_id AND e.seq = asked.head)) = {run_count}"
    )

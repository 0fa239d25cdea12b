"""What an append finds on its way: ids that are taken, and runs that have continued as new. On PostgreSQL.

Rules of this file:
- all of it is asked after what the append writes was written, and only where that was not as it should be;
- the run that goes on in the place of another one is locked out of order, by who tells it something: if that meets
  another transaction half way, the database undoes one of them, and it is done again.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from stent.history.events import EVENT_CODES, CancelRequested, RunContinuedAsNew
from stent.history.operations import Append
from stent.history.records import Message, NewRun
from stent.history.refusals import answer_to_taken
from stent.history.sql import rows
from stent.history.sql.postgres_messages import put
from stent.history.sql.postgres_talk import Answers, Statement, texts
from stent.history.sql.rows import EVENT_COLUMN_COUNT, EVENT_COLUMNS, Row
from stent.history.wire import EventRow

T = TypeVar("T")

_FIRST_EVENTS = f"""
SELECT {", ".join(f"e.{name}" for name in EVENT_COLUMNS.split(", "))}, p.data FROM stent_events e
LEFT JOIN stent_payloads p ON p.run_id = e.run_id AND p.seq = e.seq WHERE e.run_id = ANY(%s::text[]) AND e.seq = 1
"""
_NEXT_RUNS = f"""
SELECT run_id, body FROM stent_events
WHERE run_id = ANY(%s::text[]) AND code = {EVENT_CODES[RunContinuedAsNew]}
"""

Place: TypeAlias = tuple[str, int]
"""The run of an append, and the place of a message in it."""

Asking: TypeAlias = Generator[list[Statement], Answers, T]


@dataclass(slots=True)
class Detours:
    """What did not go as asked for, by run: children that were not started, messages that another run got."""

    taken: dict[str, list[int]] = field(default_factory=dict)
    led_on: dict[Place, str] = field(default_factory=dict)

    def taken_of(self, run_id: str) -> tuple[int, ...]:
        return tuple(self.taken.get(run_id, ()))

    def led_on_of(self, run_id: str) -> tuple[tuple[int, str], ...]:
        return tuple((place, told) for (by, place), told in self.led_on.items() if by == run_id)


def detours_of(operations: Sequence[Append], begun: Sequence[Row], results: Sequence[Row]) -> Asking[Detours]:
    """What follows where an id was taken or a cancel came too late: told by what was begun and what puts answered."""
    detours = Detours()
    started = {run_id for (run_id,) in begun}
    first = first_of_each(operations)
    refused = []
    for operation in operations:
        for place, child in enumerate(operation.children):
            if child.run_id not in started or first[child.run_id] is not child:
                detours.taken.setdefault(operation.run_id, []).append(place)
                refused.append(child)
    if refused:
        yield from _refuse(refused)
    put_of_each = ((op.run_id, place, message) for op in operations for place, message in enumerate(op.messages))
    late = {
        (run_id, place): message
        for (run_id, place, message), (result,) in zip(put_of_each, results, strict=True)
        if result == "ended" and isinstance(message.event, CancelRequested)
    }
    if late:
        detours.led_on = yield from _lead_on(late)
    return detours


def first_of_each(operations: Sequence[Append]) -> dict[str, NewRun]:
    """The children by id: of two with one id, the first is started."""
    return {child.run_id: child for operation in reversed(operations) for child in reversed(operation.children)}


def first_events(run_ids: Iterable[str]) -> Statement:
    return Statement(_FIRST_EVENTS, (texts(sorted(set(run_ids))),))


def started_by_others(children: Sequence[NewRun], firsts: Sequence[Row]) -> tuple[int, ...]:
    """The places of children that the append, which has them, did not start."""
    tokens = {run_id: row.token for run_id, row in first_of_runs(firsts).items()}
    starts = enumerate(child.started for child in children)
    return tuple(place for place, row in starts if tokens[row.run_id] != row.token)


def _refuse(children: Sequence[NewRun]) -> Asking[None]:
    """Tell those who asked for runs that have ids of others."""
    (firsts,) = yield [first_events(child.run_id for child in children)]
    found = first_of_runs(firsts)
    answers = [answer_to_taken(child, found[child.run_id]) for child in children]
    messages = [answer for answer in answers if answer is not None]
    if messages:
        yield [put(messages)]


def _lead_on(late: dict[Place, Message]) -> Asking[dict[Place, str]]:
    """Put what came too late for a run to the one that goes on in its place; by place, the run that got it."""
    told: dict[Place, str] = {}
    while late:
        (found,) = yield [Statement(_NEXT_RUNS, (texts(sorted({message.run_id for message in late.values()})),))]
        next_runs: dict[str, str] = {run_id: json.loads(body)["next_run"] for run_id, body in found}
        late = {
            place: replace(message, run_id=next_runs[message.run_id])
            for place, message in late.items()
            if message.run_id in next_runs
        }
        if late:
            (results,) = yield [put(late.values())]
            answered = dict(zip(late, results, strict=True))
            told.update({place: late[place].run_id for place, (result,) in answered.items() if result != "ended"})
            late = {place: late[place] for place, (result,) in answered.items() if result == "ended"}
    return told


def first_of_runs(firsts: Sequence[Row]) -> dict[str, EventRow]:
    """The answer to `first_events`, by run."""
    return {row[0]: rows.event_row(row, row[EVENT_COLUMN_COUNT]) for row in firsts}

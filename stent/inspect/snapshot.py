"""A database read through plain SQL, independent of the stores: what the checker of invariants looks at.

Rules of this file:
- SELECT only, without parameters, so that any driver's connection will do;
- of Stent's own code only the wire format is used: a bug of a store or of the fold must not hide itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from stent.codec import Payload
from stent.history.wire import EventRow

Ranges = tuple[tuple[int, int], ...]


class Connection(Protocol):
    """What is used of a connection, such as one of sqlite3. It should see one state: hand it in with a transaction."""

    def execute(self, sql: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Run:
    """A row of `stent_runs`."""

    run_id: str
    function: str
    status: str
    limit_key: str | None
    parent_run: str | None
    parent_call: int | None
    parent_item: int | None
    epoch: int
    owner: str | None
    started_at_us: int | None
    finished_at_us: int | None
    stall: str | None


@dataclass(frozen=True, slots=True)
class Ready:
    """A row of `stent_ready`: a run (call 0), a shared call, or a part of a batch."""

    run_id: str
    call: int
    first_item: int
    seq: int
    items: Ranges
    size: int
    attempt: int
    limit_key: str | None
    claimed_by: str | None
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of `stent_inbox`, without a place in a history."""

    key: str
    row: EventRow


@dataclass(slots=True)
class Snapshot:
    """Everything but the histories."""

    runs: dict[str, Run]
    ready: list[Ready]
    sleeping: dict[str, int]
    inbox: dict[str, list[Waiting]] = field(default_factory=dict)
    workers: frozenset[str] = frozenset()
    limits: dict[str, int] = field(default_factory=dict)


def read_snapshot(connection: Connection) -> Snapshot:
    runs = connection.execute(
        "SELECT run_id, function, status, limit_key, parent_run, parent_call, parent_item, epoch, owner, "
        "started_at_us, finished_at_us, stall FROM stent_runs ORDER BY run_id"
    )
    ready = connection.execute(
        "SELECT run_id, call, first_item, seq, items, size, attempt, limit_key, claimed_by, is_cancelled "
        "FROM stent_ready ORDER BY run_id, call, first_item"
    )
    snapshot = Snapshot(
        {row[0]: Run(*row) for row in runs},
        [_ready(*row) for row in ready],
        dict(connection.execute("SELECT run_id, due_at_us FROM stent_sleeping").fetchall()),
        workers=frozenset(row[0] for row in connection.execute("SELECT worker_id FROM stent_workers")),
        limits=dict(connection.execute("SELECT key, max FROM stent_limits").fetchall()),
    )
    messages = connection.execute(
        "SELECT run_id, key, code, version, call, body, codec, payload FROM stent_inbox ORDER BY n"
    )
    for run_id, key, code, version, call, body, codec, data in messages:
        payload = None if codec is None else Payload(codec, bytes(data))
        row = EventRow(run_id, 0, 0, 0, code, version, call, body, payload, b"")
        snapshot.inbox.setdefault(run_id, []).append(Waiting(key, row))
    return snapshot


def read_histories(connection: Connection) -> Iterator[tuple[str, list[EventRow], list[int]]]:
    """Run after run: its rows as they are, and the seqs whose large payload is missing."""
    found = connection.execute(
        "SELECT e.run_id, e.seq, e.epoch, e.at_us, e.code, e.version, e.call, e.body, e.codec, e.payload, e.hash, "
        "e.token, p.data FROM stent_events e LEFT JOIN stent_payloads p ON p.run_id = e.run_id AND p.seq = e.seq "
        "ORDER BY e.run_id, e.seq"
    )
    for run_id, stored in itertools.groupby(found, lambda row: str(row[0])):
        rows: list[EventRow] = []
        lost: list[int] = []
        for row in stored:
            payload = None
            if row[8] is not None:
                data = row[9] if row[9] is not None else row[12]
                if data is None:
                    lost.append(row[1])
                    data = b""
                payload = Payload(row[8], bytes(data))
            token = None if row[11] is None else bytes(row[11])
            seq, epoch, at_us, code, version, call, body = row[1:8]
            hashed = bytes(row[10])
            rows.append(EventRow(run_id, seq, epoch, at_us, code, version, call, body, payload, hashed, token))
        yield run_id, rows, lost


def _ready(run_id: str, call: int, first_item: int, seq: int, items: str | None, *rest: Any) -> Ready:
    size, attempt, limit_key, claimed_by, is_cancelled = rest
    ranges = _ranges(items)
    return Ready(run_id, call, first_item, seq, ranges, size, attempt, limit_key, claimed_by, bool(is_cancelled))


def _ranges(text: str | None) -> Ranges:
    return tuple((start, stop) for start, stop in json.loads(text)) if text else ()

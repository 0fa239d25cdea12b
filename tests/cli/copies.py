"""Runs that another one is the pattern of: the same history under other ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from stent.history import wire
from stent.history.events import Event, RunStarted
from stent.history.operations import Append, Operation, RegisterWorker, Release, StartRun
from stent.history.records import NewRun
from stent.history.sql.sqlite import SQLiteStore

LEASE_US = 10**12


def copy_run(path: Path, pattern: str, run_ids: Iterable[str]) -> None:
    """Record the events of a run again, as those of other runs."""
    store = SQLiteStore(path, durability="relaxed")
    try:
        store.initialise()
        history = wire.decode_history(store.read_rows(pattern))
        store.commit([RegisterWorker("copier", "host", 1, LEASE_US, None, ())])
        store.commit([operation for run_id in run_ids for operation in _operations(history, run_id)])
    finally:
        store.close()


def _operations(history: Sequence[Event], run_id: str) -> tuple[Operation, Operation]:
    first, *rest = history
    assert isinstance(first, RunStarted)
    token = run_id.encode().rjust(16, b"-")
    started = wire.encode(replace(first, run_id=run_id), run_id, 0, wire.first_hash(run_id), token)
    rows = wire.encode_all(rest, run_id, 1, started.hash, token)
    new = NewRun(run_id, first.function, first.role, started, owner="copier")
    return StartRun(new), Append(run_id, 1, rows, status="completed", at_us=1, release=Release())

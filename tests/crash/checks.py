"""What must be true of a folder when all its flows have ended, whatever was killed on the way."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from stent.backends import StoreBackend
from stent.codec import decode
from stent.history import wire
from stent.history.events import RunCompleted, TimerFired, TimerStarted
from stent.inspect.invariants import Ledger as Acknowledged, check
from stent.registry import default_registry
from tests.crash.ledger import Line, most_at_once
from tests.crash.place import DATABASE, ledger
from tests.crash.program import FLOWS, MAX_CONCURRENT


def check_folder(folder: Path, names: Sequence[str], backend: StoreBackend) -> None:
    """Results, runs, histories and the ledger agree, and nothing finished was begun again."""
    lines = ledger().read()
    check_nothing_recorded_began_again(lines)
    check_limits(lines)
    connection = sqlite3.connect(folder / DATABASE)
    try:
        connection.execute("BEGIN")
        assert [] == [str(violation) for violation in check(connection)]
        assert "ok" == connection.execute("PRAGMA integrity_check").fetchone()[0]
        states = dict(connection.execute("SELECT run_id, status FROM stent_runs").fetchall())
        left = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in EMPTY_AT_THE_END]
    finally:
        connection.close()
    assert dict.fromkeys(states, "completed") == states
    assert sum(FLOWS[name].run_count for name in names) == len(states), "no run was lost, and none was made up"
    assert [0] * len(EMPTY_AT_THE_END) == left, EMPTY_AT_THE_END
    check_histories(list(states), names, backend)


def check_acknowledged(folder: Path) -> None:
    """Whatever was killed, and before anybody repeats anything: what a client was told is done is there."""
    lines = ledger().read()
    starts = [line.function for line in lines if line.what == "started"]
    signals = [(line.function, line.key) for line in lines if line.what == "told"]
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as connection:
        if starts:
            assert [] == [str(violation) for violation in check(connection, Acknowledged(starts, signals))]


EMPTY_AT_THE_END = ("stent_ready", "stent_sleeping", "stent_inbox")


def check_nothing_recorded_began_again(lines: list[Line]) -> None:
    """No body began after its outcome had become durable, and each outcome came from a body that ended well."""
    recorded: dict[str, int] = {}
    ended = {line.key for line in lines if line.what == "end"}
    began: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        if line.what == "recorded":
            recorded.setdefault(line.key, line.at_ns)
        elif line.what == "begin":
            began[line.key].append(line.at_ns)
    for key, times in began.items():
        assert key in ended, "a body that was begun came to its end in the end"
        assert key in recorded, "and its outcome was recorded"
        late = [at_ns for at_ns in times if at_ns > recorded[key]]
        assert [] == late, f"{key} began again after its outcome was durable"


def check_limits(lines: list[Line]) -> None:
    """Within each process, for what a killed one left running is over."""
    for process_id in {line.process_id for line in lines}:
        own = [line for line in lines if line.process_id == process_id and line.function.endswith(":limited")]
        assert most_at_once(own) <= MAX_CONCURRENT


def check_histories(run_ids: Sequence[str], names: Sequence[str], backend: StoreBackend) -> None:
    store = backend.open(check_histories).store
    try:
        for run_id in run_ids:
            rows = store.read_rows(run_id)
            wire.check_chain(rows)
            history = [wire.decode(row) for row in rows]
            last = history[-1]
            if run_id in names:
                assert isinstance(last, RunCompleted)
                assert FLOWS[run_id].expected == decode(last.result, default_registry.types)
            due = {event.call: event.due_us for event in history if isinstance(event, TimerStarted)}
            for event in history:
                if isinstance(event, TimerFired):
                    assert event.at_us >= due[event.call], "never early"
    finally:
        backend.release(check_histories)

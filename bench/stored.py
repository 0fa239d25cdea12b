"""Many stored histories against the code: what `stent replay --all` takes, and where it goes.

Times are CPU seconds of the process (`*_per_cpu_s`) or of its parts, for a gate runs on shared machines; the rate by
the wall is told beside it. The histories are all of one shape, which is what most of a database is.
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core import history_of
from bench.workloads import one_after_another
from stent.history import wire
from stent.history.events import RunStarted
from stent.history.operations import Append, Appended, Operation, RegisterWorker, Release, StartRun
from stent.history.records import NewRun
from stent.history.sql.sqlite import SQLiteStore
from stent.inspect.shapes import shape_of
from stent.registry import default_registry
from stent.replay.replayer import fits

HISTORIES = 10_000
CALLS = 20
RUNS_A_COMMIT = 100
RUNS_A_PART = 50
LEASE_US = 10**12
ROOT = Path(__file__).resolve().parent.parent


def stored_histories(folder: Path, scale: float) -> dict[str, Any]:
    """Ten thousand histories of twenty calls: the command as a whole, then its parts."""
    count = max(RUNS_A_COMMIT, round(HISTORIES * scale))
    path = folder / "stored.db"
    run_ids = _write(path, count)
    found: dict[str, Any] = {"histories": count, "calls": CALLS}
    for name, options in {"sampled": (), "every": ("--every",), "every_j2": ("--every", "-j", "2")}.items():
        wall_s, cpu_s = _command(path, *options)
        found[f"{name}_per_s"] = round(count / wall_s, 1)
        found[f"{name}_per_cpu_s"] = round(count / cpu_s, 1)
    return found | _parts(path, run_ids[: max(RUNS_A_PART, count // 10)])


def _command(path: Path, *options: str) -> tuple[float, float]:
    """Seconds by the wall and of CPU, with the start of the interpreter."""
    command = (
        sys.executable,
        "-m",
        "stent",
        "--db",
        str(path),
        "replay",
        "--all",
        "--app",
        "bench.workloads",
        *options,
    )
    began, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    took_s, ended = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


def _parts(path: Path, run_ids: Sequence[str]) -> dict[str, float]:
    """CPU microseconds a history, by part."""
    store = SQLiteStore(path)
    function = default_registry.find(one_after_another.__stent_function__.name)
    parts: dict[str, Callable[[Any], Any]] = {
        "outline": store.read_outlines,
        "shape": lambda outlines: list(map(shape_of, outlines.values())),
        "read": lambda run_ids: list(map(store.read_rows, run_ids)),
        "decode": lambda rows: list(map(wire.decode_history, rows)),
        "replay": lambda histories: [fits(function, history) for history in histories],
    }
    took_s = dict.fromkeys(parts, 0.0)
    try:
        for some in _chunks(run_ids):
            given: Any = some
            for name, part in parts.items():
                given = some if name == "read" else given
                began_s = time.process_time()
                given = part(given)
                took_s[name] += time.process_time() - began_s
    finally:
        store.close()
    return {f"{name}_us": round(total_s / len(run_ids) * 1_000_000, 1) for name, total_s in took_s.items()}


def _write(path: Path, count: int) -> list[str]:
    """Runs that differ in their ids, as if a worker had carried them out."""
    store = SQLiteStore(path, durability="relaxed")
    try:
        store.initialise()
        store.commit([RegisterWorker("writer", "host", 1, LEASE_US, None, ())])
        run_ids = [f"run-{number:06}" for number in range(count)]
        for some in _chunks(run_ids, RUNS_A_COMMIT):
            outcomes = store.commit([operation for run_id in some for operation in _recorded(run_id)])
            assert all(outcome == Appended() for outcome in outcomes[1::2]), "every history was written whole"
        return run_ids
    finally:
        store.close()


def _recorded(run_id: str) -> tuple[Operation, Operation]:
    """A run with its first event, and all others."""
    first, *rest = history_of(one_after_another, CALLS, run_id)
    assert isinstance(first, RunStarted), "a history begins with it"
    token = run_id.encode().rjust(16, b"-")
    started = wire.encode(first, run_id, 0, wire.first_hash(run_id), token)
    rows = wire.encode_all([replace(event, at_us=1) for event in rest], run_id, 1, started.hash, token)
    new = NewRun(run_id, first.function, first.role, started, owner="writer")
    return StartRun(new), Append(run_id, 1, rows, status="completed", at_us=1, release=Release())


def _chunks(run_ids: Sequence[str], size: int = RUNS_A_PART) -> Iterator[Sequence[str]]:
    for start in itertools.count(0, size):
        some = run_ids[start : start + size]
        if not some:
            return
        yield some

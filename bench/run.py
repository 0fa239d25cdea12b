"""Measure Stent on this machine: JSON to stdout, one line a figure to stderr.

    ./dev bench                  all of it
    ./dev bench sequential map   some of it
    ./dev bench --scale 0.1      with a tenth of the calls
    ./dev bench --repeat 3       the median of three
    ./dev bench --on postgres    on a server of its own, with fsync on

Every figure stands beside a baseline of the same run (single-row commits by the plain driver, on the same disk or
server), for ratios hold when a machine's speed does not. Nothing here asserts: limits are in docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import core, first_execution, kit, sqlite, start, stored, workers, workloads

PLACES = ("sqlite", "postgres")

ON_A_STORE: dict[str, Callable[[workloads.Serving, float], Coroutine[Any, Any, dict[str, Any]]]] = {
    "sequential": workloads.sequential,
    "many": workloads.many,
    "gather": workloads.gather,
    "map": workloads.mapped,
    "empty": workloads.empty,
    "idle": workloads.idle,
}
WITH_WORKERS: dict[str, Callable[[Any, Path, float], Coroutine[Any, Any, dict[str, Any]]]] = {
    "recovery": workers.recovery,
    "handover": workers.handover,
    "processes": workers.two_processes,
}
ON_NONE: dict[str, Callable[[Path, float], dict[str, Any]]] = {
    "replay": core.replay_rates,
    "stored": stored.stored_histories,
    "suspended": core.suspended_size,
    "schedules": kit.schedules,
    "shadow": kit.few_programs,
    "shadow_apart": kit.many_programs,
    "watch": first_execution.watched_turns,
    "import": start.import_time,
    "help": start.help_time,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=", ".join([*ON_A_STORE, *WITH_WORKERS, *ON_NONE])
    )
    parser.add_argument("--on", choices=PLACES, default="sqlite")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    known = {"baseline", *ON_A_STORE, *WITH_WORKERS, *ON_NONE}
    unknown = set(given.workloads) - known
    if unknown:
        parser.error(f"no workload {min(unknown)!r}; there are: {', '.join(sorted(known))}")
    names = given.workloads or [*ON_A_STORE, *WITH_WORKERS, *(ON_NONE if given.on == "sqlite" else ())]
    names = ["baseline", *(name for name in names if name != "baseline")]
    found: dict[str, Any] = {}
    for name in names:
        found[name] = _median([_measure(name, given.on, given.scale) for _ in range(given.repeat)])
        print(name, json.dumps(found[name]), file=sys.stderr, flush=True)
    report = {"machine": _machine(), "on": given.on, "figures": found, "ratios": _ratios(found)}
    print(json.dumps(report, indent=2))


def _measure(name: str, store: str, scale: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="stent-bench-") as folder:
        if name in ON_NONE:
            return ON_NONE[name](Path(folder), scale)
        where = sqlite if store == "sqlite" else import_module("bench.postgres")
        if name == "baseline":
            figures: dict[str, Any] = where.baseline(Path(folder), scale)
            return figures
        with where.empty_backend(Path(folder)) as backend:
            if name in WITH_WORKERS:
                return asyncio.run(WITH_WORKERS[name](backend, Path(folder), scale))
            return asyncio.run(ON_A_STORE[name](lambda: workloads.serving(backend, where.watch), scale))


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Figure by figure, the median of several runs."""
    return {
        key: round(statistics.median(run[key] for run in runs), 4)
        if isinstance(runs[0][key], int | float)
        else runs[0][key]
        for key in runs[0]
    }


def _ratios(found: dict[str, Any]) -> dict[str, float]:
    commits = found["baseline"]["commits_per_s"]
    ratios = {}
    if "sequential" in found:
        ratios["sequential_to_raw_commits"] = found["sequential"]["calls_per_s"] / commits
    if "sequential" in found and "many" in found:
        ratios["many_to_sequential"] = found["many"]["calls_per_s"] / found["sequential"]["calls_per_s"]
    return {name: round(ratio, 3) for name, ratio in ratios.items()}


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.system(),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    main()

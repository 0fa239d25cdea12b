"""Measure Stent on this machine: JSON to stdout, one line a figure to stderr.

    ./dev bench                  all of it
    ./dev bench sequential map   some of it
    ./dev bench --scale 0.1      with a tenth of the calls
    ./dev bench --repeat 3       the median of three

Every figure stands beside a baseline of the same run (plain sqlite3 commits on the same disk), for ratios hold when a
machine's speed does not. Nothing here asserts: limits are in docs/performance.md.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import core, sqlite, start

WORKLOADS: dict[str, Callable[[Path, float], dict[str, Any]]] = {
    "baseline": sqlite.baseline,
    "sequential": lambda folder, scale: asyncio.run(sqlite.sequential(folder, scale)),
    "many": lambda folder, scale: asyncio.run(sqlite.many(folder, scale)),
    "gather": lambda folder, scale: asyncio.run(sqlite.gather(folder, scale)),
    "map": lambda folder, scale: asyncio.run(sqlite.mapped(folder, scale)),
    "empty": lambda folder, scale: asyncio.run(sqlite.empty(folder, scale)),
    "idle": lambda folder, scale: asyncio.run(sqlite.idle(folder, scale)),
    "replay": core.replay_rates,
    "suspended": core.suspended_size,
    "import": start.import_time,
    "help": start.help_time,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    unknown = set(given.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no workload {min(unknown)!r}; there are: {', '.join(WORKLOADS)}")
    names = given.workloads or list(WORKLOADS)
    if "baseline" not in names:
        names = ["baseline", *names]
    found: dict[str, Any] = {}
    for name in names:
        found[name] = _median([_measure(name, given.scale) for _ in range(given.repeat)])
        print(name, json.dumps(found[name]), file=sys.stderr, flush=True)
    print(json.dumps({"machine": _machine(), "figures": found, "ratios": _ratios(found)}, indent=2))


def _measure(name: str, scale: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="stent-bench-") as folder:
        return WORKLOADS[name](Path(folder), scale)


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

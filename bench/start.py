"""Starting: what a process pays before it does anything. Fresh interpreters, warm disk and bytecode.

Seconds by the wall (`*_s`) and of CPU (`*_cpu_s`), each the median of RUNS; the programs take turns, so that a busy
moment of the machine meets all of them. An import is told less an interpreter that does nothing; a command is told as a
person waits for it, with the interpreter.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RUNS = 11
ROOT = Path(__file__).resolve().parent.parent
NOTHING = ("-c", "pass")
DEFINING = """
from stent import Stent

@Stent.durable
async def double(number: int) -> int:
    return 2 * number
"""


def import_time(folder: Path, scale: float) -> dict[str, Any]:
    """`import stent`, and a module that defines a durable function."""
    took = _medians({"nothing": NOTHING, "import": ("-c", "import stent"), "define": ("-c", DEFINING)})
    return {
        f"{name}_{unit}": round(took[f"{name}_{unit}"] - took[f"nothing_{unit}"], 4)
        for name in ("import", "define")
        for unit in ("s", "cpu_s")
    }


def help_time(folder: Path, scale: float) -> dict[str, Any]:
    """`stent --help`."""
    return _medians({"help": ("-m", "stent", "--help")})


def _medians(programs: dict[str, tuple[str, ...]]) -> dict[str, float]:
    for arguments in programs.values():
        _run(arguments)  # compiles what was not compiled yet
    found: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for name, arguments in programs.items():
            wall_s, cpu_s = _run(arguments)
            found.setdefault(f"{name}_s", []).append(wall_s)
            found.setdefault(f"{name}_cpu_s", []).append(cpu_s)
    return {name: round(statistics.median(took), 4) for name, took in found.items()}


def _run(arguments: tuple[str, ...]) -> tuple[float, float]:
    began, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    took_s, ended = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime

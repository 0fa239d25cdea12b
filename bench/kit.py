"""The testing kit: what its checks take of a test run, and how many schedules the explorer plays.

A project of TESTS small tests is made, and pytest runs it with and without a check: seconds by the wall (`*_s`) and of
CPU (`*_cpu_s`), of pytest and of its helper process together, each the median of RUNS. The ways take turns, so that a
busy moment of the machine meets all of them. What is told of a check is its part of the run with it.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from stent import Stent
from stent.testing import explore

RUNS = 7
TESTS = 200
ROOT = Path(__file__).resolve().parent.parent
WAYS = {
    "without": ("--stent-shadow=off", "--stent-watch=off"),
    "watch": ("--stent-shadow=off", "--stent-watch=on"),
    "here": ("--stent-shadow=here", "--stent-watch=off"),
    "shadow": ("--stent-shadow=on", "--stent-watch=off"),
    "all": (),
}
PROGRAM = """
@Stent.durable
async def pay_{number}(order: int) -> int:
    return order + {number}

@Stent.durable
async def order_{number}(order: int) -> list[int]:
    first = await pay_{number}(order)
    await Stent.sleep("1d")
    rest = await asyncio.gather(*[pay_{number}(order + each) for each in range(3)])
    return [first, *rest]
"""
TEST = """
async def test_{test}(stent) -> None:
    assert 4 == len(await shop.order_{number}({test}))
    assert 4 == len(stent.calls(shop.pay_{number}))
"""
SETTINGS = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n"
SCHEDULES = 1_000
ROUNDS = 9


def few_programs(folder: Path, scale: float) -> dict[str, Any]:
    """Many tests of ten programs, as most projects have them."""
    return _checked(folder, round(TESTS * scale), 10)


def many_programs(folder: Path, scale: float) -> dict[str, Any]:
    """A program of its own in each test: the most that a check can take."""
    return _checked(folder, round(TESTS * scale), round(TESTS * scale))


def _checked(folder: Path, tests: int, programs: int) -> dict[str, Any]:
    head = "import asyncio\nfrom stent import Stent\n"
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "shop.py").write_text(head + "".join(PROGRAM.format(number=number) for number in range(programs)))
    written = "".join(TEST.format(test=test, number=test % programs) for test in range(tests))
    (folder / "test_shop.py").write_text("import shop\n" + written)
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for turn in range(RUNS + 1):
        for name, options in WAYS.items():
            measured = _run(folder, options)
            if turn:  # the first one compiles
                took[name].append(measured)
    found: dict[str, Any] = {}
    for place, unit in enumerate(("s", "cpu_s")):
        medians = {name: statistics.median(each[place] for each in took[name]) for name in WAYS}
        for name, median in medians.items():
            found[f"{name}_{unit}"] = round(median, 3)
            if name != "without":
                found[f"{name}_part_of_{unit}"] = round(1 - medians["without"] / median, 3)
    return found


def _run(folder: Path, options: tuple[str, ...]) -> tuple[float, float]:
    began, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    plugins = ("-p", "stent.testing.plugin", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *options],
        check=True,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    took_s, ended = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


@Stent.durable
async def add(number: int) -> int:
    return number + 1


@Stent.durable
async def in_a_row() -> int:
    total = 0
    for _ in range(10):
        total = await add(total)
    return total


@Stent.durable
async def side_by_side() -> int:
    return sum(await Stent.gather(*[add(number) for number in range(10)]))


@Stent.durable
async def mixed() -> int:
    """Ten calls with a sleep, a signal and a time limit among them."""
    total = sum(await Stent.gather(*[add(number) for number in range(4)]))
    await Stent.sleep("1h")
    total += await Stent.wait_for_signal("more")
    return total + sum(await Stent.gather(*[add(number) for number in range(6)]))


def schedules(folder: Path, scale: float) -> dict[str, Any]:
    """Schedules a second of CPU, for programs of ten calls."""
    count = max(20, round(SCHEDULES * scale))
    programs: dict[str, tuple[Any, tuple[tuple[str, Any], ...]]] = {
        "in_a_row": (in_a_row, ()),
        "side_by_side": (side_by_side, ()),
        "mixed": (mixed, (("more", 5),)),
    }
    rates: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(ROUNDS + 1):
        for name, (program, signals) in programs.items():
            gc.collect()
            began = time.process_time()
            explore(program, signals=signals, schedules=count, seed=turn, save=folder / "failed.json")
            if turn:
                rates[name].append(count / (time.process_time() - began))
    return {f"{name}_per_cpu_s": round(statistics.median(each)) for name, each in rates.items()}

"""Plants bugs, some at a time, and runs their tests; first the tests of all of them without any bug."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.mutant import DoesNotApply, Mutant
from tests.mutants.verdicts import Report, Result, failing_without, judged
from tests.mutants.workspace import Workspace, workspaces
from tests.postgres.server import URL_VARIABLE, running

MUTANT_TIMEOUT_S = 60
ALL_TIMEOUT_S = 240


def run_all(
    root: Path,
    mutants: Sequence[Mutant],
    *,
    at_once: int = 2,
    timeout_s: float = MUTANT_TIMEOUT_S,
    tell: Callable[[Result], object] = lambda result: None,
) -> Report:
    """Plant each mutant in a copy of the tree at `root`; `tell` is called with each result as it comes."""
    started_at_s = time.monotonic()
    with workspaces(root, at_once, _variables(mutants)) as places, ThreadPoolExecutor(at_once) as threads:
        free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        for place in places:
            free.put(place)

        def tried(mutant: Mutant) -> Result:
            place = free.get()
            try:
                result = _tried(mutant, place, timeout_s)
            finally:
                free.put(place)
            tell(result)
            return result

        def without_any() -> tuple[str, ...]:
            tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
            place = free.get()
            try:
                return failing_without(place.run(tests, ALL_TIMEOUT_S, until_first=False))
            finally:
                free.put(place)

        failing = threads.submit(without_any)
        results = tuple(threads.map(tried, mutants))
        return Report(results, failing.result(), time.monotonic() - started_at_s)


def _tried(mutant: Mutant, place: Workspace, timeout_s: float) -> Result:
    try:
        with place.planted(mutant):
            return judged(mutant, place.run(mutant.tests, timeout_s, until_first=True))
    except (DoesNotApply, FileNotFoundError) as error:
        return Result(mutant.id, mutant.file, mutant.breaks, "does not apply", detail=str(error))


def _variables(mutants: Sequence[Mutant]) -> Mapping[str, str]:
    """All runs share one server, where any of them needs one: to start it takes longer than most of their tests."""
    if URL_VARIABLE in os.environ or not any(mutant.needs_postgres for mutant in mutants):
        return {}
    return {URL_VARIABLE: running().url}

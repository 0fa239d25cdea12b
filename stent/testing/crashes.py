"""`--stent-crash-everywhere`: a test again and again, each time with a crash at another place.

Rules of this file:
- the test runs once as it is, which says how many commits there are; then twice for each: before it and after it;
- the outcome must stay the same; the first that differs is what the test is reported as, with the place of the crash;
- bodies that began twice are told, for only a person knows whether that does harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from _pytest.runner import runtestprotocol

from stent.registry import display_name
from stent.testing.doubles import Begun
from stent.testing.session import REPEATED


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the worker is to crash."""

    commit: int
    is_after: bool

    def __str__(self) -> str:
        return f"crash {'after' if self.is_after else 'before'} commit {self.commit}"


@dataclass(slots=True)
class Passage:
    """What one run of a test has shown."""

    commits: int = 0
    repeated: tuple[str, ...] = ()


PLAN = pytest.StashKey[Plan]()
PASSAGE = pytest.StashKey[Passage]()


def run_everywhere(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run a test once, and once more for each place of a crash; report it once."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports, passage = _run(item, nextitem, None)
    repeated: list[str] = []
    if not any(report.failed or report.skipped for report in reports):
        for plan in plans(passage.commits):
            again, crashed = _run(item, nextitem, plan)
            repeated += [f"{what}, {plan}" for what in crashed.repeated]
            if any(report.failed for report in again):
                reports = again
                for report in again:
                    report.sections.append(("stent", f"{plan} of {passage.commits}: without it the test passes"))
                break
    for report in reports:
        if report.when == "call":
            report.user_properties += [(REPEATED, what) for what in repeated]
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def plans(commits: int) -> Iterator[Plan]:
    """Both sides of every commit."""
    for commit in range(1, commits + 1):
        yield Plan(commit, is_after=False)
        yield Plan(commit, is_after=True)


def describe(begun: Begun) -> str:
    """A body as a call: charge(7)."""
    arguments = [repr(value) for value in begun.arguments.args]
    arguments += [f"{name}={value!r}" for name, value in begun.arguments.kwargs.items()]
    return f"{display_name(begun.function)}({', '.join(arguments)})"


def _run(item: pytest.Item, nextitem: pytest.Item | None, plan: Plan | None) -> tuple[list[pytest.TestReport], Passage]:
    item.stash[PASSAGE] = Passage()
    if plan is not None:
        item.stash[PLAN] = plan
        item._initrequest()  # type: ignore[attr-defined]  # a function's; as plugins that run tests again have to
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if plan is not None:
        del item.stash[PLAN]
    return reports, item.stash[PASSAGE]

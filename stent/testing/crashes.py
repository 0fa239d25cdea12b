"""`--stent-crash-everywhere`: a test again and again, each time with a crash at another place.

Rules of this file:
- every event has a commit of its own, so that both sides of every commit are both sides of every event;
- the test runs once as it is, which says how many commits there are, and how many bodies end; then twice for each
  commit, before it and after it, and once for the end of each body, before the engine hears of it: what runs beside it
  has not ended by then;
- the outcome must stay the same; the first that differs is what the test is reported as, with the place of the crash;
- bodies that began twice are told, for only a person knows whether that does harm; those that gave something else the
  second time come first, for they are not idempotent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest
from _pytest.runner import runtestprotocol

from stent.registry import display_name
from stent.testing.doubles import Begun, Repeated
from stent.testing.session import IS_NOT, REPEATED

if TYPE_CHECKING:
    from stent.testing.engines import Engine


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the worker is to crash: at which of its commits, or of the ends of its bodies."""

    at: Literal["before commit", "after commit", "at the end of body"]
    number: int

    def __str__(self) -> str:
        return f"crash {self.at} {self.number}"

    def arrange(self, engine: Engine) -> None:
        """Let an engine crash there."""
        if self.at == "at the end of body":
            engine.crash_at_end(self.number)
        else:
            engine.crash_at(self.number, is_after=self.at == "after commit")


@dataclass(slots=True)
class Passage:
    """What one run of a test has shown."""

    commits: int = 0
    ends: int = 0
    repeated: tuple[str, ...] = ()

    def count(self, plan: Plan) -> int:
        """How many places of the kind of a plan there were."""
        return self.ends if plan.at == "at the end of body" else self.commits


PLAN = pytest.StashKey[Plan]()
FINELY = pytest.StashKey[bool]()
"""Whether every event is to have a commit of its own."""
PASSAGE = pytest.StashKey[Passage]()


def run_everywhere(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run a test once, and once more for each place of a crash; report it once."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports, passage = _run(item, nextitem, None)
    repeated: list[str] = []
    if not any(report.failed or report.skipped for report in reports):
        for plan in plans(passage):
            again, crashed = _run(item, nextitem, plan)
            repeated += [f"{what}, {plan}" for what in crashed.repeated]
            if any(report.failed for report in again):
                reports = again
                for report in again:
                    report.sections.append(("stent", f"{plan} of {passage.count(plan)}: without it the test passes"))
                break
    for report in reports:
        if report.when == "call":
            report.user_properties += [(REPEATED, what) for what in repeated]
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def plans(passage: Passage) -> Iterator[Plan]:
    """Both sides of every commit, and the end of every body."""
    for commit in range(1, passage.commits + 1):
        yield Plan("before commit", commit)
        yield Plan("after commit", commit)
    for end in range(1, passage.ends + 1):
        yield Plan("at the end of body", end)


def describe(again: Repeated) -> str:
    """A body that began twice, as a call: charge(7); and what it gave, if that was not the same."""
    told = _call_text(again.begun)
    return f"{told}{IS_NOT}it gave {', then '.join(again.gave)}" if again.gave else told


def _call_text(begun: Begun) -> str:
    arguments = [repr(value) for value in begun.arguments.args]
    arguments += [f"{name}={value!r}" for name, value in begun.arguments.kwargs.items()]
    return f"{display_name(begun.function)}({', '.join(arguments)})"


def _run(item: pytest.Item, nextitem: pytest.Item | None, plan: Plan | None) -> tuple[list[pytest.TestReport], Passage]:
    item.stash[PASSAGE] = Passage()
    item.stash[FINELY] = True
    if plan is not None:
        item.stash[PLAN] = plan
        item._initrequest()  # type: ignore[attr-defined]  # a function's; as plugins that run tests again have to
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if plan is not None:
        del item.stash[PLAN]
    return reports, item.stash[PASSAGE]

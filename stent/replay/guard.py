"""What an orchestrator may not use, found in its code and in the user's helpers before it first runs.

Rules of this file:
- a finding names the user's line, what is wrong with it, and what to write instead;
- only what is certain is reported: the object itself is recognised, not its name in the source;
- nothing is replaced behind the user's back: `from time import time` would slip through any patch.

What the code does not show is seen when it runs (`stent.replay.watch`); the loop refuses what it is asked for
(`stent.replay.loop`); the matcher finds whatever slipped through everything.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from functools import reduce
from typing import Any

from stent.errors import ForbiddenInOrchestratorError
from stent.history.options import Site
from stent.registry import Function
from stent.replay.rules import FORBIDDEN, FORBIDDEN_PACKAGES, Rule
from stent.replay.waivers import is_waived
from stent.replay.walker import Reference, references


@dataclass(frozen=True, slots=True)
class Finding:
    """One use of something that an orchestrator may not use."""

    what: str
    rule: Rule
    site: Site

    def __str__(self) -> str:
        return f"{self.site}: {self.what} {self.rule.why}; {self.rule.fix} [{self.rule.code}]"


def findings(function: Function) -> list[Finding]:
    """Everything in the code of an orchestrator that would not replay, in the order of the walk."""
    known = known_objects()
    found: list[Finding] = []
    for reference in references(function.body):
        name, rule = known.get(id(called_in_the_end(reference.value))) or _package_rule(reference) or ("", None)
        if rule is None or is_waived(reference.file, reference.site.line, rule.code):
            continue
        finding = Finding(name, rule, reference.site)
        if finding not in found:
            found.append(finding)
    return found


def check(function: Function) -> None:
    """Raise ForbiddenInOrchestratorError if anything is found. The code is looked through once, the answer stays."""
    found = _found(function)
    if found:
        raise refusal(function, found)


def check_begin(function: Function) -> None:
    """The same where a run begins. Awaited I/O is left to the loop: the body may turn out to be an activity."""
    found = _found(function)
    if found and not any(finding.what.startswith("asyncio.") for finding in found):
        raise refusal(function, found)


def _found(function: Function) -> tuple[Finding, ...]:
    found: tuple[Finding, ...] | None = function.guarded
    if found is None:
        found = function.guarded = tuple(findings(function))
    return found


def refusal(function: Function, found: tuple[Finding, ...]) -> ForbiddenInOrchestratorError:
    """The error for an orchestrator that uses what it may not use."""
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ForbiddenInOrchestratorError(
        f"{function.display_name}() is an orchestrator; {first.what} at {first.site} {first.rule.why}{more}",
        fix=first.rule.fix,
        site=str(first.site),
        rule=first.rule.code,
        findings=[str(finding) for finding in found],
    )


def known_objects() -> dict[int, tuple[str, Rule]]:
    """Forbidden objects by identity, for the modules that are imported by now."""
    known: dict[int, tuple[str, Rule]] = {}
    for dotted, rule in FORBIDDEN.items():
        value = _find(dotted)
        if value is not None:
            known.setdefault(id(value), (dotted.removeprefix("builtins."), rule))  # io.open is builtins.open
    return known


def called_in_the_end(value: Any) -> Any:
    """What a partial calls in the end; anything else itself."""
    while isinstance(value, functools.partial):
        value = value.func
    return value


def _find(dotted: str) -> Any:
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:length]))
        if module is not None:
            return reduce(_static_attribute, parts[length:], module)
    return None


def _static_attribute(value: Any, name: str) -> Any:
    return vars(value).get(name) if value is not None and hasattr(value, "__dict__") else None


def _package_rule(reference: Reference) -> tuple[str, Rule] | None:
    value = reference.value
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or not callable(value):
        return None
    if isinstance(value, type) and issubclass(value, BaseException):
        return None  # to handle an error is no use
    rule = FORBIDDEN_PACKAGES.get(module.partition(".")[0])
    return (reference.text, rule) if rule is not None else None

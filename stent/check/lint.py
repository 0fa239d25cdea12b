"""The check of a target: every orchestrator in it, with the helpers that it uses, against every rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from stent.check.calls import unawaited_calls
from stent.check.findings import Finding, Hit, finding_of
from stent.check.names import Scope
from stent.check.order import Order
from stent.check.program import Program, decorator_of
from stent.check.shared import shared_changes, shared_uses
from stent.check.source import Target
from stent.check.uses import forbidden_uses
from stent.errors import UnregisteredFunctionError
from stent.replay.waivers import allows


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found, in the order of files and lines, and how many orchestrators it looked at."""

    findings: tuple[Finding, ...]
    orchestrators: int


def check(target: Target) -> Report:
    """Check a target. UnregisteredFunctionError if it names a function that is not there."""
    program = Program(target.root)
    modules = [program.add(path) for path in target.files]
    durable = [
        program.scope(module, name)
        for module in modules
        for name, node in module.functions.items()
        if decorator_of(module, node) is not None
    ]
    changed = shared_changes(program, durable)
    orchestrators = [scope for scope in durable if program.is_orchestrator(scope)]
    if target.function is not None:
        orchestrators = [scope for scope in orchestrators if scope.qualified_name == target.function]
        if not orchestrators:
            _check_is_there(durable, target.function)
    found: dict[tuple[str, int, int, str], Finding] = {}
    seen: set[Scope] = set()
    for orchestrator in orchestrators:
        for scope in program.reached_from(orchestrator):
            if scope in seen:
                continue  # a helper of several is told of with the first
            seen.add(scope)
            for hit in _hits(program, scope, changed):
                finding = finding_of(hit, scope, orchestrator)
                if not _is_waived(scope, finding):
                    place = (str(finding.path), finding.line, finding.column, finding.rule.code)
                    found.setdefault(place, finding)
    return Report(tuple(found[place] for place in sorted(found)), len(orchestrators))


def _hits(program: Program, scope: Scope, changed: set[tuple[str, str]]) -> Iterator[Hit]:
    yield from forbidden_uses(scope)
    yield from Order(program, scope).hits()
    yield from shared_uses(scope, changed)
    yield from unawaited_calls(program, scope)


def _is_waived(scope: Scope, finding: Finding) -> bool:
    return allows(finding.source, scope.module.line(finding.line - 1), finding.rule.code)


def _check_is_there(durable: list[Scope], wanted: str) -> None:
    """An activity is there, and has nothing to be checked."""
    names = [scope.qualified_name for scope in durable]
    if wanted in names:
        return
    near = get_close_matches(wanted, names, n=1)
    fix = f"did you mean {near[0]}?" if near else f"it has: {', '.join(names) or 'no durable function'}"
    raise UnregisteredFunctionError(f"there is no durable function {wanted!r}", fix=fix, name=wanted)

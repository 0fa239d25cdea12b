"""Forbidden names: whatever an orchestrator refers to that is in the table of the guard, and blocking packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stent.check.findings import Hit
from stent.check.names import INSTANCE, Scope
from stent.replay.rules import CHANCE, CLOCK, FORBIDDEN, FORBIDDEN_PACKAGES, NOW_WITHOUT_ARGUMENTS, THREADS

_CLASSES = frozenset(name for name in FORBIDDEN if name.rpartition(".")[2][:1].isupper() or name == "socket.socket")


def forbidden_uses(scope: Scope) -> Iterator[Hit]:
    """The uses in one function, each told once, by the longest name that says it."""
    told: set[int] = set()
    for node in scope.nodes:
        if id(node) in told:
            continue
        if isinstance(node, ast.Call):
            yield from _call(scope, node)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            hit = _name(scope, node)
            if hit is not None:
                yield hit
                told.update(id(part) for part in ast.walk(node))


def _name(scope: Scope, node: ast.Name | ast.Attribute) -> Hit | None:
    meaning = _canonical(scope.meaning(node))
    if meaning is None or meaning in _CLASSES:
        return None
    rule = FORBIDDEN.get(meaning)
    return Hit(rule, meaning.removeprefix("builtins."), node) if rule is not None else None


def _call(scope: Scope, node: ast.Call) -> Iterator[Hit]:
    if isinstance(node.func, ast.Attribute) and node.func.attr == "run_in_executor":
        yield Hit(THREADS, "run_in_executor", node)
        return
    meaning = _canonical(scope.meaning(node.func))
    if meaning is None:
        return
    given = len(node.args) + len(node.keywords)
    if meaning in _CLASSES:
        yield Hit(FORBIDDEN[meaning], meaning, node)
    elif meaning == "random.Random" and not given:
        yield Hit(CHANCE, "random.Random without a seed", node)
    elif given < NOW_WITHOUT_ARGUMENTS.get(meaning, 0):
        yield Hit(CLOCK, meaning, node)
    elif INSTANCE not in meaning and _is_call_out(meaning):
        yield Hit(FORBIDDEN_PACKAGES[meaning.partition(".")[0]], meaning, node)


def _is_call_out(meaning: str) -> bool:
    package, _, name = meaning.partition(".")
    return package in FORBIDDEN_PACKAGES and bool(name) and not name.endswith(("Error", "Exception"))


def _canonical(meaning: str | None) -> str | None:
    """The name in the table for one that means the same."""
    if meaning is None:
        return None
    meaning = meaning.replace(f"{INSTANCE}.", ".")
    if meaning.startswith("posixpath."):
        return f"os.path.{meaning.removeprefix('posixpath.')}"
    return meaning

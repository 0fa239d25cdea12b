"""Durable calls that nobody waits for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stent.check.findings import Hit
from stent.check.names import Scope
from stent.check.program import Program
from stent.replay.rules import UNAWAITED

_ENDS_THE_RUN = "stent.Stent.continue_as_new"


def unawaited_calls(program: Program, scope: Scope) -> Iterator[Hit]:
    """Calls whose answer is thrown away at once, or kept under a name that is never read."""
    nodes = scope.nodes
    read = {node.id for node in ast.walk(scope.node) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for node in nodes:
        if isinstance(node, ast.Expr) or (
            isinstance(node, ast.Assign) and all(_is_unread(target, read) for target in node.targets)
        ):
            value = node.value
        else:
            continue
        if isinstance(value, ast.Call):
            name = program.durable_name(scope, value)
            if name is not None and scope.meaning(value.func) != _ENDS_THE_RUN:
                yield Hit(UNAWAITED, f"{name}()", value)


def _is_unread(target: ast.expr, read: set[str]) -> bool:
    return isinstance(target, ast.Name) and target.id not in read

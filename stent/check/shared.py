"""What outlives a run: globals, classes and default arguments that an orchestrator or an activity changes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from stent.check.findings import Hit
from stent.check.names import Scope
from stent.check.program import Program
from stent.replay.rules import GLOBALS

_CHANGING = frozenset(
    {"append", "extend", "insert", "pop", "popitem", "remove", "clear", "add", "discard", "update", "setdefault"}
    | {"appendleft", "popleft", "sort", "reverse"}
)


def shared_changes(program: Program, durable: Iterable[Scope]) -> set[tuple[str, str]]:
    """(module, name) of the globals that durable functions change, orchestrators and activities alike."""
    reached = (scope for each in durable for scope in program.reached_from(each))
    return {(scope.module.name, name) for scope in reached for name, _ in _changes(scope)}


def shared_uses(scope: Scope, changed: set[tuple[str, str]]) -> Iterator[Hit]:
    """The changes that a function makes to what outlives the run, and what it reads of what others change."""
    told: set[str] = set()
    for name, place in _changes(scope):
        if name not in told:
            told.add(name)
            yield Hit(GLOBALS, name, place)
    for node in scope.nodes:
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load) or node.id in told:
            continue
        if (scope.module.name, node.id) in changed and not scope.is_local(node.id):
            told.add(node.id)
            yield Hit(GLOBALS, node.id, node)


def _changes(scope: Scope) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    """The names of a function that mean something shared and that it changes."""
    declared = {name for node in scope.nodes if isinstance(node, ast.Global) for name in node.names}
    owner: ast.expr | None
    for node in scope.nodes:
        if isinstance(node, ast.Call):
            owner = _changed_owner(scope, node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = node if node.id in declared else None
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = node.value
        else:
            continue
        if isinstance(owner, ast.Name) and (owner.id in declared or _is_shared(scope, owner.id)):
            yield owner.id, node


def _changed_owner(scope: Scope, call: ast.Call) -> ast.expr | None:
    if isinstance(call.func, ast.Attribute) and call.func.attr in _CHANGING:
        return call.func.value
    if scope.meaning(call.func) == "builtins.next" and call.args:
        return call.args[0]
    return None


def _is_shared(scope: Scope, name: str) -> bool:
    """Whether a name is a global of this file, a class in it, or a default argument that every call shares."""
    if name in _shared_defaults(scope):
        return True
    if name == "cls" and scope.own_class is not None:
        return True
    if scope.is_local(name):
        return False
    return name in scope.module.variables or name in scope.module.classes


def _shared_defaults(scope: Scope) -> set[str]:
    arguments = scope.node.args
    named = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(reversed(named), reversed(arguments.defaults), strict=False)]
    pairs += [(each, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    return {each.arg for each, value in pairs if isinstance(value, ast.List | ast.Dict | ast.Set)}

"""What a name in a file means: ``t.monotonic`` after ``import time as t`` is time.monotonic, a parameter t is not.

Scopes are followed as Python follows them (a class body is not seen from its methods). A name that is bound nowhere
in the file is a builtin. What goes through a variable, getattr or a container is not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from tests.tidy.source import Source

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Use:
    """A name or a chain of attributes, as long as it goes: ``datetime.now`` is "datetime.datetime.now"."""

    node: ast.expr
    dotted: str
    is_imported: bool  # else a builtin
    is_change: bool  # assigned or deleted

    @property
    def line(self) -> int:
        return self.node.lineno


@dataclass(frozen=True)
class Scope:
    """The names bound in one scope: the dotted name of what was imported, or None for anything else."""

    names: dict[str, str | None]
    is_class: bool = False


@cache  # the sources of one run
def uses(source: Source) -> tuple[Use, ...]:
    """Every use of an imported or builtin name in the file, in the order of the text."""
    scope = Scope(bound_names(source, source.tree.body))
    return tuple(use for node in source.tree.body for use in walk(source, node, [scope]))


def use_of(source: Source, node: ast.expr) -> str | None:
    """The dotted name of this very node, if it is one."""
    return _by_node(source).get(node)


@cache  # the sources of one run
def _by_node(source: Source) -> dict[ast.expr, str]:
    return {use.node: use.dotted for use in uses(source)}


def walk(source: Source, node: ast.AST, scopes: list[Scope]) -> Iterator[Use]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield from chain(source, node, scopes)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        yield from walk_function(source, node, scopes)
    elif isinstance(node, ast.ClassDef):
        outside = [*node.decorator_list, *node.bases, *node.keywords]
        inside = [*scopes, Scope(bound_names(source, node.body), is_class=True)]
        yield from walk_all(source, outside, scopes)
        yield from walk_all(source, node.body, inside)
    elif isinstance(node, COMPREHENSIONS):
        targets = [generator.target for generator in node.generators]
        yield from walk_all(source, ast.iter_child_nodes(node), [*scopes, Scope(bound_names(source, targets))])
    else:
        yield from walk_all(source, ast.iter_child_nodes(node), scopes)


def walk_all(source: Source, nodes: Iterable[ast.AST], scopes: list[Scope]) -> Iterator[Use]:
    for node in nodes:
        yield from walk(source, node, scopes)


def walk_function(source: Source, node: Function, scopes: list[Scope]) -> Iterator[Use]:
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    parameters += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    outside: list[ast.AST | None] = [*arguments.defaults, *arguments.kw_defaults]
    outside += [parameter.annotation for parameter in parameters]
    if not isinstance(node, ast.Lambda):
        outside += [*node.decorator_list, node.returns]
    yield from walk_all(source, [part for part in outside if part], scopes)
    body: Sequence[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else node.body
    names = {parameter.arg: None for parameter in parameters} | bound_names(source, body)
    yield from walk_all(source, body, [*(scope for scope in scopes if not scope.is_class), Scope(names)])


def chain(source: Source, node: ast.Name | ast.Attribute, scopes: list[Scope]) -> Iterator[Use]:
    attributes: list[str] = []
    root: ast.expr = node
    while isinstance(root, ast.Attribute):
        attributes.append(root.attr)
        root = root.value
    if not isinstance(root, ast.Name):
        yield from walk(source, root, scopes)
        return
    holder = next((scope for scope in reversed(scopes) if root.id in scope.names), None)
    meaning = holder.names[root.id] if holder else f"builtins.{root.id}"
    if meaning is not None:
        dotted = ".".join([meaning, *reversed(attributes)])
        yield Use(node, dotted, is_imported=holder is not None, is_change=not isinstance(node.ctx, ast.Load))


def bound_names(source: Source, nodes: Iterable[ast.AST]) -> dict[str, str | None]:
    """What the statements bind in their own scope; an import wins over an assignment beside it."""
    names: dict[str, str | None] = {}
    elsewhere: set[str] = set()
    for node in own_nodes(nodes):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(imported_names(source, node))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere.update(node.names)
        elif (name := bound_name(node)) is not None:
            names.setdefault(name, None)
    return {name: meaning for name, meaning in names.items() if name not in elsewhere}


def bound_name(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.ClassDef(name=name) | ast.ExceptHandler(name=name) | ast.MatchAs(name=name) | ast.MatchStar(name=name):
            return name
        case ast.MatchMapping(rest=name):
            return name
        case _:
            return None


def own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, but for the insides of nested functions, classes and comprehensions."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (*NESTED, *COMPREHENSIONS)):
            pending.extend(ast.iter_child_nodes(node))


def imported_names(source: Source, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else alias.name.partition(".")[0]
            for alias in node.names
        }
    module = source.absolute(node.module, node.level)
    return {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}

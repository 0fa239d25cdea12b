"""What a name or an attribute chain in a function means: a dotted name, as far as the source says it.

Rules of this file:
- a name that is bound more than once, or to something unknown, means nothing: nobody guesses;
- a value made by a class is told from the class by its mark: "pathlib.Path()" has the methods of "pathlib.Path".
"""

from __future__ import annotations

import ast
import builtins
from functools import cached_property

from stent.check.source import FUNCTIONS, AnyFunction, Module, imports_in, walk_own

INSTANCE = "()"


class Scope:
    """The names of one function, within those of the functions around it and of its module."""

    def __init__(self, module: Module, qualified_name: str, node: AnyFunction, outer: Scope | None = None) -> None:
        self.module = module
        self.qualified_name = qualified_name
        self.node = node
        self.outer = outer
        self.imports = imports_in(node, module)
        self.bound: dict[str, ast.expr | None] = {}
        """Local names: with their only value, or None where it is not known."""
        self._resolving: set[str] = set()
        self._bind()

    def meaning(self, node: ast.expr) -> str | None:
        """The dotted name of an expression; None if the source does not say it."""
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            base = self.meaning(node.value)
            return f"{base.removesuffix(INSTANCE)}.{node.attr}" if base is not None else None
        if isinstance(node, ast.Call):
            made = self.meaning(node.func)
            if made == "functools.partial" and node.args:
                return self.meaning(node.args[0])
            return f"{made}{INSTANCE}" if made is not None and made.rpartition(".")[2][:1].isupper() else None
        return None

    def value_of(self, name: str) -> ast.expr | None:
        """What a local name is bound to, if only once and in the open."""
        return self.bound.get(name)

    def is_local(self, name: str) -> bool:
        """Whether a name is the function's own, or that of a function around it."""
        return name in self.bound or name in self.imports or (self.outer is not None and self.outer.is_local(name))

    def annotation(self, name: str) -> ast.expr | None:
        """The annotation of a parameter or of a local name."""
        arguments = self.node.args
        for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            if each.arg == name:
                return each.annotation
        for node in walk_own(self.node):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
                return node.annotation
        return None

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """The nodes that run when the function does: its lambdas too, but no annotations and no inner functions."""
        found: list[ast.AST] = []
        waiting: list[ast.AST] = list(self.node.body)
        while waiting:
            node = waiting.pop(0)
            found.append(node)
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                continue
            children = [
                child
                for name, value in ast.iter_fields(node)
                if name != "annotation"
                for child in (value if isinstance(value, list) else [value])
                if isinstance(child, ast.AST)
            ]
            waiting[:0] = children
        return found

    @property
    def own_class(self) -> str | None:
        """The qualified name of the class that this is a method of."""
        name = self.qualified_name.rpartition(".")[0]
        return name if name in self.module.classes else None

    def _name(self, name: str) -> str | None:
        if name in self.imports:
            return self.imports[name]
        if name in self.bound:
            return self._local(name)
        if f"{self.qualified_name}.{name}" in self.module.functions:
            return f"{self.module.name}.{self.qualified_name}.{name}"
        if self.outer is not None:
            return self.outer._name(name)
        return global_meaning(self.module, name)

    def _local(self, name: str) -> str | None:
        if name in ("self", "cls") and self.own_class is not None:
            return f"{self.module.name}.{self.own_class}{INSTANCE}"
        value = self.bound[name]
        if value is None:
            annotation = self.annotation(name)
            found = self.meaning(annotation) if isinstance(annotation, ast.Name | ast.Attribute) else None
            return f"{found}{INSTANCE}" if found is not None else None
        if name in self._resolving:
            return None
        self._resolving.add(name)
        try:
            return self.meaning(value)
        finally:
            self._resolving.discard(name)

    def _bind(self) -> None:
        arguments = self.node.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        for each in given:
            if each is not None:
                self.bound[each.arg] = None
        nodes = list(walk_own(self.node))
        shared: set[str] = set()
        known: set[int] = set()
        for node in nodes:
            target, value = _binding(node)
            if isinstance(target, ast.Name):
                self.bound[target.id] = value if target.id not in self.bound else None
                known.add(id(target))
            elif isinstance(node, ast.Global | ast.Nonlocal):
                shared.update(node.names)
        for node in nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in known:
                self.bound[node.id] = None
            elif isinstance(node, ast.ExceptHandler) and node.name:
                self.bound[node.name] = None
        for name in shared:
            self.bound.pop(name, None)


def _binding(node: ast.AST) -> tuple[ast.expr | None, ast.expr | None]:
    """The target that a node binds to one value, and that value."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        return node.targets[0], node.value
    if isinstance(node, ast.withitem):
        return node.optional_vars, node.context_expr
    if isinstance(node, ast.NamedExpr):
        return node.target, node.value
    return None, None


def global_meaning(module: Module, name: str) -> str | None:
    """What a name means at the top of a file."""
    if name in module.functions or name in module.classes:
        return f"{module.name}.{name}"
    if name in module.imports:
        return module.imports[name]
    value = module.variables.get(name)
    if value is not None:
        known = _alias(module, value)
        return known if known is not None else f"{module.name}.{name}"
    return f"builtins.{name}" if hasattr(builtins, name) else None


def _alias(module: Module, value: ast.expr) -> str | None:
    """The meaning of `now = time.time` or `HERE = Path("x")` at the top of a file."""
    if isinstance(value, ast.Name):
        found = module.imports.get(value.id)
        return found if found is not None else (f"{module.name}.{value.id}" if value.id in module.functions else None)
    if isinstance(value, ast.Attribute):
        base = _alias(module, value.value)
        return f"{base}.{value.attr}" if base is not None else None
    if isinstance(value, ast.Call):
        made = _alias(module, value.func)
        if made == "functools.partial" and value.args:
            return _alias(module, value.args[0])
        if made is None and isinstance(value.func, ast.Name) and value.func.id in module.classes:
            made = f"{module.name}.{value.func.id}"
        return f"{made}{INSTANCE}" if made is not None and made.rpartition(".")[2][:1].isupper() else None
    return None


def builtin(scope: Scope, function: ast.expr) -> str | None:
    """The name of the built-in function that an expression is, if it is one."""
    if not isinstance(function, ast.Name):
        return None
    return function.id if scope.meaning(function) == f"builtins.{function.id}" else None

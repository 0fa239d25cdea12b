"""A program as the check sees it: its files, its durable functions, who calls whom, and which are orchestrators."""

from __future__ import annotations

import ast
from pathlib import Path

from stent.check.names import INSTANCE, Scope
from stent.check.source import FUNCTIONS, AnyFunction, Module, parse
from stent.replay.rules import Rule

DECORATORS = frozenset({"stent.Stent.durable", "stent.durable", "stent.app.Stent.durable"})
WAITS = frozenset({"map", "map_as_completed", "sleep", "gather", "wait_for_signal", "continue_as_new"})
TOOLS = WAITS | {"now", "random", "uuid4", "patched"}
_METHODS = frozenset({"map", "starmap"})


class Program:
    """The files of the targets, and those that they lead to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, Module | None] = {}
        self.returns: dict[int, Rule | None] = {}
        """By function: the rule that what it returns breaks, if that is recorded."""
        self._scopes: dict[int, Scope] = {}
        self._orchestrators: dict[int, bool] = {}
        self._reached: dict[int, list[Scope]] = {}

    def add(self, path: Path) -> Module:
        """Read a file, once."""
        module = parse(path, self.root)
        known = self.modules.get(module.name)
        if known is not None:
            return known
        self.modules[module.name] = module
        return module

    def module(self, name: str) -> Module | None:
        """A module of the program by its dotted name; None if it is not below the program's folder."""
        if name not in self.modules:
            place = self.root.joinpath(*name.split("."))
            path = next((each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file()), None)
            self.modules[name] = parse(path, self.root) if path is not None else None
        return self.modules[name]

    def find(self, meaning: str | None) -> Scope | None:
        """The function of the program behind a dotted name; for a class, what makes its instances."""
        if meaning is None:
            return None
        for _ in range(5):  # a name may be imported by a package from its module
            parts = meaning.removesuffix(INSTANCE).split(".")
            for length in range(len(parts) - 1, 0, -1):
                module = self.module(".".join(parts[:length]))
                if module is None:
                    continue
                rest = ".".join(parts[length:])
                if rest in module.functions:
                    return self.scope(module, rest)
                inherited = self._inherited(module, rest)
                if inherited is not None:
                    return inherited
                if rest in module.classes:
                    return self.scope(module, f"{rest}.__init__") if f"{rest}.__init__" in module.functions else None
                moved = module.imports.get(parts[length])
                if moved is not None:
                    meaning = ".".join([moved, *parts[length + 1 :]])
                    break
                return None
            else:
                return None
        return None

    def _inherited(self, module: Module, name: str) -> Scope | None:
        """A method of a class above, in the same file."""
        owner, _, method = name.rpartition(".")
        if owner not in module.classes:
            return None
        for base in module.classes[owner].bases:
            if isinstance(base, ast.Name) and f"{base.id}.{method}" in module.functions:
                return self.scope(module, f"{base.id}.{method}")
        return None

    def scope(self, module: Module, name: str) -> Scope:
        """The names of a function; made once."""
        node = module.functions[name]
        if id(node) not in self._scopes:
            outer_name = name.rpartition(".")[0]
            outer = self.scope(module, outer_name) if outer_name in module.functions else None
            self._scopes[id(node)] = Scope(module, name, node, outer)
        return self._scopes[id(node)]

    # -- roles -----------------------------------------------------------------------------------------------------

    def is_durable(self, scope: Scope) -> bool:
        """Whether a function is decorated as durable."""
        return decorator_of(scope.module, scope.node) is not None

    def is_durable_call(self, scope: Scope, call: ast.Call) -> bool:
        """Whether a call is one that an orchestrator makes: of a durable function, or of the library's own."""
        return self.durable_name(scope, call) is not None

    def durable_name(self, scope: Scope, call: ast.Call) -> str | None:
        """What a durable call calls, as it is written; None if the call is no durable one."""
        function = call.func
        meaning = scope.meaning(function)
        if meaning is not None and meaning.startswith("stent.Stent."):
            return ast.unparse(function) if meaning.rpartition(".")[2] in WAITS else None
        found = self.find(meaning)
        if found is not None and self.is_durable(found):
            return ast.unparse(function)
        if isinstance(function, ast.Attribute) and function.attr in _METHODS:  # pay.map(items)
            return ast.unparse(function) if self._is_durable_name(scope, function.value) else None
        if isinstance(function, ast.Call) and isinstance(function.func, ast.Attribute):  # pay.options(...)(1)
            inner = function.func
            if inner.attr == "options" and self._is_durable_name(scope, inner.value):
                return ast.unparse(inner.value)
        return None

    def _is_durable_name(self, scope: Scope, node: ast.expr) -> bool:
        found = self.find(scope.meaning(node))
        return found is not None and self.is_durable(found)

    def is_orchestrator(self, scope: Scope) -> bool:
        """Whether a durable function is replayed: it says so, or it makes a durable call, itself or in a helper."""
        known = self._orchestrators.get(id(scope.node))
        if known is None:
            role = _role(scope)
            known = role == "orchestrator" if role else self._makes_durable_calls(scope)
            self._orchestrators[id(scope.node)] = known
        return known

    def _makes_durable_calls(self, scope: Scope) -> bool:
        if not isinstance(scope.node, ast.AsyncFunctionDef):
            return False
        return any(self._refers_to_durable(each) for each in self.reached_from(scope))

    def _refers_to_durable(self, scope: Scope) -> bool:
        for node in scope.nodes:
            if isinstance(node, ast.Call) and self.is_durable_call(scope, node):
                return True
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                meaning = scope.meaning(node)
                if meaning is not None and meaning.startswith("stent.Stent.") and meaning.rpartition(".")[2] in TOOLS:
                    return True
                found = self.find(meaning)
                if found is not None and found is not scope and self.is_durable(found):
                    return True
        return False

    def reached_from(self, first: Scope) -> list[Scope]:
        """A function, the functions in it, and the helpers that they use; not other durable functions."""
        known = self._reached.get(id(first.node))
        if known is None:
            known = self._reached[id(first.node)] = self._reach(first)
        return known

    def _reach(self, first: Scope) -> list[Scope]:
        reached: list[Scope] = []
        waiting = [first]
        while waiting:
            scope = waiting.pop(0)
            if any(each.node is scope.node for each in reached):
                continue
            reached.append(scope)
            decorators = scope.node.decorator_list if scope is not first else []
            for node in [*scope.nodes, *decorators]:
                found: Scope | None = None
                if isinstance(node, FUNCTIONS):
                    found = self.scope(scope.module, f"{scope.qualified_name}.{node.name}")
                elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found = self.find(scope.meaning(node))
                if found is not None and not self.is_durable(found):
                    waiting.append(found)
        return reached


def decorator_of(module: Module, node: AnyFunction) -> ast.expr | None:
    """The decorator that makes a function durable."""
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if _dotted(module, target) in DECORATORS:
            return decorator
    return None


def _dotted(module: Module, node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        found = module.imports.get(node.id)
        if found is None and isinstance(module.variables.get(node.id), ast.Attribute):
            return _dotted(module, module.variables[node.id])  # durable = Stent.durable
        return found
    if isinstance(node, ast.Attribute):
        base = _dotted(module, node.value)
        return f"{base}.{node.attr}" if base is not None else None
    return None


def _role(scope: Scope) -> str | None:
    decorator = decorator_of(scope.module, scope.node)
    if isinstance(decorator, ast.Call):
        for keyword in decorator.keywords:
            if keyword.arg == "role" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value) if keyword.value.value is not None else None
    return None

"""What is a set whose order differs from process to process: of texts and the like, not of numbers alone."""

from __future__ import annotations

import ast

from stent.check.names import Scope, builtin

_SETS = frozenset({"set", "frozenset"})
_SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
_STEADY_TYPES = frozenset({"int", "bool", "float"})  # their hashes are the same in every process


class Sets:
    """Tells the sets of one function."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._nodes = scope.nodes
        self._visiting: set[str] = set()

    def is_set(self, node: ast.expr) -> bool:
        """Whether an expression is a set whose order differs: more than one entry, and not of numbers alone."""
        if isinstance(node, ast.Set):
            return (len(node.elts) > 1 or isinstance(node.elts[0], ast.Starred)) and not self._are_steady(node.elts)
        if isinstance(node, ast.SetComp):
            return not self.is_steady(node.elt) and not _is_range(node.generators[0].iter)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return self.is_set(node.left) or self.is_set(node.right) or _is_view(node.left)
        if isinstance(node, ast.IfExp):
            return self.is_set(node.body) or self.is_set(node.orelse)
        if isinstance(node, ast.Call):
            if builtin(self._scope, node.func) in _SETS:
                return bool(node.args) and not self._is_steady_source(node.args[0])
            if isinstance(node.func, ast.Attribute) and node.func.attr in _SET_METHODS:
                return self.is_set(node.func.value)
            return False
        return isinstance(node, ast.Name) and self._is_set_name(node.id)

    def _is_set_name(self, name: str) -> bool:
        if name in self._visiting:
            return False
        scope = self._scope
        while not (name in scope.bound or scope.outer is None):
            scope = scope.outer
        annotation = scope.annotation(name)
        if annotation is not None and _is_set_annotation(annotation):
            return True
        if name in scope.bound:
            value = scope.bound[name]
        else:
            value = None if self._scope.is_local(name) else self._scope.module.variables.get(name)
        self._visiting.add(name)
        try:
            if value is None:
                return False
            return self.is_set(value) or (_is_empty_set(value) and self._is_filled(name))
        finally:
            self._visiting.discard(name)

    def _is_filled(self, name: str) -> bool:
        """Whether a set that begins empty gets entries that are not numbers."""
        for node in self._nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                is_filling = isinstance(owner, ast.Name) and owner.id == name and node.func.attr in ("add", "update")
                if is_filling and not all(self.is_steady(each) or self._is_steady_source(each) for each in node.args):
                    return True
        return False

    def _are_steady(self, nodes: list[ast.expr]) -> bool:
        return all(self.is_steady(each) for each in nodes)

    def _is_steady_source(self, node: ast.expr) -> bool:
        """Whether a set made of this has numbers alone."""
        if _is_range(node):
            return True
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return len(node.elts) < 2 or self._are_steady(node.elts)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            return self.is_steady(node.elt) or _is_range(node.generators[0].iter)
        if isinstance(node, ast.Name):
            annotation = self._scope.annotation(node.id)
            if annotation is not None and _is_steady_container(annotation):
                return True
            value = self._scope.value_of(node.id)
            return value is not None and not isinstance(value, ast.Name) and self._is_steady_source(value)
        return False

    def is_steady(self, node: ast.expr | None) -> bool:
        """Whether a value hashes alike in every process."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, int | float)
        if isinstance(node, ast.UnaryOp):
            return self.is_steady(node.operand)
        if isinstance(node, ast.BinOp):
            return self.is_steady(node.left) or (self.is_steady(node.right) and not isinstance(node.op, ast.Mod))
        if isinstance(node, ast.Tuple):
            return self._are_steady(node.elts)
        if isinstance(node, ast.Call):
            return builtin(self._scope, node.func) in ("int", "len", "round", "abs", "sum", "float", "bool", "ord")
        if isinstance(node, ast.Name):
            annotation = self._scope.annotation(node.id)
            if annotation is not None:
                return isinstance(annotation, ast.Name) and annotation.id in _STEADY_TYPES
            value = self._scope.value_of(node.id)
            return value is not None and not isinstance(value, ast.Name) and self.is_steady(value)
        return False


def _is_set_annotation(node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        entry = node.slice
        is_steady = isinstance(entry, ast.Name) and entry.id in _STEADY_TYPES
        return node.value.id in ("set", "frozenset", "Set", "FrozenSet", "AbstractSet") and not is_steady
    return isinstance(node, ast.Name) and node.id in _SETS


def _is_steady_container(node: ast.expr) -> bool:
    entry = node.slice if isinstance(node, ast.Subscript) else None
    return isinstance(entry, ast.Name) and entry.id in _STEADY_TYPES


def _is_view(node: ast.expr) -> bool:
    """`a.keys() & b.keys()` is a set."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")


def _is_empty_set(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "set" and not node.args


def _is_range(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"

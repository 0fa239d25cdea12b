"""Values that differ from process to process: what the order of a set, an id() or a hash() made, and where it goes.

Rules of this file:
- a value is followed through the names of one function; it goes into a call, and comes out if the call is Python's own;
- only what reaches a durable call, the result, or a branch around a durable call is told: all else replays;
- what puts an order on things (sorted, min, max) or does not depend on one (len, sum, any) makes a value clean.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from stent.check.findings import Hit
from stent.check.names import Scope, builtin
from stent.check.program import Program
from stent.check.sets import Sets
from stent.replay.rules import IDENTITY, SET_ORDER, Rule

_CLEAN = frozenset(
    {"sorted", "len", "min", "max", "sum", "any", "all", "set", "frozenset", "isinstance", "bool", "type"}
)
_ORDERED = frozenset({"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "next", "reversed", "str", "repr"})
_KEYED = frozenset({"sorted", "min", "max"})
_TEXTS = frozenset({"str", "repr"})
_EQUALITIES = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)
_ADDING = frozenset({"append", "extend", "insert", "appendleft", "put_nowait", "setdefault"})


class Order:
    """Follows the values of one function."""

    def __init__(self, program: Program, scope: Scope) -> None:
        self._program = program
        self._scope = scope
        self._nodes = scope.nodes
        self._tainted: dict[str, Rule] = {}
        self._sets = Sets(scope)
        self._spread()

    def hits(self) -> Iterator[Hit]:
        """Where a value that differs reaches what is recorded."""
        for node in self._nodes:
            if isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.For | ast.AsyncFor) and self._has_durable(node.body):
                yield from self._loop(node.iter)
            elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and self._has_durable([node]):
                for generator in node.generators:
                    yield from self._loop(generator.iter)
            elif isinstance(node, ast.If | ast.While) and self._has_durable([*node.body, *node.orelse]):
                if self._rule(node.test) is IDENTITY:
                    yield Hit(IDENTITY, ast.unparse(node.test), node.test)
            elif isinstance(node, ast.Return) and node.value is not None and self._program.is_durable(self._scope):
                rule = self._rule(node.value)
                if rule is not None:
                    yield Hit(rule, _short(node.value), node.value)

    def returned(self) -> Rule | None:
        """The rule that what the function returns breaks, if that is recorded."""
        values = [node.value for node in self._nodes if isinstance(node, ast.Return) and node.value is not None]
        return next((rule for value in values if (rule := self._rule(value)) is not None), None)

    # -- where it goes ---------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Iterator[Hit]:
        if self._program.is_durable_call(self._scope, node):
            for given in [*node.args, *[keyword.value for keyword in node.keywords]]:
                rule = self._rule(given) or (SET_ORDER if _is_spread(given, self._sets) else None)
                if rule is not None:
                    yield Hit(rule, _short(given), given)

    def _loop(self, iterable: ast.expr) -> Iterator[Hit]:
        if self._sets.is_set(iterable):
            yield Hit(SET_ORDER, _short(iterable), iterable)
        else:
            rule = self._rule(iterable)
            if rule is not None:
                yield Hit(rule, _short(iterable), iterable)

    def _has_durable(self, body: Sequence[ast.AST]) -> bool:
        calls = (node for part in body for node in ast.walk(part) if isinstance(node, ast.Call))
        return any(self._program.is_durable_call(self._scope, call) or self._is_helper(call) for call in calls)

    def _is_helper(self, call: ast.Call) -> bool:
        """Whether a call is one of a helper that makes durable calls itself."""
        found = self._program.find(self._scope.meaning(call.func))
        if found is None or found.node is self._scope.node:
            return False
        return any(
            isinstance(node, ast.Call) and self._program.is_durable_call(each, node)
            for each in self._program.reached_from(found)
            for node in each.nodes
        )

    # -- where it comes from ---------------------------------------------------------------------------------------

    def _spread(self) -> None:
        """Names that hold such a value, until nothing more is learnt."""
        known = -1
        while known < len(self._tainted):
            known = len(self._tainted)
            for node in self._nodes:
                self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            rule = self._rule(node.value)
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self._taint(target.id, rule)
                elif isinstance(target, ast.Tuple | ast.List) and self._sets.is_set(node.value):
                    for each in target.elts:
                        if isinstance(each, ast.Name):
                            self._taint(each.id, SET_ORDER)
        elif isinstance(node, ast.NamedExpr | ast.AnnAssign) and node.value is not None:
            if isinstance(node.target, ast.Name):
                self._taint(node.target.id, self._rule(node.value))
        elif isinstance(node, ast.For) and (self._sets.is_set(node.iter) or self._rule(node.iter) is SET_ORDER):
            for inner in ast.walk(node):
                self._learn_adding(inner)

    def _learn_adding(self, node: ast.AST) -> None:
        """A list or dict that is filled within a loop over a set has the set's order."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ADDING:
            if isinstance(node.func.value, ast.Name):
                self._taint(node.func.value.id, SET_ORDER)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and _is_sequence(node.value):
            self._taint(node.target.id, SET_ORDER)

    def _taint(self, name: str, rule: Rule | None) -> None:
        if rule is not None:
            self._tainted.setdefault(name, rule)

    def _rule(self, node: ast.expr) -> Rule | None:
        """The rule that a value breaks if it is recorded; None for one that is the same everywhere."""
        if isinstance(node, ast.Name):
            return self._tainted.get(node.id)
        if isinstance(node, ast.Call):
            return self._rule_of_call(node)
        if isinstance(node, ast.Compare):
            return self._rule_of_comparison(node)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
            return self._rule_of_comprehension(node)
        if isinstance(node, ast.SetComp | ast.Lambda):
            return None
        if isinstance(node, ast.Starred):
            return SET_ORDER if self._sets.is_set(node.value) else self._rule(node.value)
        if isinstance(node, ast.FormattedValue):
            return SET_ORDER if self._sets.is_set(node.value) else self._rule(node.value)
        if isinstance(node, ast.Await):
            return None if self._awaits_durable(node) else self._rule(node.value)
        children = (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
        return next((rule for child in children if (rule := self._rule(child)) is not None), None)

    def _rule_of_call(self, node: ast.Call) -> Rule | None:
        name = builtin(self._scope, node.func)
        if name == "id" or (name == "hash" and not self._sets.is_steady(node.args[0] if node.args else None)):
            return IDENTITY
        if self._program.is_durable_call(self._scope, node):
            return None  # its answer is recorded
        if (name in _KEYED and _key_is_identity(self._scope, node)) or (name in _TEXTS and _shows_address(node)):
            return IDENTITY
        helper = self._program.find(self._scope.meaning(node.func))
        if helper is not None:
            return returned(self._program, helper)
        if name in _CLEAN:
            rule = next((rule for each in node.args if (rule := self._rule(each)) is not None), None)
            return rule if rule is IDENTITY and name not in ("len", "isinstance", "type") else None
        given = [*node.args, *[keyword.value for keyword in node.keywords]]
        if name in _ORDERED and any(self._sets.is_set(each) for each in node.args):
            return SET_ORDER
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "join" and any(self._sets.is_set(each) for each in node.args):
                return SET_ORDER
            if node.func.attr == "pop" and not node.args and self._sets.is_set(node.func.value):
                return SET_ORDER
            if (rule := self._rule(node.func.value)) is not None:
                return rule if node.func.attr not in ("index", "count") else None
        elif name is None and not isinstance(node.func, ast.Name):
            return None
        return next((rule for each in given if (rule := self._rule(each)) is not None), None)

    def _rule_of_comparison(self, node: ast.Compare) -> Rule | None:
        """Two ids are equal or not wherever the program runs; a remainder of one is another matter."""
        sides = [node.left, *node.comparators]
        is_equality = all(isinstance(each, _EQUALITIES) for each in node.ops)
        if is_equality and not any(isinstance(each, ast.Constant) for each in sides):
            return None
        return next((rule for each in sides if (rule := self._rule(each)) is not None), None)

    def _rule_of_comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Rule | None:
        for generator in node.generators:
            if self._sets.is_set(generator.iter):
                return SET_ORDER
            if (rule := self._rule(generator.iter)) is not None:
                return rule
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return next((rule for part in parts if (rule := self._rule(part)) is not None), None)

    def _awaits_durable(self, node: ast.Await) -> bool:
        return isinstance(node.value, ast.Call) and self._program.is_durable_call(self._scope, node.value)


def returned(program: Program, scope: Scope) -> Rule | None:
    """The same for a helper, found out once; one that calls itself adds nothing."""
    if id(scope.node) not in program.returns:
        program.returns[id(scope.node)] = None
        program.returns[id(scope.node)] = Order(program, scope).returned()
    return program.returns[id(scope.node)]


def _shows_address(node: ast.Call) -> bool:
    """`str(object())` and `repr(lambda: 0)` show where in memory something is."""
    shown = node.args[0] if node.args else None
    if isinstance(shown, ast.Call):
        return isinstance(shown.func, ast.Name) and shown.func.id == "object"
    return isinstance(shown, ast.Lambda)


def _is_spread(node: ast.expr, sets: Sets) -> bool:
    return isinstance(node, ast.Starred) and sets.is_set(node.value)


def _key_is_identity(scope: Scope, node: ast.Call) -> bool:
    keys = [keyword.value for keyword in node.keywords if keyword.arg == "key"]
    return any(isinstance(key, ast.Name) and scope.meaning(key) in ("builtins.id", "builtins.hash") for key in keys)


def _is_sequence(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_sequence(node.left) or _is_sequence(node.right)
    return isinstance(node, ast.List | ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _short(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else f"{text[:37]}..."

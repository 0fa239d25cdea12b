"""Every import of a file, wherever it stands: on top, in a function, under TYPE_CHECKING, or by importlib."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from tests.tidy.names import use_of
from tests.tidy.source import PACKAGE, Source

BY_NAME = ("importlib.import_module", "builtins.__import__", "pkgutil.resolve_name")


@dataclass(frozen=True)
class Import:
    """``import module``, or ``from module import name``."""

    line: int
    module: str
    name: str | None = None

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@cache  # the sources of one run
def imports_of(source: Source) -> tuple[Import, ...]:
    """All imports of the file, absolute."""
    return tuple(found for node in ast.walk(source.tree) for found in imports_at(source, node))


def imports_at(source: Source, node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(node.lineno, alias.name)
    elif isinstance(node, ast.ImportFrom):
        module = source.absolute(node.module, node.level)
        for alias in node.names:
            yield Import(node.lineno, module, alias.name)
    elif isinstance(node, ast.Call) and use_of(source, node.func) in BY_NAME and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            name = first.value.partition(":")[0]
            level = len(name) - len(name.lstrip("."))
            yield Import(node.lineno, source.absolute(name.lstrip(".") or None, level))


def modules_meant(found: Import, modules: Collection[str]) -> Iterator[str]:
    """The modules of the package that the import reads: ``from stent.a import b`` is stent.a.b if that is a module."""
    if found.module != PACKAGE and not found.module.startswith(f"{PACKAGE}."):
        return
    yield found.dotted if found.dotted in modules else found.module

"""The files behind a target, and what each file's names mean.

Rules of this file:
- nothing is imported: a program is read, never run;
- only files below the folders of the targets are followed; the standard library and installed packages are not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from stent.errors import UnregisteredFunctionError, UsageError

AnyFunction: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(eq=False, slots=True)
class Module:
    """One file: its lines, and the names that it defines or imports."""

    name: str
    path: Path
    lines: list[str]
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[str, AnyFunction] = field(default_factory=dict)
    """By qualified name, nested ones included ("Shop.order", "outer.inner")."""
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    variables: dict[str, ast.expr] = field(default_factory=dict)
    """Names bound at the top of the file, with what they are bound to."""

    def line(self, number: int) -> str:
        """A line of the source; empty where there is none."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def parse(path: Path, root: Path) -> Module:
    """Read one file; UsageError names the line that is no Python."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:
        place = f"{path}:{getattr(error, 'lineno', None) or 1}"
        raise UsageError(f"{place} cannot be read: {error}", fix="is it Python, of this version?") from error
    module = Module(module_name(path, root), path, text.splitlines())
    module.imports.update(imports_in(tree, module))
    for name, node in _definitions(tree, ""):
        if isinstance(node, ast.ClassDef):
            module.classes[name] = node
        else:
            module.functions[name] = node
    for statement in tree.body:
        for target, value in _bindings(statement):
            module.variables[target] = value
    return module


def module_name(path: Path, root: Path) -> str:
    """The dotted name of a file, as an import from `root` would have it."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def imports_in(tree: ast.AST, module: Module) -> dict[str, str]:
    """The names that the import statements right within a body bind, each with its dotted meaning."""
    found: dict[str, str] = {}
    for node in walk_own(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            base = _import_base(node, module)
            for alias in node.names:
                found[alias.asname or alias.name] = f"{base}.{alias.name}" if base else alias.name
    return found


def walk_own(body: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a body but those of the functions and classes in it."""
    waiting = list(ast.iter_child_nodes(body))
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            waiting[:0] = ast.iter_child_nodes(node)


def _import_base(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    if module.path.name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def _definitions(body: ast.AST, prefix: str) -> Iterator[tuple[str, AnyFunction | ast.ClassDef]]:
    for node in walk_own(body):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            name = f"{prefix}{node.name}"
            yield name, node
            yield from _definitions(node, f"{name}.")


def _bindings(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id, statement.value


# -- targets -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be checked: files, and in them one function or all."""

    files: tuple[Path, ...]
    root: Path
    function: str | None = None


def find_target(text: str, folders: Sequence[Path]) -> Target:
    """`app`, `app:function`, `package.module`, a file or a folder; UnregisteredFunctionError if there is none."""
    path = Path(text)
    if path.is_dir() or (path.suffix == ".py" and path.is_file()):
        return _target_of(path.resolve(), None)
    name, _, function = text.partition(":")
    if name.endswith(".py") and Path(name).is_file():
        return _target_of(Path(name).resolve(), function or None)
    parts = name.removesuffix(".py").replace("/", ".").split(".")
    for folder in folders:
        place = folder.joinpath(*parts)
        if place.with_suffix(".py").is_file():
            return Target((place.with_suffix(".py").resolve(),), folder.resolve(), function or None)
        if (place / "__init__.py").is_file():
            return Target(_files_below(place.resolve()), folder.resolve(), function or None)
    raise UnregisteredFunctionError(
        f"there is no module, file or folder {text!r}", fix="name a module as in `import app`, or a path", name=text
    )


def _target_of(path: Path, function: str | None) -> Target:
    files = _files_below(path) if path.is_dir() else (path,)
    root = path if path.is_dir() else path.parent
    while (root / "__init__.py").is_file() and root.parent != root:
        root = root.parent
    return Target(files, root, function)


def _files_below(folder: Path) -> tuple[Path, ...]:
    """All but what is hidden or installed there: an environment is often kept in the folder of its project."""
    return tuple(
        each
        for each in sorted(folder.rglob("*.py"))
        if not any(part.startswith(".") or part == "site-packages" for part in each.relative_to(folder).parts)
    )

"""How errors are raised and caught: ours by name; broadly only at a border, with the reason beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.names import use_of
from tests.tidy.source import Breach, Repository, Source

BROAD = ("builtins.Exception", "builtins.BaseException")
NAMELESS = (*BROAD, "builtins.RuntimeError")
BORDER = re.compile(r"#\s*border:\s*\S")


def check_borders(repository: Repository) -> Iterator[Breach]:
    """``except:``, ``except Exception`` and ``suppress(Exception)`` need ``# border: why`` on the line or above it."""
    for source in repository.sources:
        for line in broad_lines(source):
            if not has_border(source, line):
                message = "a broad except is for borders: name the errors, or say '# border: <why>' beside it"
                yield source.breach(line, "borders", message)


def broad_lines(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        match node:
            case ast.ExceptHandler(type=None):
                yield node.lineno
            case ast.ExceptHandler(type=ast.Tuple(elts=errors)) if are_broad(source, errors):
                yield node.lineno
            case ast.ExceptHandler(type=ast.expr() as error) if are_broad(source, [error]):
                yield node.lineno
            case ast.Call(func=func, args=errors) if use_of(source, func) == "contextlib.suppress":
                if are_broad(source, errors):
                    yield node.lineno


def are_broad(source: Source, errors: list[ast.expr]) -> bool:
    return any(use_of(source, error) in BROAD for error in errors)


def has_border(source: Source, line: int) -> bool:
    """Whether a comment on the line, or the block of comments right above it, starts with ``# border:``."""
    block = [source.comments.get(line, "")]
    above = line - 1
    while above in source.comments and source.lines[above - 1].lstrip().startswith("#"):
        block.append(source.comments[above])
        above -= 1
    return any(BORDER.match(comment) for comment in block)


def check_raises(repository: Repository) -> Iterator[Breach]:
    """``raise Exception`` and ``raise RuntimeError`` tell the caller nothing that code can use."""
    for source in repository.sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                name = use_of(source, error)
                if name in NAMELESS:
                    message = f"raise {name.removeprefix('builtins.')}: use or add a class of stent/errors.py"
                    yield source.breach(node.lineno, "raises", message)

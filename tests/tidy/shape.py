"""The shape of a file: its size, its first line, its words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from tests.tidy.source import Breach, Repository, Source

FILE_LINES = 450  # about 400 is where a file asks to be two (conventions.md); a few more to finish a thought
FUNCTION_LINES = 70  # one screen
CLASS_METHODS = 25  # past that a class is two ideas
FACADES = {("stent/app.py", "Stent")}  # its methods delegate in a few lines each

UNUSED_WORDS = (("job",), ("step",), ("checkpoint",), ("workflow", "task"))

# (path, identifier) to the reason. For names that somebody else has given.
PERMITTED_WORDS: Mapping[tuple[str, str], str] = {}

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def check_sizes(repository: Repository) -> Iterator[Breach]:
    """Files, functions and classes that have grown past one idea."""
    for source in repository.sources:
        if len(source.lines) > FILE_LINES:
            yield source.breach(1, "sizes", f"{len(source.lines)} lines, more than {FILE_LINES}: two ideas, two files")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    message = f"{node.name} has {lines} lines, more than {FUNCTION_LINES}"
                    yield source.breach(node.lineno, "sizes", message)
            elif isinstance(node, ast.ClassDef) and (source.path, node.name) not in FACADES:
                methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
                if len(methods) > CLASS_METHODS:
                    message = f"class {node.name} has {len(methods)} methods, more than {CLASS_METHODS}"
                    yield source.breach(node.lineno, "sizes", message)


def check_docstrings(repository: Repository) -> Iterator[Breach]:
    """Every module says in its first line what it is for."""
    for source in repository.sources:
        if not (ast.get_docstring(source.tree) or "").strip():
            yield source.breach(1, "docstrings", "the file does not start with a docstring that says its purpose")


def check_words(repository: Repository) -> Iterator[Breach]:
    """Names that are made here avoid the words that mean something else elsewhere (conventions.md)."""
    for source in repository.sources:
        for line, name in [(1, source.module.rpartition(".")[2]), *names_made(source)]:
            word = unused_word(name)
            if word and (source.path, name) not in PERMITTED_WORDS:
                yield source.breach(line, "words", f"{name!r}: the word {word!r} is not used here (conventions.md)")


def names_made(source: Source) -> Iterator[tuple[int, str]]:
    """The line and the text of every name that the file itself gives; names that it only uses are others' choice."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.lineno, node.name


def unused_word(name: str) -> str | None:
    """The first of the unused words in a name, whatever its case and number: WorkflowTasks, _job_id, STEPS."""
    words = [word.lower() for word in WORD.findall(name)]
    singular = [word.removesuffix("s") for word in words]
    for unused in UNUSED_WORDS:
        starts = range(len(singular) - len(unused) + 1)
        if any(tuple(singular[start : start + len(unused)]) == unused for start in starts):
            return " ".join(unused)
    return None

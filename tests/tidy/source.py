"""What the rules look at: texts by path, parsed once, and the breach that they return."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Self

PACKAGE = "stent"


@dataclass(frozen=True, order=True)
class Breach:
    """One place that breaks one rule."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.rule}: {self.message}"


class Source:
    """One Python file of the package."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.module = module_name(path)
        self.is_package = path.endswith("/__init__.py")
        self.tree = ast.parse(text)

    @cached_property
    def comments(self) -> dict[int, str]:
        """Every comment by its line, as the tokenizer sees it: a # in a string is none."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def absolute(self, module: str | None, level: int) -> str:
        """The absolute name of what ``from <level dots><module> import`` means in this file."""
        if level == 0:
            return module or ""
        parts = self.module.split(".")
        parts = parts[: len(parts) - level + (1 if self.is_package else 0)]
        return ".".join([*parts, module] if module else parts)

    def breach(self, line: int, rule: str, message: str) -> Breach:
        return Breach(self.path, line, rule, message)


@dataclass(frozen=True)
class Repository:
    """All files of a repository as text, the package's Python files parsed as well."""

    files: Mapping[str, str]
    sources: tuple[Source, ...]
    unparsed: tuple[Breach, ...]

    @classmethod
    def of(cls, files: Mapping[str, str]) -> Self:
        sources, unparsed = [], []
        for path, text in sorted(files.items()):
            if path.startswith(f"{PACKAGE}/") and path.endswith(".py"):
                try:
                    sources.append(Source(path, text))
                except SyntaxError as error:
                    unparsed.append(Breach(path, error.lineno or 1, "syntax", error.msg))
        return cls(files, tuple(sources), tuple(unparsed))

    @cached_property
    def modules(self) -> frozenset[str]:
        return frozenset(source.module for source in self.sources)


def module_name(path: str) -> str:
    """``stent/a/b.py`` is stent.a.b, ``stent/a/__init__.py`` is stent.a."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_under(path: str, places: Iterable[str]) -> bool:
    """Whether the path is one of the places: a file, or a folder written with a slash at its end."""
    return any(path == place or (place.endswith("/") and path.startswith(place)) for place in places)

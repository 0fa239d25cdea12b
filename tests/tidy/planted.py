"""How a rule is tried: a few small files in which the breaches are marked; every other line is a near miss."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from textwrap import dedent

from tests.tidy.source import Repository

MARK = "  # !"


@dataclass(frozen=True)
class Sample:
    """A rule, what is tried, and the files by path, with a ``# !`` at the end of each line that breaks the rule."""

    rule: str
    what: str
    files: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"

    @cached_property
    def marked(self) -> dict[str, str]:
        return {path: dedent(text).lstrip("\n") for path, text in self.files.items()}

    @cached_property
    def repository(self) -> Repository:
        return Repository.of({path: text.replace(MARK, "") for path, text in self.marked.items()})

    @cached_property
    def expected(self) -> list[tuple[str, int]]:
        lines = ((path, *line) for path, text in self.marked.items() for line in enumerate(text.split("\n"), start=1))
        return sorted((path, number) for path, number, line in lines if line.endswith(MARK))


def sample(rule: str, what: str, **modules: str) -> Sample:
    """Files by module: ``app`` is stent/app.py, ``history__fold`` stent/history/fold.py, ``codec__`` codec's own."""
    paths = {name: re.sub("(^|/)$", r"\1__init__", name.replace("__", "/")) for name in modules}
    return Sample(rule, what, {f"stent/{paths[name]}.py": text for name, text in modules.items()})

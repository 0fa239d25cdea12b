"""One finding of the check, and how it is told: by its line, with a caret, as text or as data."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stent.check.names import Scope
from stent.replay.rules import Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that would not replay. Lines and columns count from 1."""

    rule: Rule
    what: str
    path: Path
    line: int
    column: int
    end_column: int
    function: str
    """Qualified name of the function that the place is in."""
    orchestrator: str
    """Qualified name of the orchestrator that gets there."""
    source: str

    def text(self, folder: Path) -> str:
        """The finding for a terminal; paths as seen from a folder."""
        used = f" (used by {self.orchestrator}())" if self.orchestrator != self.function else ""
        shown = self.source.strip()
        indent = len(self.source) - len(self.source.lstrip())
        caret = " " * (self.column - 1 - indent) + "^" * max(1, self.end_column - self.column)
        return (
            f"{self._path_from(folder)}:{self.line}:{self.column}: {self.rule.code} {self.what} {self.rule.why}\n"
            f"    in {self.function}(){used}\n"
            f"    {shown}\n"
            f"    {caret}\n"
            f"    fix: {self.rule.fix}"
        )

    def facts(self, folder: Path) -> dict[str, Any]:
        """The finding as data."""
        return {
            "code": self.rule.code,
            "title": self.rule.title,
            "what": self.what,
            "why": self.rule.why,
            "fix": self.rule.fix,
            "path": self._path_from(folder).as_posix(),
            "line": self.line,
            "column": self.column,
            "end_column": self.end_column,
            "function": self.function,
            "orchestrator": self.orchestrator,
            "source": self.source.strip(),
        }

    def _path_from(self, folder: Path) -> Path:
        return self.path.relative_to(folder) if self.path.is_relative_to(folder) else self.path


@dataclass(frozen=True, slots=True)
class Hit:
    """A node that breaks a rule, before anybody asks where it is."""

    rule: Rule
    what: str
    node: ast.expr | ast.stmt


def finding_of(hit: Hit, scope: Scope, orchestrator: Scope) -> Finding:
    """Where a hit is. A node over several lines is shown by its first."""
    node, module = hit.node, scope.module
    line = module.line(node.lineno)
    first = _column(line, node.col_offset)
    last = _column(line, node.end_col_offset or 0) if node.end_lineno == node.lineno else len(line)
    names = (scope.qualified_name, orchestrator.qualified_name)
    return Finding(hit.rule, hit.what, module.path, node.lineno, first + 1, last + 1, *names, line)


def _column(line: str, offset: int) -> int:
    """The tree counts bytes of UTF-8, people count characters."""
    return len(line.encode()[:offset].decode(errors="ignore"))


def summary(found: Sequence[Finding], orchestrators: int) -> str:
    """All findings in one line."""
    checked = f"{orchestrators:,} orchestrator{'' if orchestrators == 1 else 's'}"
    if not found:
        return f"{checked}: nothing found"
    return f"{checked}: {len(found):,} finding{'' if len(found) == 1 else 's'}"

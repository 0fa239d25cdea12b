"""Stalled runs in groups: those that one change of the code has stalled, at one place and of one version, are one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stent.history.records import RunRow

_SITE = re.compile(r"\S+\.py:\d+ in \S+\(\)")


@dataclass(slots=True)
class StallGroup:
    """Runs that are stalled for one reason."""

    function: str
    version: str | None
    recorded_site: str | None
    code_site: str | None
    reason: str
    """What the first of them says, in full."""
    run_ids: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "function": self.function,
            "version": self.version,
            "recorded_site": self.recorded_site,
            "code_site": self.code_site,
            "count": len(self.run_ids),
            "runs": self.run_ids,
            "reason": self.reason,
        }


def stall_groups(runs: Iterable[tuple[RunRow, str | None]]) -> list[StallGroup]:
    """Stalled runs, each with the version of the code that began it, by reason; the largest group first."""
    groups: dict[tuple[str, str | None, str | None, str | None, str], StallGroup] = {}
    for row, version in runs:
        reason = row.stall or ""
        sites = site_in(reason, "history"), site_in(reason, "code")
        other = "" if any(sites) else reason.replace(row.run_id, "RUN")
        key = (row.function, version, *sites, other)
        group = groups.setdefault(key, StallGroup(row.function, version, *sites, reason))
        group.run_ids.append(row.run_id)
    return sorted(groups.values(), key=lambda group: (-len(group.run_ids), group.function, group.reason))


def site_in(reason: str, label: str) -> str | None:
    """The place that a report names on its line "history" or "code"."""
    line = next((line for line in reason.splitlines() if line.split(maxsplit=1)[:1] == [label]), "")
    found = _SITE.findall(line)
    return found[-1] if found else None

"""What is known of a call before anything is recorded: its role, how it is to be carried out, and where it was made.

Apart from the events, which hold these, because a decorator needs no more of a history than this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

Role: TypeAlias = Literal["orchestrator", "activity"]
"""What a durable function turned out to be: replayed, or run for its effect."""


class Site(NamedTuple):
    """Where in the user's code a command was given."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}()"


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How a call is to be carried out; recorded, so that a restart or another worker keeps to it."""

    retry: dict[str, Any] | None = None
    timeout_us: int | None = None
    queue: str | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()


DEFAULT_OPTIONS = CallOptions()

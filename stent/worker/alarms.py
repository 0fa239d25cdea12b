"""Which held runs wake when. Data structure only: who asks tells the time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field


@dataclass(slots=True)
class Alarms:
    """Due times of held runs. A run may be here several times; waking it once too often does no harm."""

    _heap: list[tuple[int, str]] = field(default_factory=list)

    def add(self, due_us: int, run_id: str) -> bool:
        """Remember a due time; True if it is the earliest now."""
        heapq.heappush(self._heap, (due_us, run_id))
        return self._heap[0][0] == due_us

    def next_due_us(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_us: int) -> list[str]:
        """Runs that are due, each once, in the order of their due times."""
        due: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= now_us:
            due[heapq.heappop(self._heap)[1]] = None
        return list(due)

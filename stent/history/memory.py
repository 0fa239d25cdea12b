"""The store in memory, for tests and simulation: as strict as the ones on SQL, and gone with the process.

Rules of this file:
- one lock; a commit is applied whole or taken back whole;
- one conformance suite runs on this store and on the ones on SQL, so a test that passes here means something there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from stent.clock import Clock, SystemClock
from stent.errors import OptionError
from stent.history.memory_reads import MemoryReads
from stent.history.memory_writes import MemoryWrites
from stent.history.operations import Operation, Outcome, StartRun
from stent.history.wire import EventRow


class MemoryStore(MemoryReads):
    """One process's view of a store in memory. `peer()` gives the view of another process."""

    url = "memory:"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        self._seen_version = 0

    def peer(self) -> Self:
        """Another view of the same data, which notices what this one commits, and the other way round."""
        other = type(self)(self._clock)
        other._lock = self._lock
        other._tables = self._tables
        return other

    async def start_within(self, connection: object, operation: StartRun) -> EventRow | None:
        raise OptionError(
            "connection=: a store in memory has no part in anybody's transaction",
            fix="use a database in this test, such as SQLiteBackend(tmp_path / 'stent.db')",
            option="connection",
        )

    def initialise(self) -> None:
        """Nothing is missing in memory."""

    def close(self) -> None:
        """Nothing to free: the data lives as long as a view of it."""

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        with self._lock:
            tables = self._tables
            writes = MemoryWrites(tables, self._clock.now_us())
            try:
                outcomes = [writes.apply(operation) for operation in operations]
            except BaseException:  # border: whatever went wrong, half a commit must not stay
                tables.take_back()
                raise
            saw_all = self._seen_version == tables.version
            tables.keep()
            if saw_all:
                self._seen_version = tables.version
            return outcomes

    def changed(self) -> bool:
        with self._lock:
            is_changed = self._seen_version != self._tables.version
            self._seen_version = self._tables.version
            return is_changed

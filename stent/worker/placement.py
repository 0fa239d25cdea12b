"""Where work is to be carried out: here, or by any worker. Decides only."""

from __future__ import annotations

from typing import Protocol

from stent.history.events import CallOptions
from stent.history.records import NewRun
from stent.registry import Function, Registry
from stent.worker.held import Holdings


class Slots(Protocol):
    """What is to be known of the slots of a worker."""

    @property
    def free_slots(self) -> int: ...

    @property
    def waiting_count(self) -> int: ...


class Placement:
    """What one worker takes for itself. No `queues`, or no `tags`: all of them."""

    def __init__(
        self,
        worker_id: str,
        registry: Registry,
        holdings: Holdings,
        slots: Slots,
        *,
        queues: frozenset[str] | None = None,
        tags: frozenset[str] | None = None,
    ) -> None:
        self._worker_id = worker_id
        self._registry = registry
        self._holdings = holdings
        self._slots = slots
        self._promised: set[str] = set()
        self._queues = queues
        self._tags = tags

    def is_here(self, function: Function, options: CallOptions) -> bool:
        """Whether a call is carried out by this worker without asking; what a limit bounds never is."""
        return function.limit_key is None and self._serves(options.queue, options.tags)

    def owner_for(self, run: NewRun) -> str | None:
        """This worker's id if it holds a new run from birth, or None to leave it to any."""
        is_ours = (
            run.limit_key is None
            and run.due_us is None
            and self._holdings.has_room
            and self._registry.get(run.function) is not None
            and self._serves(run.queue, run.tags)
        )
        if not is_ours:
            return None
        if run.role == "activity":
            if len(self._promised) + self._slots.waiting_count >= self._slots.free_slots:
                return None  # it waits where any worker may take it
            self._promised.add(run.run_id)
        return self._worker_id

    @property
    def promised_count(self) -> int:
        """How many activities were promised a slot that they do not have yet."""
        return len(self._promised)

    def settle(self, run_id: str) -> None:
        """A run that was promised a slot has it, or was not started after all."""
        self._promised.discard(run_id)

    def _serves(self, queue: str | None, tags: tuple[str, ...]) -> bool:
        if self._queues is not None and (queue or "default") not in self._queues:
            return False
        return self._tags is None or any(tag in self._tags for tag in tags)

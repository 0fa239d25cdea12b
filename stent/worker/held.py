"""The runs that this worker holds: state, program, and what waits to be delivered to each. Data only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from stent.history.events import BatchItemsCompleted, CallCompleted, CallFailed, CallPromoted, Event, indexes_of
from stent.history.fold import RunState
from stent.history.records import RETRY_NAMES, SharedCall
from stent.registry import Function
from stent.replay.execution import Execution
from stent.worker.items import BatchSource, Outcomes
from stent.worker.slots import SINGLE, Single

HELD_AT_MOST = 10_000  # a suspended run takes a few KiB; more than this are left to other workers


class Delivery(NamedTuple):
    """Something that happened, on its way into a history: an event that has no place yet (seq 0).

    `key` names the inbox message it came as. A tuple, for one is made with every outcome.
    """

    event: Event
    key: str | None = None


class HeldRun:
    """One run under this worker's lease."""

    __slots__ = (
        "batches",
        "crashes",
        "deliveries",
        "epoch",
        "execution",
        "function",
        "head_hash",
        "idle_since_us",
        "is_committing",
        "is_dropped",
        "is_stalled",
        "keys",
        "lent",
        "limit_key",
        "offers",
        "outcomes",
        "run_id",
        "running",
        "settling",
        "shared",
        "state",
        "status",
    )

    def __init__(self, run_id: str, epoch: int, function: Function, state: RunState, head_hash: bytes) -> None:
        self.run_id = run_id
        self.epoch = epoch
        self.function = function
        self.state = state
        self.head_hash = head_hash
        self.execution: Execution | None = None
        self.deliveries: deque[Delivery] = deque()
        self.keys: set[str] = set()
        """Inbox messages that are here already, or that a commit in flight consumes."""
        self.is_committing = False
        self.is_dropped = False
        self.is_stalled = False
        self.status = "running"
        self.running: dict[tuple[int, int], Single] = {}
        """Bodies queued or running here: (call, item or SINGLE)."""
        self.settling: set[tuple[int, int]] = set()
        """Bodies that have ended here, and whose outcome is not recorded yet: (call, item or SINGLE)."""
        self.shared: set[tuple[int, int]] = set()
        """Calls and parts of batches that are offered to all workers: (call, first item or name of a retry)."""
        self.offers: list[SharedCall] = []
        """Calls to be offered to all workers with the next append."""
        self.lent: dict[int, set[int]] = {}
        """Items of batches that others carry out, by call."""
        self.batches: dict[int, BatchSource] = {}
        """What of each batch is carried out here."""
        self.outcomes: dict[int, Outcomes] = {}
        """Outcomes of items that wait to be written together, by call."""
        self.idle_since_us: int | None = None
        self.limit_key: str | None = None
        self.crashes = 0

    def deliver(self, delivery: Delivery) -> bool:
        """Queue a delivery; False if the message is here already."""
        if delivery.key is not None:
            if delivery.key in self.keys:
                return False
            self.keys.add(delivery.key)
        self.deliveries.append(delivery)
        return True

    def offer(self, shared: SharedCall) -> None:
        """Offer a call, or items of a batch, to all workers with the next append."""
        self.offers.append(shared)
        named = shared.named()
        self.shared.add((named.call, named.first_item))

    def attempt_failed(self, call: int, item: int | None) -> None:
        """An attempt is over: whoever carried it out, the next one is offered anew."""
        self.shared.discard((call, SINGLE if item is None else retry_name(item)))
        self.settling.discard((call, SINGLE if item is None else item))

    def settled(self, event: Event) -> None:
        """An outcome is recorded."""
        if not self.settling:
            return
        if type(event) is CallCompleted:  # nearly all of them
            self.settling.discard((event.call, SINGLE))
        elif isinstance(event, BatchItemsCompleted):
            self.settling.difference_update((event.call, item) for item in indexes_of(event.items))
        elif isinstance(event, CallFailed | CallPromoted):
            self.settling.discard((event.call, SINGLE))

    def has_begun(self, call: int, item: int = SINGLE) -> bool:
        """Whether the latest attempt of a call, or the latest retry of an item, is under way here or offered to all."""
        if (call, item) in self.settling:
            return True
        if item == SINGLE:
            return (call, SINGLE) in self.running or (call, SINGLE) in self.shared
        source = self.batches.get(call)
        return (call, retry_name(item)) in self.shared or (source is not None and source.has_begun(item))

    def next_due_us(self, after_us: int = -1) -> int | None:
        """The earliest time after `after_us` when something begins by itself: a timer, a retry or the deadline.

        A state alone cannot tell a retry that waits from one that runs, and whoever waits for the latter goes round.
        """
        state = self.state
        dues = [
            call.retry_at_us
            for call in state.calls.values()
            if call.retry_at_us is not None and call.role == "activity" and not self.has_begun(call.call)
        ]
        for batch in state.batches.values():
            dues.extend(due_us for item, (_, due_us) in batch.attempts.items() if not self.has_begun(batch.call, item))
        if not state.is_ended:
            dues.extend(state.timers.values())
            if state.deadline_us is not None:
                dues.append(state.deadline_us)
        return min((due_us for due_us in dues if due_us > after_us), default=None)

    @property
    def is_quiet(self) -> bool:
        """Nothing is running, queued or being written here: the run waits for time or for others."""
        if self.is_committing or self.running or self.deliveries or self.offers or self.outcomes:
            return False
        return not any(source.has_work for source in self.batches.values())

    def stop_bodies(self, call: int | None = None) -> None:
        """Start nothing more of a call, or of the whole run, and forget what it has brought."""
        for place, single in list(self.running.items()):
            if call is None or place[0] == call:
                single.stop()
                del self.running[place]
        for number in [call] if call is not None else list(self.batches):
            source = self.batches.pop(number, None)
            if source is not None:
                source.stop()
            self.outcomes.pop(number, None)

    def source_is_over(self, call: int) -> bool:
        """Whether everything of a batch that was carried out here has an outcome."""
        source = self.batches.get(call)
        return source is None or source.is_over

    def close_program(self) -> bool:
        """Throw the program away; False if one of its bodies would not end and is leaked."""
        execution, self.execution = self.execution, None
        return execution is None or execution.close()


def retry_name(item: int) -> int:
    """The name under which the retry of one item is offered (`SharedCall.named`)."""
    return RETRY_NAMES - item


class Holdings:
    """All runs under this worker's lease, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, HeldRun] = {}
        self.is_closing = False
        """Nothing more is taken on."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._by_id

    def __iter__(self) -> Iterator[HeldRun]:
        """The runs as they are now: they may be added and removed meanwhile."""
        return iter(list(self._by_id.values()))

    def ids(self) -> list[str]:
        return list(self._by_id)

    def get(self, run_id: str) -> HeldRun | None:
        return self._by_id.get(run_id)

    def add(self, held: HeldRun) -> None:
        self._by_id[held.run_id] = held

    def remove(self, held: HeldRun) -> None:
        """Let go of a run, unless another lease of it has taken its place."""
        if self._by_id.get(held.run_id) is held:
            del self._by_id[held.run_id]

    @property
    def has_room(self) -> bool:
        return not self.is_closing and len(self._by_id) < HELD_AT_MOST

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is going on here by itself: no body, no write, no timer."""
        return all(held.is_quiet and held.next_due_us() is None for held in self._by_id.values())

    @property
    def is_writing(self) -> bool:
        return any(held.is_committing for held in self._by_id.values())

"""Rows as the stores hand them out: plain data, no behaviour.

Times are UTC microseconds. `None` for a time means it has not happened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from stent.errors import SchemaVersionError
from stent.history.events import CallOptions, Event, Role
from stent.history.fold import Status
from stent.history.wire import EventRow

TERMINAL_STATUSES: frozenset[Status] = frozenset({"completed", "failed", "timed_out", "cancelled"})
RETRY_NAMES = -2
"""Retried parts are named by this number minus their first item."""

Outline: TypeAlias = tuple[str, int, int, int | None, str | None]
"""What an event's row says without user data, time and hash: run id, code, version, call and body.

As drivers give it: there is one for each event of a database, and making anything of it takes longer than reading it.
"""


@dataclass(frozen=True, slots=True)
class RunRow:
    """What the database knows of a run without reading its history.

    `crashes` is how many of its holders died in a row without having recorded anything.
    """

    run_id: str
    function: str
    role: Role
    status: Status
    queue: str | None
    priority: int
    tags: tuple[str, ...]
    limit_key: str | None
    parent_run: str | None
    parent_call: int | None
    parent_item: int | None
    epoch: int
    owner: str | None
    created_at_us: int
    started_at_us: int | None
    finished_at_us: int | None
    stall: str | None
    crashes: int

    @property
    def is_ended(self) -> bool:
        return self.status in TERMINAL_STATUSES


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be started. `started` is its first event; `owner` is set where its starter holds it from birth.

    A starter without a lease does not get it, and nobody gets one with a limit that way: it is claimed like others.
    """

    run_id: str
    function: str
    role: Role
    started: EventRow
    queue: str | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    limit_key: str | None = None
    parent_run: str | None = None
    parent_call: int | None = None
    parent_item: int | None = None
    due_us: int | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A fact from outside on its way into a run. `event` has no place in a history yet (seq 0).

    `key` makes it unique within the run: a second message with the same key is the same message.
    `is_once` asks the store to hold a signal also against the events of the run: its key is unique as long as the run
    lives, not only while a message with it waits. That is asked when it is put, and not kept with it.
    """

    run_id: str
    key: str
    event: Event
    is_once: bool = False


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A message that waits for the holder of its run. `n` orders the messages of a run."""

    n: int
    message: Message


@dataclass(frozen=True, slots=True)
class SharedCall:
    """A call, or a range of a batch, that any worker may carry out.

    `seq` is the scheduling event with the arguments. For a part of a batch `items` says which items (half-open
    ranges) and `first_item` names the part (see `named`); for a single call `first_item` is -1 and `items` empty.
    `limit_key` names what bounds it over all workers, item by item.
    """

    run_id: str
    call: int
    seq: int
    function: str
    first_item: int = -1
    items: tuple[tuple[int, int], ...] = ()
    attempt: int = 1
    queue: str | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    limit_key: str | None = None

    def named(self) -> SharedCall:
        """The same under the name that it has among all that is shared.

        A retry of some items is offered while the part they came from may still be carried out, and that part keeps
        its name. So a retry has a name that no first offer can have.
        """
        if not self.items or self.attempt == 1 or self.first_item < 0:
            return self
        return replace(self, first_item=RETRY_NAMES - self.first_item)

    @property
    def size(self) -> int:
        """How many bodies this stands for."""
        return sum(stop - start for start, stop in self.items) if self.items else 1


@dataclass(frozen=True, slots=True)
class SharedRow:
    """A shared call as it stands now."""

    call: SharedCall
    claimed_by: str | None
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that this worker now holds. Only what every row tells: whoever reads the run finds out what is damaged."""

    run_id: str
    epoch: int
    is_activity: bool


@dataclass(frozen=True, slots=True)
class ClaimedCall:
    """A shared call that this worker now carries out, with all it needs for that."""

    call: SharedCall
    scheduled: EventRow


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """All that is needed to go on with a run: its row, its history, its messages and what others carry out for it."""

    run: RunRow
    rows: tuple[EventRow, ...]
    inbox: tuple[InboxRow, ...]
    shared: tuple[SharedRow, ...]


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process as its peers see it. Its leases are valid until `valid_until_us`."""

    worker_id: str
    host: str
    pid: int
    started_at_us: int
    valid_until_us: int
    lock_path: str | None
    free_slots: int


@dataclass(frozen=True, slots=True)
class Glance:
    """What a worker sees at one look: which of the longer questions are worth asking."""

    has_ready: bool
    next_due_us: int | None
    has_messages: bool
    has_cancelled: bool
    has_expired: bool
    has_stalled: bool
    worker_count: int


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; every field narrows. Pages go by (created_at_us, run_id), newest first."""

    statuses: tuple[Status, ...] = ()
    function: str | None = None
    parent_run: str | None = None
    roots_only: bool = False
    tags: tuple[str, ...] = ()
    queue: str | None = None
    created_after_us: int | None = None
    created_before_us: int | None = None
    id_prefix: str | None = None
    before: tuple[int, str] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where the tables of a database stand: their version (None: there are none of ours) and the one wanted."""

    url: str
    version: str | None
    wanted: str
    statements: tuple[str, ...]
    """What is still to be done."""
    refusal: SchemaVersionError | None = None
    """Set if this Stent cannot work with the database, whatever is done here."""

    @property
    def is_current(self) -> bool:
        return self.refusal is None and not self.statements


__all__ = [
    "TERMINAL_STATUSES",
    "CallOptions",
    "ClaimedCall",
    "ClaimedRun",
    "Glance",
    "InboxRow",
    "LoadedRun",
    "Message",
    "NewRun",
    "Outline",
    "RunFilter",
    "RunRow",
    "SchemaState",
    "SharedCall",
    "SharedRow",
    "WorkerRow",
]

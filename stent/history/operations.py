"""What can be written: one frozen type a change, and the outcome each gives.

Rules of this file:
- a store applies a list of operations in one transaction, in order; each fails alone and says how;
- an operation that acts for a holder carries the epoch under which it was computed, and is refused under any other;
- doing an operation twice has the effect of doing it once, so an unknown outcome may simply be asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from stent.history.fold import Status
from stent.history.records import ClaimedCall, ClaimedRun, Message, NewRun, SharedCall
from stent.history.wire import EventRow

# -- for clients -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartRun:
    """Start a run. Outcome: `Started`; `created=False` when a run with this id is there already."""

    run: NewRun


@dataclass(frozen=True, slots=True)
class Started:
    created: bool


@dataclass(frozen=True, slots=True)
class PutMessage:
    """Put a message into a run's inbox. Outcome: `Put`."""

    message: Message


@dataclass(frozen=True, slots=True)
class Put:
    """`delivered` the first time, `duplicate` while a message with this key waits; nothing is kept for the other two.

    A key that comes back after its message became an event is delivered again, and the holder knows it from the
    history; unless the message `is_once`, or the run has ended: then it is a `duplicate` also of that event.
    What one and the same put has brought, and its sender was not told, is no duplicate: it is `delivered`.
    """

    result: Literal["delivered", "duplicate", "unknown", "ended"]


# -- for the holder of a run -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Release:
    """Give the run back; wake it at `due_us`, at the next message (also one that waits already), or now.

    A run given back as stalled is not woken by the messages that wait already: they wait with it.
    """

    due_us: int | None = None
    now: bool = False


class Append(NamedTuple):
    """The next events of a run, and all that follows from them, in one piece.

    Outcome: `Appended`, `Fenced` or `Unread`.

    `consumed` are the keys of inbox messages that became events; `children` the runs to start; `messages` go to other
    runs; `shared` are calls offered to all workers, `withdrawn` the calls that nobody wants any longer.
    `status` is set where it changes. `release` gives the run back in the same transaction. `next_run` is the run that
    goes on where this one ends: signals that wait here, and are not consumed, move to its inbox in their order, behind
    those among `messages`.
    A child whose id another run has is not started, and the run that called for it is told. A cancel among `messages`
    for a run that has continued as new is put to the one that goes on in its place.
    """

    run_id: str
    epoch: int
    rows: tuple[EventRow, ...] = ()
    consumed: tuple[str, ...] = ()
    children: tuple[NewRun, ...] = ()
    messages: tuple[Message, ...] = ()
    shared: tuple[SharedCall, ...] = ()
    withdrawn: tuple[int, ...] = ()
    status: Status | None = None
    at_us: int = 0
    stall: str | None = None
    release: Release | None = None
    next_run: str | None = None

    @property
    def adds_events_only(self) -> bool:
        """Whether nothing but the run's own events is written."""
        return bool(self.rows) and not (
            self.consumed
            or self.children
            or self.messages
            or self.shared
            or self.withdrawn
            or self.status
            or self.release
            or self.next_run
        )


@dataclass(frozen=True, slots=True)
class Appended:
    """Recorded. `cancelled` are the withdrawn calls that another worker is carrying out right now.

    `taken` are the places in `children` of those that this append did not start, for there are runs with their ids;
    `led_on` says of messages that went to another run than asked for: (place in `messages`, id of that run). The latter
    is a hint: an append that is repeated does not know it.
    """

    cancelled: tuple[tuple[int, int], ...] = ()
    taken: tuple[int, ...] = ()
    led_on: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fenced:
    """Another worker holds the run, or it has moved on; nothing was written."""


@dataclass(frozen=True, slots=True)
class Unread:
    """The run would be completed, and a cancel waits in the inbox that this does not consume; nothing was written.

    Whoever asked for the cancel was told that it came in time. The run is still the holder's, who has to read it first.
    """


# -- for workers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a worker can carry out. `queues` and `tags` None means all."""

    functions: frozenset[str]
    queues: frozenset[str] | None = None
    tags: frozenset[str] | None = None

    def fits(self, function: str, queue: str | None, tags: Sequence[str]) -> bool:
        """Whether a run or a call is for such a worker."""
        return (
            function in self.functions
            and (self.queues is None or (queue or "default") in self.queues)
            and (self.tags is None or any(tag in self.tags for tag in tags))
        )


@dataclass(frozen=True, slots=True)
class ClaimRuns:
    """Take over up to `limit` runs that have something to do. Outcome: `ClaimedRuns`.

    Orchestrators wait without a slot and are taken freely; of runs that are activities at most `slots`.
    `only` names the runs to take, stalled ones included, instead of asking what is ready; limits hold for these too.
    A worker that is not registered gets nothing.
    """

    worker_id: str
    can: Capabilities
    limit: int
    slots: int
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimedRuns:
    runs: tuple[ClaimedRun, ...]


@dataclass(frozen=True, slots=True)
class ClaimCalls:
    """Take up to `slots` shared calls or items. Outcome: `ClaimedCalls`. An unregistered worker gets nothing.

    A call whose row, or what scheduled it, is damaged goes to nobody any longer: it is set aside, and its run stalled.
    """

    worker_id: str
    can: Capabilities
    slots: int


@dataclass(frozen=True, slots=True)
class ClaimedCalls:
    calls: tuple[ClaimedCall, ...]


@dataclass(frozen=True, slots=True)
class FinishCall:
    """A shared call, or some items of a range, have an outcome: tell the run. Outcome: `Finished`.

    `remaining` are the items of the range still being carried out, as half-open ranges; empty ends the claim.
    """

    worker_id: str
    run_id: str
    call: int
    first_item: int
    message: Message | None
    remaining: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """`was_held=False`: the claim was taken away, the outcome is discarded."""

    was_held: bool


@dataclass(frozen=True, slots=True)
class RegisterWorker:
    """A worker process begins. Outcome: `Renewed`."""

    worker_id: str
    host: str
    pid: int
    lease_us: int
    lock_path: str | None = None
    limits: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RenewWorker:
    """Keep all leases of a worker. Outcome: `Renewed`; `is_alive=False` when its peers gave it up."""

    worker_id: str
    lease_us: int
    free_slots: int = 0


@dataclass(frozen=True, slots=True)
class Renewed:
    is_alive: bool


@dataclass(frozen=True, slots=True)
class ReapWorkers:
    """Give up `dead` workers and all whose lease has run out; what they held can be claimed again. Outcome: `Reaped`.

    Also the end of a worker's own life: it reaps itself.
    """

    dead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reaped:
    workers: tuple[str, ...]
    run_count: int
    call_count: int


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Give back runs and calls that a worker has without knowing of them: the answer to its claim was lost.

    Raises the epoch of the runs, so that an answer which comes after all gives nobody a right. `calls` are
    (run id, call, first item). Outcome: `Reaped`.
    """

    worker_id: str
    runs: tuple[str, ...] = ()
    calls: tuple[tuple[str, int, int], ...] = ()


Operation: TypeAlias = (
    StartRun
    | PutMessage
    | Append
    | ClaimRuns
    | ClaimCalls
    | FinishCall
    | RegisterWorker
    | RenewWorker
    | ReapWorkers
    | GiveBack
)
Outcome: TypeAlias = (
    Started | Put | Appended | Fenced | Unread | ClaimedRuns | ClaimedCalls | Finished | Renewed | Reaped
)

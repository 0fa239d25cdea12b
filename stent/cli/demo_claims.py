"""What the demo claims, checked against a ledger that the engine does not write.

Pure: bodies and histories in, claims out. An activity is named by (call, item); a single call has item -1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from stent.history.events import BatchItemsCompleted, BatchScheduled, CallCompleted, Event, indexes_of

Activity: TypeAlias = tuple[int, int]
SINGLE = -1


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, and whether it is true."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Kill:
    """What was true when the worker had been killed: activities recorded, and bodies that had begun without that."""

    recorded: frozenset[Activity]
    in_flight: frozenset[Activity]


def kill_of(history: Sequence[Event], bodies: Iterable[Activity]) -> Kill:
    """The state of things behind a kill."""
    recorded = frozenset(recorded_in(history))
    return Kill(recorded, frozenset(bodies) - recorded)


def recorded_in(history: Sequence[Event]) -> list[Activity]:
    """Activities with a recorded result, once for each time it was recorded."""
    found: list[Activity] = []
    for event in history:
        if isinstance(event, CallCompleted):
            found.append((event.call, SINGLE))
        elif isinstance(event, BatchItemsCompleted):
            found += [(event.call, index) for index in indexes_of(event.items)]
    return found


def bodies_in(ledger: str, run_id: str) -> list[Activity]:
    """The bodies of one run that began, from the lines of the ledger."""
    rows = [line.split(" ") for line in ledger.splitlines()]
    return [(int(call), int(item)) for run, call, item in rows if run == run_id]


def claims_about(kill: Kill, history: Sequence[Event], bodies: Sequence[Activity], total: int) -> list[Claim]:
    """That the kill lost nothing and repeated nothing, sentence by sentence."""
    starts = Counter(bodies)
    records = Counter(recorded_in(history))
    repeated = {activity for activity, count in starts.items() if count > 1}
    recorded, in_flight = len(kill.recorded), len(kill.in_flight)
    return [
        Claim(
            f"the kill came in the middle: {recorded:,} of {total:,} activities recorded, {in_flight:,} more begun",
            0 < recorded < total and in_flight > 0,
        ),
        Claim(
            f"none of the {recorded:,} finished activities ran again",
            all(starts[activity] == 1 for activity in kill.recorded),
        ),
        Claim(
            f"{len(bodies):,} bodies for {total:,} activities: {len(repeated):,} began again, those that had no record",
            repeated == kill.in_flight and len(bodies) == total + len(repeated),
        ),
        Claim(
            f"each of the {total:,} results was recorded exactly once",
            len(records) == total and set(records.values()) == {1} and set(records) == set(starts),
        ),
    ]


def batch_claim(history: Sequence[Event], count: int) -> Claim:
    """That a map is one event however many items it has."""
    scheduled = [event.count for event in history if isinstance(event, BatchScheduled)]
    events = f"{len(scheduled)} event" if len(scheduled) == 1 else f"{len(scheduled)} events"
    return Claim(
        f"{count:,} items were scheduled by {events} (BatchScheduled); the history has {len(history):,} in all",
        scheduled == [count],
    )

"""The vocabulary of histories: numbers that never change, and small tools on ranges and turns."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, strategies as st

from stent.codec import Payload
from stent.history.events import (
    BOOKKEEPING,
    DELIVERIES,
    EVENT_CODES,
    EVENT_TYPES,
    EVENT_TYPES_BY_NAME,
    PAYLOAD_FIELDS,
    TERMINALS,
    CallAttemptFailed,
    CallCompleted,
    CallScheduled,
    DeadlineSet,
    Event,
    PatchRecorded,
    RunCompleted,
    RunStarted,
    Site,
    Turn,
    indexes_of,
    placed,
    ranges_of,
    split_ranges,
    turns_of,
)

KINDS = sorted(EVENT_CODES, key=lambda kind: EVENT_CODES[kind])
NOTHING = Payload(1, b"null")

indexes = st.lists(st.integers(0, 30), unique=True)


def test_stored_numbers_never_change() -> None:
    """Databases hold them. A new type gets a new number; none of these is ever touched."""
    assert {
        1: "RunStarted",
        2: "RoleCorrected",
        3: "CancelRequested",
        4: "RunCompleted",
        5: "RunFailed",
        6: "RunCancelled",
        7: "RunTimedOut",
        8: "RunContinuedAsNew",
        9: "DeadlineSet",
        20: "CallScheduled",
        21: "CallPromoted",
        22: "CallAttemptFailed",
        23: "CallCompleted",
        24: "CallFailed",
        25: "CallCancelRequested",
        30: "BatchScheduled",
        31: "BatchItemsCompleted",
        40: "TimerStarted",
        41: "TimerFired",
        42: "TimerCancelled",
        50: "SignalAwaited",
        51: "SignalReceived",
        60: "PatchRecorded",
    } == {code: kind.__name__ for code, kind in EVENT_TYPES.items()}


def test_every_type_is_listed_under_its_number_and_name() -> None:
    assert set(Event.__subclasses__()) >= set(KINDS)
    assert {kind.__name__: kind for kind in KINDS} == EVENT_TYPES_BY_NAME
    assert len(EVENT_CODES) == len(EVENT_TYPES)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_cannot_be_changed(kind: type[Event]) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_payload_fields_are_the_payloads(kind: type[Event]) -> None:
    """One payload a type, and the table names it: it is stored apart, and compared and read by the codec."""
    payloads = [field.name for field in dataclasses.fields(kind) if field.type in ("Payload", Payload)]
    assert [PAYLOAD_FIELDS[kind]] if kind in PAYLOAD_FIELDS else [] == payloads


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_that_gets_its_place_says_all_that_it_said(kind: type[Event]) -> None:
    """Whatever its fields hold, so here each one holds something of its own."""
    event = kind(*[object() for _ in dataclasses.fields(kind)])
    assert dataclasses.replace(event, seq=7, at_us=9) == placed(event, 7, 9)


def test_a_delivery_never_ends_a_run() -> None:
    """What comes from outside is for the program to see; the end is decided."""
    assert not DELIVERIES & TERMINALS
    assert not DELIVERIES & BOOKKEEPING


def test_an_event_knows_its_type() -> None:
    assert "RunCompleted" == RunCompleted(1, 2, NOTHING).type


def test_a_site_reads_like_a_line_of_a_traceback() -> None:
    assert "shop.py:7 in order()" == str(Site("shop.py", 7, "order"))


@given(indexes)
def test_ranges_keep_indexes_and_their_order(numbers: list[int]) -> None:
    ranges = ranges_of(numbers)
    assert numbers == indexes_of(ranges)
    assert all(start < stop for start, stop in ranges)


def test_neighbours_make_one_range() -> None:
    assert ((0, 3), (7, 9), (5, 6)) == ranges_of([0, 1, 2, 7, 8, 5])


@given(indexes.map(ranges_of), st.integers(0, 40))
def test_a_split_gives_the_first_ones_and_the_rest(ranges: tuple[tuple[int, int], ...], size: int) -> None:
    first, rest = split_ranges(ranges, size)
    numbers = indexes_of(ranges)
    assert (numbers[:size], numbers[size:]) == (indexes_of(first), indexes_of(rest))


def test_a_turn_is_a_delivery_and_what_was_decided_then() -> None:
    started = RunStarted(1, 1, "run", "f", NOTHING, "orchestrator")
    limit = DeadlineSet(2, 1, 99)
    call = CallScheduled(3, 1, 1, "g", NOTHING, "activity")
    patch = PatchRecorded(4, 1, "change")
    failed = CallAttemptFailed(5, 2, 1, 1, 9, NOTHING)
    done = CallCompleted(6, 3, 1, NOTHING)
    end = RunCompleted(7, 3, NOTHING)
    assert [Turn(started, (call, patch)), Turn(done, (end,))] == list(
        turns_of([started, limit, call, patch, failed, done, end])
    )

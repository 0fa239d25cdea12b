"""The stored form of events: equal after the round trip, and whatever is wrong with a row is seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from stent.codec import Payload
from stent.errors import CorruptHistoryError
from stent.history import events, wire
from stent.history.events import (
    EVENT_CODES,
    CallCompleted,
    CallOptions,
    CallScheduled,
    Event,
    RunCompleted,
    RunStarted,
    Site,
    TimerFired,
    TimerStarted,
)
from stent.history.wire import EventRow
from tests.history.event_samples import any_event, events_of

KINDS = sorted(EVENT_CODES, key=lambda kind: EVENT_CODES[kind])
PREVIOUS = b"p" * 16
TOKEN = b"t" * 16


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_event_is_equal_after_the_round_trip(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    row = wire.encode(event, "run", 3, PREVIOUS, TOKEN)
    found = wire.decode(row)
    assert (event, type(event)) == (found, type(found))
    assert ("run", event.seq, 3, event.at_us, TOKEN) == (row.run_id, row.seq, row.epoch, row.at_us, row.token)


def test_types_survive_within_an_event() -> None:
    scheduled = CallScheduled(1, 2, 3, "f", Payload(1, b"[]"), "activity", "0.1", Site("a.py", 7, "main"))
    found = wire.decode(wire.encode(scheduled, "run", 1, PREVIOUS))
    assert isinstance(found, CallScheduled)
    assert isinstance(found.site, Site)
    assert isinstance(found.options.tags, tuple)


def test_what_is_as_usual_takes_no_room() -> None:
    """Half of all rows are outcomes of calls: they have no body at all."""
    assert None is wire.encode(CallCompleted(4, 5, 3, Payload(1, b"1")), "run", 1, PREVIOUS).body
    assert {"function": "f", "role": "activity"} == json.loads(
        wire.encode(CallScheduled(1, 2, 3, "f", Payload(1, b"[]"), "activity"), "run", 1, PREVIOUS).body or ""
    )


# -- rows that cannot be read ----------------------------------------------------------------------------------------


def row_of(event: Event) -> EventRow:
    return wire.encode(event, "run", 1, PREVIOUS)


TIMER = row_of(TimerStarted(4, 5, 3, 1_000))
TIMER_FIRED = row_of(TimerFired(4, 5, 3))
COMPLETED = row_of(CallCompleted(4, 5, 3, Payload(1, b"1")))


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (TIMER._replace(code=9_999), "unknown event type 9999"),
        (TIMER._replace(version=2), "has version 2, this Stent reads up to 1"),
        (TIMER._replace(version=0), "nothing lifts version 0"),
        (TIMER._replace(body="{"), "cannot be read"),
        (TIMER._replace(body="[]"), "no JSON object"),
        (TIMER._replace(body=None), "cannot be read"),
        (TIMER._replace(body="{}"), "cannot be read"),
        (TIMER._replace(body='{"due_us":"soon"}'), "cannot be read"),
        (TIMER._replace(body='{"due_us":1,"new":2}'), "cannot be read"),
        (TIMER._replace(call=None), "cannot be read"),
        (TIMER_FIRED._replace(call=None), "cannot be read"),
        (TIMER_FIRED._replace(at_us=None), "cannot be read"),
        (COMPLETED._replace(call=None), "cannot be read"),
        (COMPLETED._replace(call="x"), "cannot be read"),
        (COMPLETED._replace(payload=None), "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(row: EventRow, what: str) -> None:
    with pytest.raises(CorruptHistoryError, match=what) as caught:
        wire.decode(row)
    assert ("run", 4) == (caught.value.run_id, caught.value.seq)
    assert caught.value.fix


# -- the short cut for usual rows -------------------------------------------------------------------------------------

ODD_COLUMNS: list[dict[str, Any]] = [
    {},
    {"call": None},
    {"call": "7"},
    {"call": 7.0},
    {"call": True},
    {"seq": "1"},
    {"at_us": 2.5},
    {"payload": None},
    {"payload": (1, b"1")},
    {"body": None},
    {"body": "{}"},
    {"body": "null"},
    {"body": '{"function":"f","role":"activity","child_run":"r"}'},
    {"body": '{"function":"f","role":"activity","seq":9}'},
    {"version": 0},
    {"version": 2},
    {"code": EVENT_CODES[CallCompleted]},
    {"code": EVENT_CODES[CallScheduled]},
]


def told(read: Callable[[EventRow], Event], row: EventRow) -> Any:
    """What comes of reading a row: types included, errors included."""
    try:
        event = read(row)
    except CorruptHistoryError as error:
        return str(error)
    values = [getattr(event, field.name) for field in fields(event)]
    return type(event), values, list(map(type, values))


@settings(max_examples=300, deadline=None)
@given(
    events=st.lists(any_event | events_of(CallScheduled) | events_of(CallCompleted), min_size=1, max_size=4),
    changes=st.lists(st.sampled_from(ODD_COLUMNS), min_size=1, max_size=6),
)
def test_the_short_cut_reads_what_the_long_way_reads(events: list[Any], changes: list[dict[str, Any]]) -> None:
    """Whatever rows were read before, a row that was read already among them."""
    rows = [wire.encode(event, "run", 1, PREVIOUS) for event in events]
    for row in rows:
        told(wire.decode, row)
    for row in rows:
        for change in [{}, *changes]:
            changed = row._replace(**change)
            assert told(wire._any_event, changed) == told(wire.decode, changed)


def test_what_is_kept_of_bodies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_CALL_BODIES_KEPT", 3)
    wire._read_bodies.clear()
    for number in range(9):
        wire.decode(row_of(CallScheduled(1, 2, 3, f"f{number}", Payload(1, b"[]"), "activity")))
        wire.decode(row_of(CallScheduled(1, 2, 3, "f", Payload(1, b"[]"), "activity", child_run=f"r{number}")))
        assert 1 <= len(wire._read_bodies) <= 3


@pytest.mark.parametrize(
    "change",
    [
        {"function": "g"},
        {"role": "orchestrator"},
        {"path": "0.2"},
        {"site": Site("a.py", 8, "main")},
        {"options": CallOptions(priority=7)},
        {"child_run": "r"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_calls_that_differ_in_one_thing_are_told_apart(change: dict[str, Any]) -> None:
    """The text of a call is kept for the next one that says the same: here each time after one that says nearly so."""
    options = CallOptions(priority=3)
    usual = CallScheduled(1, 2, 3, "f", Payload(1, b"[]"), "activity", "0.1", Site("a.py", 7, "main"), options)
    for event in (usual, replace(usual, **change), usual):
        assert event == wire.decode(row_of(event))


def test_options_that_come_to_lie_where_others_lay_are_their_own() -> None:
    """Options are known again by their address, which may be that of some that are gone."""
    for number in range(100):
        event = CallScheduled(1, 2, 3, "f", Payload(1, b"[]"), "activity", options=CallOptions(priority=number))
        found = wire.decode(row_of(event))
        assert isinstance(found, CallScheduled)
        assert number == found.options.priority
        del event, found


# -- versions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planted(Event):
    """In version 1 `amount` was a text named `price`; in version 2 the text was renamed; now it is a number."""

    amount: int


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(events.EVENT_CODES, Planted, 900)
    monkeypatch.setitem(events.EVENT_TYPES, 900, Planted)
    monkeypatch.setitem(wire.SCHEMA_VERSIONS, Planted, 3)
    monkeypatch.setitem(wire.UPCASTERS, (900, 1), lambda body: {"amount": body["price"]})
    monkeypatch.setitem(
        wire.UPCASTERS, (900, 2), lambda body: {**body, "amount": int(body["amount"].removesuffix(" EUR"))}
    )
    monkeypatch.setitem(wire._SHAPES, Planted, wire._Shape(Planted))


@pytest.mark.usefixtures("planted")
def test_old_versions_are_lifted_one_after_the_other() -> None:
    now = wire.encode(Planted(1, 2, 7), "run", 1, PREVIOUS)
    assert 3 == now.version
    old = [now._replace(version=1, body='{"price":"7 EUR"}'), now._replace(version=2, body='{"amount":"7 EUR"}'), now]
    assert [Planted(1, 2, 7)] * 3 == [wire.decode(row) for row in old]


@pytest.mark.usefixtures("planted")
def test_a_version_of_the_future_is_refused() -> None:
    row = wire.encode(Planted(1, 2, 7), "run", 1, PREVIOUS)._replace(version=4)
    with pytest.raises(CorruptHistoryError, match="reads up to 3") as caught:
        wire.decode(row)
    assert "upgrade Stent here" == caught.value.fix


# -- the chain -------------------------------------------------------------------------------------------------------

HISTORY: list[Event] = [
    RunStarted(1, 10, "run", "f", Payload(1, b"[1]"), "orchestrator"),
    CallScheduled(2, 11, 1, "g", Payload(2, b"[2]"), "activity"),
    TimerStarted(3, 11, 2, 900),
    CallCompleted(4, 12, 1, Payload(1, b'"x"')),
    TimerFired(5, 901, 2),
    RunCompleted(6, 902, Payload(1, b"null")),
]


def encoded() -> list[EventRow]:
    return list(wire.encode_all(HISTORY, "run", 1, wire.first_hash("run"), TOKEN))


def test_a_whole_history_is_read() -> None:
    assert HISTORY == wire.decode_history(encoded())
    assert [] == wire.decode_history([])


def test_a_history_can_be_read_on_from_where_one_was() -> None:
    rows = encoded()
    assert HISTORY[3:] == wire.decode_history(rows[3:], after_seq=3, after_hash=rows[2].hash)
    with pytest.raises(CorruptHistoryError):
        wire.decode_history(rows[3:], after_seq=3, after_hash=rows[1].hash)


def test_the_token_names_the_append_once() -> None:
    assert [TOKEN, None, None, None, None, None] == [row.token for row in encoded()]


def changed_rows(row: EventRow) -> Iterator[EventRow]:
    """The row with one byte, or one number, of it changed, in every place."""
    for name in ("seq", "epoch", "at_us", "code", "version", "call"):
        value = getattr(row, name)
        for other in (None,) if name == "call" and value is not None else ():
            yield row._replace(call=other)
        for bit in range(16):
            yield with_value(row, name, (value or 0) ^ (1 << bit))
    yield row._replace(body=None if row.body is not None else "")
    for place in range(len(row.body or "")):
        yield row._replace(body=flipped((row.body or "").encode(), place).decode())
    for name in ("hash", "token"):
        for place in range(len(getattr(row, name) or b"")):
            yield with_value(row, name, flipped(getattr(row, name), place))
    if row.token is not None:
        yield row._replace(token=None)
    else:
        yield row._replace(token=b"")
    yield from changed_payloads(row)


def changed_payloads(row: EventRow) -> Iterator[EventRow]:
    if row.payload is None:
        yield row._replace(payload=Payload(1, b""))
        return
    codec, data = row.payload
    yield row._replace(payload=None)
    yield row._replace(payload=Payload(codec + 1, data))
    yield row._replace(payload=Payload(codec, data + b" "))
    for place in range(len(data)):
        yield row._replace(payload=Payload(codec, flipped(data, place)))


def with_value(row: EventRow, name: str, value: Any) -> EventRow:
    return row._replace(**{name: value})


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_every_changed_byte_of_every_row_is_seen() -> None:
    rows = encoded()
    count = 0
    for place, row in enumerate(rows):
        for changed in changed_rows(row):
            assert changed != row
            count += 1
            with pytest.raises(CorruptHistoryError):
                wire.check_chain([*rows[:place], changed, *rows[place + 1 :]])
    assert count > 700


@pytest.mark.parametrize(
    "rows",
    [
        encoded()[1:],
        [*encoded()[:2], *encoded()[3:]],
        [encoded()[0], encoded()[0], *encoded()[1:]],
        [encoded()[0], encoded()[2], encoded()[1], *encoded()[3:]],
        [row._replace(run_id="other") for row in encoded()],
    ],
    ids=["begun late", "lost", "doubled", "swapped", "of another run"],
)
def test_a_history_that_is_not_whole_is_seen(rows: list[EventRow]) -> None:
    with pytest.raises(CorruptHistoryError) as caught:
        wire.decode_history(rows)
    assert caught.value.fix


@settings(max_examples=60, deadline=None)
@given(event=any_event, other=any_event)
def test_different_events_have_different_hashes(event: Any, other: Any) -> None:
    one, two = (wire.encode(each, "run", 1, PREVIOUS) for each in (event, other))
    assert (one == two) == (one.hash == two.hash)

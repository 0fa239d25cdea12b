"""A history in a file: nothing is lost, and what is no history is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from stent.codec import PLAIN_JSON, Payload, pack
from stent.errors import CorruptHistoryError
from stent.history.events import (
    PAYLOAD_FIELDS,
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
from stent.inspect.portable import dump, dumps, load, loads
from stent.testing.strategies.histories import modelled_histories

HISTORY: list[Event] = [
    RunStarted(1, 100, "order-1", "shop:order", Payload(1, b"[42]"), "orchestrator", version="v2"),
    CallScheduled(
        2,
        101,
        1,
        "shop:pay",
        Payload(2, b'[{"$":"decimal","v":"1.50"}]'),
        "activity",
        site=Site("shop.py", 7, "order"),
        options=CallOptions(timeout_us=5, tags=("gpu",)),
    ),
    TimerStarted(3, 102, 2, 110),
    CallCompleted(4, 103, 1, Payload(1, b"null")),
    TimerFired(5, 111, 2),
    RunCompleted(6, 111, Payload(1, b'"done"')),
]

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
plain = documents.map(lambda document: Payload(1, json.dumps(document, separators=(",", ":")).encode()))
loose = documents.map(lambda document: Payload(2, json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")))
anything = st.builds(Payload, st.integers(1, 4), st.binary(max_size=20))


@st.composite
def filled(draw: st.DrawFn) -> list[Event]:
    """A valid history with payloads of every kind, readable and not."""
    return [with_payload(event, draw(plain | loose | anything)) for event in draw(modelled_histories()).events]


def with_payload(event: Event, payload: Payload) -> Event:
    name = PAYLOAD_FIELDS.get(type(event))
    return event if name is None else replace(event, **{name: payload})  # type: ignore[arg-type]  # name is a field for a payload


@pytest.mark.slow
@given(filled())
@example([with_payload(HISTORY[0], Payload(1, b"NaN")), *HISTORY[1:]])
@example([with_payload(HISTORY[0], Payload(1, b'{"a":1,"a":2}')), *HISTORY[1:]])
@example([with_payload(HISTORY[0], Payload(1, b"[1.0, 2]")), *HISTORY[1:]])
def test_every_history_is_equal_after_the_round_trip_byte_for_byte(history: list[Event]) -> None:
    assert history == loads(dumps(history))
    assert history == load(dump(history))


@pytest.mark.slow
@given(filled())
@example([with_payload(HISTORY[0], Payload(1, b"NaN")), *HISTORY[1:]])
def test_the_file_is_json_that_any_reader_accepts(history: list[Event]) -> None:
    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    document = json.loads(dumps(history), parse_constant=refuse)
    assert dump(history) == document


def test_what_is_readable_is_shown_and_what_is_usual_is_left_out() -> None:
    assert {
        "format": "stent-history",
        "version": 1,
        "run_id": "order-1",
        "function": "shop:order",
        "events": [
            {
                "seq": 1,
                "at_us": 100,
                "type": "RunStarted",
                "version": 1,
                "body": {"run_id": "order-1", "function": "shop:order", "role": "orchestrator", "version": "v2"},
                "payload": {"codec": 1, "json": [42]},
            },
            {"seq": 2, "at_us": 101, "type": "RunCompleted", "version": 1, "payload": {"codec": 1, "json": "done"}},
        ],
    } == dump([HISTORY[0], RunCompleted(2, 101, Payload(1, b'"done"'))])


def test_compressed_payloads_stay_the_bytes_they_are() -> None:
    packed = pack(Payload(PLAIN_JSON, b'["' + b"x" * 1000 + b'"]'), 10)
    history = [with_payload(HISTORY[0], packed)]
    assert "base64" in dump(history)["events"][0]["payload"]
    assert history == loads(dumps(history))


def test_each_event_is_a_line_of_its_own_so_that_files_can_be_compared() -> None:
    lines = dumps(HISTORY).splitlines()
    assert 2 + len(HISTORY) == len(lines)
    assert all(f'"seq": {seq}' in line for seq, line in enumerate(lines[1:-1], 1))


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = dump(HISTORY)
    change(document)
    return document


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ([], "no JSON object"),
        ({"format": "something"}, "no JSON object"),
        (changed(lambda it: it.update(version=2)), "version 2"),
        (changed(lambda it: it.update(events=[])), "no events"),
        (changed(lambda it: it.update(run_id="other")), "does not start the run that it names"),
        (changed(lambda it: it["events"].pop(0)), "does not start the run"),
        (changed(lambda it: it["events"].pop(2)), "impossible at seq 4"),
        (changed(lambda it: it["events"].append(3)), "an event is no JSON object"),
        (changed(lambda it: it["events"][1].update(type="Nonsense")), "unknown event type 'Nonsense'"),
        (changed(lambda it: it["events"][1].update(call="1")), "must be whole numbers"),
        (changed(lambda it: it["events"][1].update(version=9)), "has version 9"),
        (changed(lambda it: it["events"][1]["body"].update(role="king")), "cannot be read"),
        (changed(lambda it: it["events"][1].pop("payload")), "cannot be read"),
        (changed(lambda it: it["events"][0].update(payload={"codec": 1})), '"json" or "base64"'),
        (changed(lambda it: it["events"][0].update(payload={"codec": 1, "base64": "?"})), "no base64"),
    ],
)
def test_what_is_no_history_is_refused_and_says_why(document: Any, what: str) -> None:
    with pytest.raises(CorruptHistoryError) as caught:
        load(document)
    assert what in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(CorruptHistoryError, match="no usable history file"):
        loads(text)


def test_a_history_without_its_beginning_is_not_written() -> None:
    with pytest.raises(CorruptHistoryError, match="does not begin with RunStarted"):
        dump(HISTORY[1:])

"""The strategies for users give what they say: values that are kept, histories that can be, programs that end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from stent import Stent
from stent.codec import Payload, decode, decode_exception, encode
from stent.history.events import (
    EVENT_CODES,
    PAYLOAD_FIELDS,
    BatchItemsCompleted,
    BatchScheduled,
    CallScheduled,
    Event,
    RoleCorrected,
    RunCompleted,
    RunStarted,
    indexes_of,
)
from stent.history.fold import fold
from stent.inspect.portable import dumps, loads
from stent.inspect.verdict import judge
from stent.registry import default_registry
from stent.testing import engine
from stent.testing.strategies import (
    histories,
    json_values,
    payloads,
    programs,
    recordings,
    run_program,
    scalars,
    values,
)
from tests.codec.exactness import assert_same

UNHURRIED = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
TYPES = default_registry.types


@given(values() | json_values() | scalars())
def test_a_value_comes_back_as_it_went_in(value: Any) -> None:
    payload = encode(value, TYPES)
    assert value == decode(payload, TYPES)
    assert_same(value, decode(payload, TYPES))


@given(payloads(), payloads(st.integers(3, 5)))
def test_a_payload_is_what_is_stored_of_a_value(payload: Payload, small: Payload) -> None:
    assert payload == encode(decode(payload, TYPES), TYPES)
    assert decode(small, TYPES) in (3, 4, 5)


@UNHURRIED
@given(histories())
def test_a_history_is_one_that_can_be(history: list[Event]) -> None:
    assert list(range(1, len(history) + 1)) == [event.seq for event in history]
    fold(history)
    assert history == loads(dumps(history))


@UNHURRIED
@given(histories(function="bank:transfer", values=st.integers(5, 9), max_events=10))
def test_a_history_is_of_what_was_asked_for(history: list[Event]) -> None:
    started = history[0]
    assert isinstance(started, RunStarted)
    assert "bank:transfer" == started.function
    assert len(history) <= 11
    for event in history:
        if isinstance(event, RunCompleted):
            assert decode(event.result, TYPES) in range(5, 10)
        elif isinstance(event, CallScheduled):
            assert set(decode(event.arguments, TYPES)) <= set(range(5, 10))


@UNHURRIED
@given(histories())
def test_the_data_of_a_history_can_be_read(history: list[Event]) -> None:
    for event in history:
        name = PAYLOAD_FIELDS.get(type(event))
        if name == "error":
            assert isinstance(decode_exception(getattr(event, name), TYPES), Exception)
        elif isinstance(event, BatchScheduled):
            assert event.count == len(decode(event.items, TYPES))
        elif isinstance(event, BatchItemsCompleted):
            assert len(indexes_of(event.items)) == len(decode(event.results, TYPES))
        elif name is not None:
            decode(getattr(event, name), TYPES)


@pytest.mark.slow
def test_histories_have_every_type_of_event() -> None:
    seen: Counter[type[Event]] = Counter()

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(histories())
    def collect(history: list[Event]) -> None:
        seen.update(map(type, history))

    collect()
    assert set(EVENT_CODES) - {RoleCorrected} == set(seen)


@pytest.mark.slow
@UNHURRIED
@given(programs(), st.integers(0, 5))
def test_a_program_ends_by_itself_and_never_fails(program: list[Any], seed: int) -> None:
    async def run() -> None:
        async with engine(seed=seed) as opened:
            run_id = await opened.dispatch(run_program, program)
            seen = (await opened.wait_for(run_id)).unwrap()
            assert seen[-1][0] in ("value", "error")
            for each in opened.runs():
                assert judge(opened.history(each), default_registry).finding in ("fits", "activity")

    asyncio.run(run())


@pytest.mark.slow
@settings(UNHURRIED, max_examples=30)
@given(recordings(run_program, programs(max_parts=4)))
def test_a_recording_of_a_program_is_its_whole_history(history: list[Event]) -> None:
    assert any(isinstance(event, RunCompleted) for event in history)
    assert "fits" == judge(history, default_registry).finding
    sites = {event.site.file for event in history if isinstance(event, CallScheduled) and event.site}
    assert sites <= {"stent/testing/strategies/interpreter.py"}


@Stent.durable
async def charge(number: int) -> int:
    return number


@Stent.durable
async def order(number: int) -> list[Any]:
    await Stent.wait_for_signal("go")
    return await asyncio.gather(charge(number), charge(number + 1), return_exceptions=True)


OPTIONS: dict[str, Any] = {"signals": [("go", None)], "failures": {charge: [OSError("away")]}}


@UNHURRIED
@given(recordings(order, st.integers(1, 9), **OPTIONS))
def test_arguments_of_a_recording_are_drawn(history: list[Event]) -> None:
    started = history[0]
    assert isinstance(started, RunStarted)
    (number,) = decode(started.arguments, TYPES)
    assert 1 <= number <= 9
    assert "SignalReceived" in [event.type for event in history]


@pytest.mark.slow
def test_recordings_differ_in_order_and_outcome() -> None:
    seen = set()

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(recordings(order, 1, **OPTIONS))
    def collect(history: list[Event]) -> None:
        seen.add(tuple((event.type, getattr(event, "call", None)) for event in history))

    collect()
    outcomes = {tuple(each for each in shape if each[0] in ("CallCompleted", "CallFailed")) for shape in seen}
    for first in (2, 3):
        for kind in ("CallCompleted", "CallFailed"):
            assert any(found and found[0] == (kind, first) for found in outcomes)


@Stent.durable
async def unsteady() -> None:
    changing.append(1)
    await charge(len(changing))


changing: list[int] = []


def test_a_program_that_does_not_replay_is_no_example_but_an_error() -> None:
    with pytest.raises(AssertionError, match="the same history does not give the same calls again"):
        data_of(recordings(unsteady))


@pytest.mark.parametrize("program", [["call", 1], ["map", 2, False]])
async def test_a_recording_can_be_drawn_where_a_loop_runs(program: list[Any]) -> None:
    """On the program alone, and on the whole engine."""
    assert isinstance(data_of(recordings(run_program, program))[0], RunStarted)


@pytest.mark.parametrize("module", ["stent.testing", "stent.testing.explorer", "stent.testing.strategies"])
def test_only_the_strategies_need_hypothesis(module: str) -> None:
    program = f"import sys; import {module}; print('hypothesis' in sys.modules)"
    needs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert ("strategies" in module) == (needs.strip() == "True")


def data_of(strategy: st.SearchStrategy[Any]) -> Any:
    """One example."""
    found: list[Any] = []

    @settings(max_examples=1, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(strategy)
    def take(value: Any) -> None:
        found.append(value)

    take()
    return found[0]

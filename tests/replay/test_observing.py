"""What a turn is observed with: it sees what it should, leaves others alone, and nothing of it is left afterwards."""

from __future__ import annotations

import functools
import random
import secrets
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

import pytest

from stent.replay.observing import TOOL_IDS, observe
from stent.replay.uses import Forbidden, Use
from tests.replay.ways import WAYS, monitoring, observed_by, somebodys_profiler

only_with_monitoring = pytest.mark.skipif(monitoring is None, reason="sys.monitoring is from Python 3.12 on")


class Refused(Exception):
    """What the tests raise where a use is seen."""


def uses_of(turn: Callable[[], None], way: str) -> list[str]:
    """What this file is seen to use in a turn, by name; nothing is refused."""
    forbidden = Forbidden()
    forbidden.learn()
    found: list[str] = []

    def keep(use: Use, caller: FrameType | None) -> None:
        if caller is not None and caller.f_code.co_filename == __file__:
            found.append(use[0])

    with observed_by(way):
        observe(turn, forbidden, keep)
    return found


def hidden(owner: Any, name: str) -> Any:
    return getattr(owner, name)


def fails() -> None:
    raise LookupError


@pytest.mark.parametrize("way", WAYS)
def test_it_sees_functions_in_python_and_in_c(way: str) -> None:
    def turn() -> None:
        hidden(time, "time")()
        hidden(random, "choice")([1])
        list(map(hidden(random, "randrange"), [5]))  # called by C
        hidden(secrets, "choice")([1])  # the same code as random.choice, of another object

    assert ["time.time", "random.choice", "random.randrange", "secrets.choice"] == uses_of(turn, way)


@only_with_monitoring
def test_sys_monitoring_sees_classes_made_in_c_and_partials() -> None:
    def turn() -> None:
        hidden(sqlite3, "Connection")(":memory:").close()
        functools.partial(functools.partial(hidden(time, "time")))()

    assert ["sqlite3.Connection", "time.time"] == uses_of(turn, "monitoring")


@pytest.mark.parametrize("way", WAYS)
def test_it_sees_a_generator_that_goes_on_and_one_that_is_thrown_into(way: str) -> None:
    """They began before the turn did."""

    def goes_on() -> Generator[None]:
        yield
        hidden(time, "time_ns")()
        yield

    def is_thrown_into() -> Generator[None]:
        try:
            yield
        except LookupError:
            hidden(time, "monotonic")()
            yield

    going, thrown = goes_on(), is_thrown_into()
    next(going)
    next(thrown)

    def turn() -> None:
        next(going)
        thrown.throw(LookupError())

    assert ["time.time_ns", "time.monotonic"] == uses_of(turn, way)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_raised_takes_the_place_of_the_call(way: str) -> None:
    done: list[str] = []

    def turn() -> None:
        try:
            hidden(time, "sleep")(3600)
        except Refused:
            done.append("refused")

    def refuse(_use: Use, _caller: FrameType | None) -> None:
        raise Refused

    forbidden = Forbidden()
    forbidden.learn()
    with observed_by(way):
        observe(turn, forbidden, refuse)
    assert ["refused"] == done


@pytest.mark.parametrize("way", WAYS)
def test_what_other_threads_do_is_not_the_turns(way: str) -> None:
    asked, answered = threading.Event(), threading.Event()

    def work() -> None:
        hidden(time, "time")()
        hidden(random, "choice")([1])

    def elsewhere() -> None:
        asked.wait()
        work()
        answered.set()

    def turn() -> None:
        asked.set()
        answered.wait()
        hidden(time, "time_ns")()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    assert ["time.time_ns"] == uses_of(turn, way)
    thread.join()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("turn", [lambda: None, fails])
def test_nothing_is_left_when_a_turn_is_over(turn: Callable[[], None], way: str) -> None:
    def ended() -> None:
        try:
            turn()
        finally:
            assert (way == "monitoring") == (sys.getprofile() is somebodys_profiler), "it was observed"

    with observed_by(way):
        forbidden = Forbidden()
        forbidden.learn()
        try:
            observe(ended, forbidden, lambda _use, _caller: None)
        except LookupError:
            assert turn is fails
    assert sys.getprofile() is None
    if monitoring is not None:
        assert [None, None] == [monitoring.get_tool(tool) for tool in TOOL_IDS]
        assert [0, 0] == [events_of(tool, fails) for tool in TOOL_IDS]


def events_of(tool: int, function: Callable[[], None]) -> int:
    """What a tool is told of a function, or of all."""
    monitoring.use_tool_id(tool, "asked")
    try:
        told: int = monitoring.get_events(tool) | monitoring.get_local_events(tool, function.__code__)
        return told
    finally:
        monitoring.free_tool_id(tool)


@only_with_monitoring
def test_coverage_and_a_profiler_are_told_what_they_would_be_told_without() -> None:
    """Coverage has turned off the lines that it has seen: they stay off."""
    lines: list[int] = []
    coverage: int = monitoring.COVERAGE_ID

    def on_line(_code: Any, line: int) -> Any:
        lines.append(line)
        return monitoring.DISABLE

    def turn() -> None:
        hidden(time, "time")()

    def profiler(_frame: FrameType, _event: str, _argument: Any) -> None: ...

    before = sys.getprofile()
    monitoring.use_tool_id(coverage, "coverage")
    monitoring.register_callback(coverage, monitoring.events.LINE, on_line)
    monitoring.set_local_events(coverage, turn.__code__, monitoring.events.LINE)
    sys.setprofile(profiler)
    try:
        assert ["time.time"] == uses_of(turn, "monitoring")
        assert ["time.time"] == uses_of(turn, "monitoring")
        assert profiler is sys.getprofile()
    finally:
        sys.setprofile(before)
        monitoring.set_local_events(coverage, turn.__code__, 0)
        monitoring.register_callback(coverage, monitoring.events.LINE, None)
        monitoring.free_tool_id(coverage)
    assert [turn.__code__.co_firstlineno + 1] == lines


def test_where_everybody_elses_tools_are_in_the_way_the_turn_is_run_all_the_same() -> None:
    def profiler(_frame: FrameType, _event: str, _argument: Any) -> None: ...

    before = sys.getprofile()
    taken = TOOL_IDS if monitoring is not None else ()
    for tool in taken:
        monitoring.use_tool_id(tool, "somebody's")
    sys.setprofile(profiler)
    try:
        assert [] == uses_of(lambda: hidden(time, "time")(), "profile")
    finally:
        sys.setprofile(before)
        for tool in taken:
            monitoring.free_tool_id(tool)

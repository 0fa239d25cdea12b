"""What an orchestrator's code does not show is seen when it is first run, by the user's line and before it happens."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import datetime
import email.utils
import gc
import json
import logging
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stent.durable import calls as ask
from stent.replay.replayer import fits
from stent.replay.watch import strict
from tests.replay.driver import Drive, durable, finish, record
from tests.replay.ways import WAYS, observed_by


@durable
async def ship(parcel: Any) -> int: ...


@pytest.fixture(autouse=True, params=WAYS)
def _strict(request: pytest.FixtureRequest) -> Iterator[None]:
    with observed_by(request.param), strict():
        yield


def first_turn(body: Callable[..., Any]) -> list[str]:
    drive = Drive(durable(body))
    told = drive.start()
    drive.close()
    return told


class Hidden:
    """Ways to a forbidden thing that no reading of names finds."""

    @staticmethod
    def by_attribute(module: Any, name: str) -> Any:
        return getattr(module, name)


async def clock() -> None:
    await ship(Hidden.by_attribute(time, "time")())


async def clock_of_a_class() -> None:
    class Moment(datetime.datetime):
        pass

    await ship(str(Hidden.by_attribute(Moment, "now")(datetime.UTC)))


async def chance() -> None:
    await ship(Hidden.by_attribute(random, "random")())


async def chance_in_python() -> None:
    await ship(Hidden.by_attribute(random, "randint")(1, 6))


async def unseeded() -> None:
    await ship(random.Random().random())


async def identity() -> None:
    await ship(str(Hidden.by_attribute(uuid, "uuid4")()))


async def environment() -> None:
    await ship(Hidden.by_attribute(os, "environ")["PATH"])


async def file() -> None:
    await ship(Path("pyproject.toml").read_text())  # noqa: ASYNC240


async def library() -> None:
    await ship(email.utils.make_msgid())


async def in_a_task() -> None:
    async def branch() -> None:
        await ship(Hidden.by_attribute(time, "time")())

    await asyncio.gather(branch(), ship(1))


async def as_a_key() -> None:
    await ship(sorted([3, 1, 2], key=lambda _each: Hidden.by_attribute(random, "random")()))


async def thread() -> None:
    Hidden.by_attribute(threading, "Thread")(target=print).start()
    await ship(1)


@pytest.mark.parametrize(
    ("body", "what", "line"),
    [
        (clock, "time.time", 1),
        (clock_of_a_class, "Moment.now", 4),
        (chance, "random.random", 1),
        (chance_in_python, "random.randint", 1),
        (unseeded, "random.Random without a seed", 1),
        (identity, "uuid.uuid4", 1),
        (environment, "os.environ", 1),
        (file, "Path.read_text", 1),
        (library, "time.time", 1),
        (in_a_task, "time.time", 2),
        (as_a_key, "random.random", 1),
        (thread, "threading.Thread", 1),
    ],
)
def test_what_is_hidden_from_the_guard_is_seen_at_the_first_execution(
    body: Callable[..., Any], what: str, line: int
) -> None:
    (told,) = first_turn(body)[-1:]
    assert "ForbiddenInOrchestratorError" in told
    assert what in told
    assert f"tests/replay/test_watch.py:{body.__code__.co_firstlineno + line} in " in told


async def swallows() -> None:
    with contextlib.suppress(Exception):
        Hidden.by_attribute(time, "time")()
    await ship(1)


def test_a_program_cannot_swallow_it() -> None:
    assert "ForbiddenInOrchestratorError" in first_turn(swallows)[-1]


written: list[int] = []


async def writes() -> None:
    with Hidden.by_attribute(builtins, "open")("/nonexistent/x", "w"):
        written.append(1)
    await ship(1)


def test_it_is_refused_before_it_is_done() -> None:
    """Else the error would be the file's."""
    (told,) = first_turn(writes)
    assert "ForbiddenInOrchestratorError" in told
    assert [] == written


async def harmless() -> None:
    import http.cookies  # noqa: F401  # an import reads files, and is none of the program's business

    logging.getLogger("shop").warning("the time of this line is not the program's")
    seeded = random.Random(7)
    seeded.random()
    seeded.seed(8)
    json.dumps({"a": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).isoformat()})
    await ship(sorted([3, 1, 2], key=lambda each: -each))
    await asyncio.sleep(1)


def test_what_python_does_for_itself_is_let_pass() -> None:
    assert ["1 ship([3, 2, 1])"] == first_turn(harmless)


@durable
async def weigh(parcels: list[dict[str, frozenset[int]]]) -> int: ...


async def uses_a_new_type() -> None:
    await weigh([{"a": frozenset([3])}])


async def makes_garbage() -> None:
    for _ in range(100):
        Chain()
    await ship(1)


class Chain:
    """Refers to itself, so only the collector can end it; then it looks at the clock."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        looked.append(time.time())


looked: list[float] = []


@pytest.fixture
def _eager_collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_eager_collector")
def test_what_the_garbage_collector_calls_is_not_the_programs() -> None:
    """It comes when it likes, in the midst of a program; a watched turn is left alone by it, and then it goes on."""

    def measures(phase: str, _facts: dict[str, int]) -> None:
        looked.append(time.perf_counter())

    gc.callbacks.append(measures)
    try:
        assert ["1 ship(1)"] == first_turn(makes_garbage)
    finally:
        gc.callbacks.remove(measures)
    assert gc.isenabled()


def test_what_stent_does_for_a_call_is_not_the_programs() -> None:
    """The first value of a type has its checks built, by a library that reads the environment."""
    assert ["1 weigh([{'a': frozenset({3})}])"] == first_turn(uses_a_new_type)


async def called_back() -> None:
    await ask.map(ship, (Hidden.by_attribute(time, "time")() for _ in range(2)))


def test_a_users_code_that_stent_calls_back_is_the_programs() -> None:
    assert "time.time" in first_turn(called_back)[-1]


async def waived() -> None:
    # stent: ok[DET101] only for a log line
    Hidden.by_attribute(time, "time")()
    await ship(1)


async def waived_without_a_reason() -> None:
    Hidden.by_attribute(time, "time")()  # stent: ok[DET101]
    await ship(1)


def test_a_waived_line_is_let_pass_and_one_without_a_reason_is_not() -> None:
    assert ["1 ship(1)"] == first_turn(waived)
    assert "ForbiddenInOrchestratorError" in first_turn(waived_without_a_reason)[-1]


def test_nothing_is_watched_unless_asked_for_and_nothing_on_a_replay() -> None:
    with strict(False):
        drive = Drive(durable(clock))
        drive.start()
        finish(drive)
    with strict():
        error = fits(record(durable(clock)), drive.history)
    assert error is not None, "the matcher finds it, by its argument"
    assert "arguments" == error.kind

"""What would not replay is found in the code, by the user's line, before it first runs."""

from __future__ import annotations

import asyncio
import datetime
import functools
import os
import random
import time
import uuid
from collections.abc import Callable
from datetime import datetime as aliased_datetime
from random import randint
from time import time as now
from typing import Any

import pytest

from stent.errors import ForbiddenInOrchestratorError
from stent.replay import guard
from stent.replay.replayer import fits
from tests.replay.driver import Drive, durable, function_of, record


async def reads_the_clock() -> Any:
    return time.time()


async def reads_the_clock_by_another_name() -> Any:
    return now()


async def asks_datetime() -> Any:
    return datetime.datetime.now()  # noqa: DTZ005


async def asks_datetime_by_another_name() -> Any:
    return aliased_datetime.now(datetime.UTC)


async def asks_date() -> Any:
    return datetime.date.today()  # noqa: DTZ011


async def blocks() -> Any:
    time.sleep(1)  # noqa: ASYNC251


async def draws() -> Any:
    return randint(1, 6)


async def makes_an_id() -> Any:
    return uuid.uuid4()


async def reads_the_environment() -> Any:
    return os.environ["HOME"]


async def opens_a_file() -> Any:
    return open("x")  # noqa: ASYNC230


async def starts_a_thread() -> Any:
    return await asyncio.to_thread(print)


async def in_a_helper() -> Any:
    return helper()


def helper() -> Any:
    return [random.random() for _ in range(3)]


@pytest.mark.parametrize(
    ("body", "what", "fix"),
    [
        (reads_the_clock, "time.time", "use Stent.now()"),
        (reads_the_clock_by_another_name, "time.time", "use Stent.now()"),
        (asks_datetime, "datetime.datetime.now", "use Stent.now()"),
        (asks_datetime_by_another_name, "datetime.datetime.now", "use Stent.now()"),
        (asks_date, "datetime.date.today", "use Stent.now()"),
        (blocks, "time.sleep", "asyncio.sleep()"),
        (draws, "random.randint", "use Stent.random()"),
        (makes_an_id, "uuid.uuid4", "Stent.uuid4()"),
        (reads_the_environment, "os.environ", "a durable function of its own"),
        (opens_a_file, "open", "a durable function of its own"),
        (starts_a_thread, "asyncio.to_thread", "a durable function of its own"),
        (in_a_helper, "random.random", "use Stent.random()"),
    ],
)
def test_what_would_not_replay_is_found(body: Callable[[], Any], what: str, fix: str) -> None:
    (finding,) = guard.findings(function_of(body))
    assert what == finding.what
    assert fix in finding.rule.fix
    with pytest.raises(ForbiddenInOrchestratorError, match=rf"{body.__name__}\(\) is an orchestrator; {what} at "):
        guard.check(function_of(body))


def test_a_finding_names_the_line_of_the_use() -> None:
    (finding,) = guard.findings(function_of(in_a_helper))
    assert f"tests/replay/test_guard.py:{helper.__code__.co_firstlineno + 1}" in str(finding.site)


async def harmless() -> Any:
    seeded = random.Random(5)
    date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    await asyncio.sleep(1)
    return seeded.random(), date.isoformat(), uuid.UUID(int=1), os.path.join("a", "b"), time.strftime("%Y")


def test_what_replays_is_let_pass() -> None:
    assert [] == guard.findings(function_of(harmless))
    guard.check(function_of(harmless))


async def twice() -> Any:
    return time.time() - time.time(), random.random()


def test_all_findings_are_listed_each_once() -> None:
    with pytest.raises(ForbiddenInOrchestratorError, match=r"\(and 1 more\)") as caught:
        guard.check(function_of(twice))
    assert 2 == len(caught.value.findings)


@durable
async def ship(parcel: Any) -> int: ...


async def ships_the_time() -> Any:
    return await ship(time.time())


def test_a_run_that_begins_is_guarded_wherever_it_was_started() -> None:
    """A child is started by its parent, not by a client: nobody else looks at its code."""
    (told,) = Drive(durable(ships_the_time)).start()
    assert "ships_the_time() is an orchestrator; time.time at " in told


def test_what_began_before_goes_on() -> None:
    """A guard that learnt something new must not end runs that are on their way: the matcher has the say there."""
    drive = Drive(durable(harmless))
    drive.start()
    function = record(durable(ships_the_time, name="shop:harmless"))
    replayed = fits(function, drive.history)
    assert replayed is not None, "another program"
    assert "STN101" == replayed.code
    drive.close()


async def asks_a_partial() -> Any:
    return later()


later = functools.partial(time.time)


def test_what_a_partial_calls_is_seen() -> None:
    (finding,) = guard.findings(function_of(asks_a_partial))
    assert "time.time" == finding.what


async def handles_errors() -> Any:
    try:
        return await ship(1)
    except urllib3.exceptions.HTTPError:
        return urllib3.PoolManager


def test_an_error_class_of_a_package_may_be_handled_and_its_use_may_not() -> None:
    (finding,) = guard.findings(function_of(handles_errors))
    assert "urllib3.PoolManager" == finding.what


class _Package:
    """Stands for an installed package."""

    class exceptions:  # noqa: N801  # as the package calls it
        class HTTPError(Exception):
            __module__ = "urllib3.exceptions"

    class PoolManager:
        __module__ = "urllib3.poolmanager"


urllib3 = _Package

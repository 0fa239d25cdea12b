"""First events and rows of new runs."""

from __future__ import annotations

import pytest

from stent.history import wire
from stent.history.events import CallOptions
from stent.worker.starting import first_event, new_run, next_run_id
from tests.worker.desk import NOW_US, TOKEN, Desk, function_of


async def body(number: int) -> int:
    return number


def test_a_row_says_what_its_first_event_says() -> None:
    function = function_of(Desk().durable(body, max_concurrent=2, version="7"))
    options = CallOptions(queue="gpu", priority=3, tags=("a",))
    arguments = function.encode_arguments((1,), {})
    started = first_event("run", function, arguments, options, "activity", NOW_US, parent=("up", 4, 9), deadline_us=99)
    run = new_run(started, function, TOKEN, due_us=123)
    assert started == wire.decode(run.started)
    assert ("run", function.name, "activity", function.name) == (run.run_id, run.function, run.role, run.limit_key)
    assert ("gpu", 3, ("a",), 123, None) == (run.queue, run.priority, run.tags, run.due_us, run.owner)
    assert ("up", 4, 9) == (run.parent_run, run.parent_call, run.parent_item)
    assert ("7", 99, 1, NOW_US) == (started.version, started.deadline_us, started.seq, started.at_us)


def test_a_timeout_bounds_an_orchestrators_whole_run_and_an_activitys_attempts() -> None:
    function = function_of(Desk().durable(body))
    arguments, options = function.encode_arguments((1,), {}), CallOptions(timeout_us=5)
    assert 5 == first_event("r", function, arguments, options, "orchestrator", NOW_US).max_duration_us
    assert None is first_event("r", function, arguments, options, "activity", NOW_US).max_duration_us
    given = first_event("r", function, arguments, options, "orchestrator", NOW_US, max_duration_us=0)
    assert 0 == given.max_duration_us


@pytest.mark.parametrize(
    ("run_id", "next_id"),
    [("run", "run~2"), ("run~2", "run~3"), ("run~99", "run~100"), ("a~b", "a~b~2"), ("~5", "~5~2")],
)
def test_the_runs_of_a_chain_are_numbered(run_id: str, next_id: str) -> None:
    assert next_id == next_run_id(run_id)

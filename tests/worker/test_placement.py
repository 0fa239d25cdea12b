"""What a worker takes for itself, and what it leaves to any."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stent.history.events import CallOptions
from stent.worker.starting import first_event, new_run
from tests.worker.desk import NOW_US, TOKEN, Desk, function_of


async def plain() -> None: ...


async def limited() -> None: ...


@pytest.mark.parametrize(
    ("queues", "tags", "options", "is_here"),
    [
        (None, None, CallOptions(), True),
        (None, None, CallOptions(queue="gpu", tags=("x",)), True),
        ({"default"}, None, CallOptions(), True),
        ({"gpu"}, None, CallOptions(), False),
        ({"gpu"}, None, CallOptions(queue="gpu"), True),
        (None, {"a", "b"}, CallOptions(tags=("b", "c")), True),
        (None, {"a", "b"}, CallOptions(tags=("c",)), False),
        (None, {"a", "b"}, CallOptions(), False),
        ({"gpu"}, {"a"}, CallOptions(queue="gpu", tags=("b",)), False),
    ],
)
def test_a_call_is_carried_out_here_if_its_queue_and_a_tag_are_served(
    queues: set[str] | None, tags: set[str] | None, options: CallOptions, is_here: bool
) -> None:
    desk = Desk(
        queues=frozenset(queues) if queues is not None else None, tags=frozenset(tags) if tags is not None else None
    )
    function = function_of(desk.durable(plain))
    assert is_here == desk.placement.is_here(function, options)


def test_what_a_limit_bounds_is_never_taken_without_asking() -> None:
    desk = Desk()
    assert not desk.placement.is_here(function_of(desk.durable(limited, max_concurrent=3)), CallOptions())


def test_a_new_run_is_held_from_birth_if_this_worker_may() -> None:
    desk = Desk(queues=frozenset({"default"}))
    function = function_of(desk.durable(plain))
    started = first_event("run", function, function.encode_arguments((), {}), CallOptions(), "activity", NOW_US)
    run = new_run(started, function, TOKEN)
    owner_for = desk.placement.owner_for
    assert "me" == owner_for(run)
    assert None is owner_for(replace(run, queue="gpu"))
    assert None is owner_for(replace(run, limit_key="m:limited")), "a limit is counted by the claim"
    assert None is owner_for(replace(run, due_us=NOW_US + 1)), "it begins later"
    assert None is owner_for(replace(run, function="m:elsewhere")), "its code is not here"
    desk.holdings.is_closing = True
    assert None is owner_for(run)


def test_an_activity_is_held_from_birth_while_there_are_slots_for_it() -> None:
    desk = Desk()
    desk.slots.free_slots = 2
    function = function_of(desk.durable(plain))
    runs = [
        new_run(
            first_event(name, function, function.encode_arguments((), {}), CallOptions(), "activity", NOW_US),
            function,
            TOKEN,
        )
        for name in "abc"
    ]
    assert ["me", "me", None] == [desk.placement.owner_for(run) for run in runs]
    desk.placement.settle("a")
    assert "me" == desk.placement.owner_for(runs[2])

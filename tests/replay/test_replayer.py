"""Going through recorded histories: from any place between two turns, past the bookkeeping of workers, to their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stent.codec import encode_exception
from stent.errors import DivergenceError
from stent.history.events import CallAttemptFailed, CallPromoted, DeadlineSet, RoleCorrected, RunTimedOut, turns_of
from stent.replay.replayer import fits, is_closed, is_orchestrator, replay
from tests.replay.driver import START_US, TYPES, Drive, check_replays, completion, durable, finish, start, told


@durable
async def work(item: Any = None) -> Any: ...


@durable
async def program() -> list[Any]:
    first = await work("first")
    return [first, *await asyncio.gather(work(2), work(3))]


def test_a_program_that_is_not_over_is_ready_for_its_next_event() -> None:
    drive = start(program)
    drive.complete(1, 1)
    replayed = replay(drive.function, drive.history)
    assert [] == replayed.commands
    assert not replayed.execution.is_replaying
    assert [] == replayed.execution.apply(drive.record(completion(3, 3)))
    assert ["return [1, 2, 3]"] == told(replayed.execution.apply(drive.record(completion(2, 2))))


def test_a_history_that_lost_the_commands_of_its_last_turn_gets_them_again() -> None:
    """A worker that recorded a delivery, and died before it recorded what followed."""
    drive = start(program)
    drive.complete(1, 1)
    replayed = replay(drive.function, drive.history[:-2])
    assert ["2 work(2)", "3 work(3)"] == told(replayed.commands)
    replayed.execution.close()
    replayed = replay(drive.function, drive.history[:-1])
    assert ["3 work(3)"] == told(replayed.commands)
    replayed.execution.close()
    drive.close()


def test_a_finished_program_is_replayed_to_its_end_and_wants_nothing() -> None:
    drive = finish(start(program))
    replayed = replay(drive.function, drive.history)
    assert replayed.execution.is_done
    assert [] == replayed.commands
    assert fits(drive.function, drive.history) is None


def test_outcomes_after_the_end_are_passed_over() -> None:
    @durable
    async def hasty() -> str:
        work(1)
        return "done"

    drive = start(hasty)
    drive.complete(1, "late")
    assert is_closed(drive.history)
    assert 1 == len(list(turns_of(drive.history)))
    check_replays(drive.function, drive.history)


def test_what_workers_note_for_themselves_is_passed_over() -> None:
    drive = Drive(program)
    drive.start()
    drive.record(DeadlineSet(0, 0, START_US + 10**9))
    drive.record(CallAttemptFailed(0, 0, 1, 1, START_US, encode_exception(ValueError(), TYPES)))
    drive.record(CallPromoted(0, 0, 1, "child"))
    drive.complete(1, 1)
    finish(drive)
    assert fits(drive.function, drive.history) is None


def test_a_run_that_timed_out_ends_where_it_waited() -> None:
    drive = start(program)
    drive.complete(1, 1)
    drive.record(RunTimedOut(0, 0, START_US))
    replayed = replay(drive.function, drive.history)
    assert [] == replayed.commands
    replayed.execution.close()
    drive.close()


@pytest.mark.parametrize("cancel_first", [False, True])
def test_a_cancelled_run_replays(cancel_first: bool) -> None:
    drive = start(program)
    if not cancel_first:
        drive.complete(1, 1)
    drive.cancel("enough")
    assert drive.is_ended
    check_replays(drive.function, drive.history)


def test_the_role_of_a_history_is_its_last_correction() -> None:
    drive = Drive(program, role="activity")
    drive.start()
    assert not is_orchestrator(drive.history)
    drive.deliver(RoleCorrected(0, 0, "orchestrator"))
    assert is_orchestrator(drive.history)
    finish(drive)
    check_replays(drive.function, drive.history)


def test_a_history_of_an_orchestrator_is_never_taken_for_an_activity() -> None:
    @durable(name="shop:program")
    async def now() -> None:
        await asyncio.to_thread(print)

    drive = start(program)
    with pytest.raises(DivergenceError, match="ForbiddenInOrchestratorError"):
        replay(now.__stent_function__, drive.history)
    drive.close()


def test_a_program_is_closed_when_its_replay_fails() -> None:
    seen: list[str] = []

    @durable(name="shop:program")
    async def now() -> None:
        try:
            await work("another")
        finally:
            seen.append("closed")

    drive = start(program)
    assert fits(now.__stent_function__, drive.history) is not None
    assert ["closed"] == seen
    drive.close()

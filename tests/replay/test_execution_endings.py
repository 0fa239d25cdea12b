"""Programs that end badly, or turn out not to be orchestrators: each is told apart, and told by line."""

from __future__ import annotations

import asyncio

import pytest

from stent.durable import calls as ask
from stent.errors import (
    EndlessTurnError,
    ForbiddenInOrchestratorError,
    OrchestratorDeadlockError,
)
from stent.history.events import RoleCorrected
from stent.replay import loop
from stent.replay.execution import RunDropped
from tests.replay.driver import Drive, check_replays, completion, durable, start


@durable
async def pay(amount: int) -> int:
    return amount


def test_a_deadlock_is_known_at_once_and_shows_where_it_waits() -> None:
    @durable
    async def order() -> None:
        await pay(1)
        await forgotten(asyncio.Event())

    drive = start(order)
    drive.complete(1)
    with pytest.raises(OrchestratorDeadlockError) as caught:
        _ = drive.result
    functions = [site.rpartition(" in ")[2].rpartition("<locals>.")[2] for site in caught.value.stack]
    assert ["order()", "forgotten()"] == functions
    check_replays(drive.function, drive.history)


async def forgotten(event: asyncio.Event) -> None:
    await event.wait()


def test_a_wait_that_a_call_could_still_end_is_no_deadlock() -> None:
    @durable
    async def order() -> str:
        event = asyncio.Event()
        pay(1).add_done_callback(lambda _: event.set())
        await event.wait()
        return "woken"

    drive = Drive(order)
    assert ["1 pay(1)"] == drive.start()
    assert ["return 'woken'"] == drive.complete(1)


def test_a_signal_that_nobody_waits_for_any_longer_does_not_hide_a_deadlock() -> None:
    @durable
    async def order() -> None:
        asyncio.ensure_future(ask.wait_for_signal("go")).cancel()
        await asyncio.Event().wait()

    signal, text = Drive(order).start()
    assert "1 signal go" == signal
    assert text.startswith("raise OrchestratorDeadlockError")


def test_a_callback_that_fails_does_not_end_the_turn() -> None:
    @durable
    async def order() -> str:
        call = pay(1)
        call.add_done_callback(lambda _: 1 / 0)
        await call
        return "done"

    drive = start(order)
    assert ["return 'done'"] == drive.complete(1)


def test_a_turn_without_end_is_named_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CALLBACKS_A_TURN", 1_000)

    @durable
    async def order() -> None:
        while True:
            await lets_others_run()

    drive = start(order)
    with pytest.raises(EndlessTurnError, match=r"replay/test_execution_endings.py:\d+ in lets_others_run\(\)"):
        _ = drive.result


async def lets_others_run() -> None:
    await asyncio.sleep(0)


def test_a_bound_is_wide_enough_for_a_gather_of_many_calls() -> None:
    assert loop.CALLBACKS_A_TURN >= 1_000_000


def test_ctrl_c_is_no_error_of_the_program_and_drops_it() -> None:
    @durable
    async def order() -> None:
        await pay(1)
        raise KeyboardInterrupt

    drive = start(order)
    with pytest.raises(KeyboardInterrupt):
        drive.complete(1)
    assert drive.execution.is_dropped
    with pytest.raises(RunDropped):
        drive.execution.apply(completion(1))


def test_a_body_that_wants_real_io_first_is_an_activity() -> None:
    @durable
    async def fetch() -> None:
        await asyncio.to_thread(print)

    drive = Drive(fetch)
    assert [] == drive.start()
    assert "run_in_executor" in str(drive.execution.wants_activity)
    assert [] == drive.execution.apply(completion(1))


def test_a_body_cannot_swallow_that_it_is_an_activity() -> None:
    @durable
    async def fetch() -> str:
        try:
            await asyncio.to_thread(print)
        except BaseException:
            await pay(1)
        return "swallowed"

    drive = Drive(fetch)
    assert [] == drive.start()
    assert drive.execution.wants_activity is not None


@pytest.mark.parametrize("first", ["call", "patch"])
def test_real_io_after_something_durable_is_refused_in_the_program(first: str) -> None:
    @durable
    async def order() -> None:
        if first == "call":
            pay(1)
        else:
            ask.patched("x")
        await asyncio.to_thread(print)

    drive = start(order)
    with pytest.raises(ForbiddenInOrchestratorError, match="a replay would do it again"):
        _ = drive.result


def test_a_declared_orchestrator_never_becomes_an_activity() -> None:
    @durable(role="orchestrator")
    async def order() -> None:
        await asyncio.to_thread(print)

    drive = start(order)
    with pytest.raises(ForbiddenInOrchestratorError):
        _ = drive.result


def test_a_run_that_began_as_an_activity_begins_again_when_its_role_is_corrected() -> None:
    @durable
    async def order() -> int:
        return int(await pay(1))

    drive = Drive(order, role="activity")
    assert [] == drive.start()
    assert ["1 pay(1)"] == drive.deliver(RoleCorrected(0, 0, "orchestrator"))
    assert ["return 3"] == drive.complete(1, 3)
    check_replays(drive.function, drive.history)

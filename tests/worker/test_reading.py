"""A run that may not end before it has read a cancel is read again, and loses nothing that was done for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from stent.durable import calls
from stent.errors import StoreUnavailableError
from stent.history.events import CancelRequested, SignalReceived
from stent.history.operations import Append, GiveBack, Operation, Outcome, PutMessage, Unread
from stent.history.records import LoadedRun, Message
from stent.history.sql.sqlite import SQLiteStore
from stent.worker import reading
from tests.worker.desk import payload
from tests.worker.world import World


class Late(SQLiteStore):
    """Somebody's cancel comes into the inbox right before the end of a run is written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.late = ""
        self.refused: list[Append] = []
        self.failures = 0
        self.before_reading: Any = None

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        ends = [each.run_id for each in operations if isinstance(each, Append) and each.status == "completed"]
        if self.late in ends:
            cancel = Message(self.late, "cancel", CancelRequested(0, 0, "late"))
            self.late = ""
            super().commit([PutMessage(cancel)])
        outcomes = super().commit(operations)
        for operation, outcome in zip(operations, outcomes, strict=True):
            if isinstance(operation, Append) and isinstance(outcome, Unread):
                self.refused.append(operation)
        return outcomes

    def load_runs(self, run_ids: Sequence[str]) -> list[LoadedRun]:
        if self.refused and self.failures:
            self.failures -= 1
            raise StoreUnavailableError("away")
        if self.refused and self.before_reading is not None:
            before_reading, self.before_reading = self.before_reading, None
            before_reading()
        return super().load_runs(run_ids)


@pytest.fixture
async def store(world: World) -> Late:
    store = Late(world.path, durability="relaxed", clock=world.clock)
    world.new_node(store)
    world.nodes.reverse()  # it is the one that the test works with
    return store


async def test_an_orchestrator_is_cancelled_where_it_stands_in_its_history(world: World, store: Late) -> None:
    done: list[int] = []

    @world.durable
    async def work(number: int) -> int:
        done.append(number)
        return number

    @world.durable
    async def program() -> int:
        return await work(1) + await work(2)

    await world.node.work()
    store.late = "run"
    await world.start(program, run_id="run")
    outcome = await world.outcome("run")
    assert ("RunCancelled", [1, 2]) == (outcome.event.type, done)
    expected = ["RunStarted", "CallScheduled", "CallCompleted", "CallScheduled"]
    assert [*expected, "CancelRequested", "CallCancelRequested", "RunCancelled"] == world.types_of("run")
    assert 1 == len(store.refused)
    assert ("cancelled", None) == (world.row("run").status, world.row("run").owner)


async def test_an_activity_and_a_run_that_never_waits_are_cancelled(world: World, store: Late) -> None:
    @world.durable
    async def work() -> int:
        return 1

    @world.durable(role="orchestrator")
    async def at_once() -> int:
        return 1

    await world.node.work()
    for durable in (work, at_once):
        run_id = store.late = durable.__name__
        await world.start(durable, run_id=run_id)
        assert "RunCancelled" == (await world.outcome(run_id)).event.type
        assert ["RunStarted", "CancelRequested", "RunCancelled"] == world.types_of(run_id)


async def test_a_run_that_would_continue_as_new_is_cancelled_and_has_no_next_one(world: World, store: Late) -> None:
    @world.durable(role="orchestrator")
    async def program() -> None:
        await calls.wait_for_signal("go")
        calls.continue_as_new()

    await world.node.work()
    store.late = "run"
    await world.start(program, run_id="run")
    await world.tell(Message("run", "k", SignalReceived(0, 0, "go", payload(1), "k")))
    assert "RunCancelled" == (await world.outcome("run")).event.type
    assert None is world.node.store.get_run("run~2")


async def test_what_has_finished_is_recorded_and_what_runs_goes_on(world: World, store: Late) -> None:
    """Three calls that the program still wants after its cancellation: none of them is carried out twice."""
    gate = asyncio.Event()
    begun: list[str] = []

    @world.durable
    async def quick(name: str) -> str:
        begun.append(name)
        return name

    @world.durable
    async def slow() -> str:
        begun.append("slow")
        await gate.wait()
        return "slow"

    @world.durable
    async def program() -> list[str]:
        kept = [asyncio.ensure_future(quick("kept")), asyncio.ensure_future(slow())]
        try:
            await calls.wait_for_signal("go")
        except asyncio.CancelledError:
            await calls.sleep("1us")
            found = await asyncio.gather(*kept)
            assert ["kept", "slow"] == found
            raise
        return [await kept[0]]

    worker = await world.node.work()
    run_id = await world.start(program, run_id="run")
    await world.until(lambda: begun == ["kept", "slow"] and "CallCompleted" in world.types_of("run"))
    store.late = "run"
    await world.tell(Message("run", "k", SignalReceived(0, 0, "go", payload(1), "k")))
    await world.until(lambda: "CancelRequested" in world.types_of("run"))
    assert 1 == worker._bodies.running_count
    gate.set()
    await world.until(lambda: "RunCancelled" in world.types_of("run"), tick_us=1_000)
    await world.outcome(run_id)
    assert ["kept", "slow"] == begun
    assert 2 == world.types_of("run").count("CallCompleted")


async def test_an_outcome_in_the_refused_append_is_not_lost(world: World, store: Late) -> None:
    begun: list[str] = []

    @world.durable
    async def quick() -> str:
        begun.append("quick")
        return "quick"

    @world.durable
    async def program() -> str:
        try:
            return await asyncio.shield(quick())
        except asyncio.CancelledError:
            await calls.sleep("1us")
            raise

    await world.node.work()
    store.late = "run"
    await world.start(program, run_id="run")
    await world.until(lambda: "RunCancelled" in world.types_of("run"), tick_us=1_000)
    assert ["quick"] == begun
    types = ["CancelRequested", "TimerStarted", "CallCompleted", "TimerFired", "RunCancelled"]
    assert types == world.types_of("run")[2:]


async def test_what_comes_while_the_run_is_read_is_not_lost(world: World, store: Late) -> None:
    gate = asyncio.Event()
    begun: list[str] = []

    @world.durable
    async def slow() -> str:
        begun.append("slow")
        await gate.wait()
        return "slow"

    @world.durable
    async def program() -> str | None:
        kept = asyncio.ensure_future(slow())
        try:
            await calls.wait_for_signal("go")
        except asyncio.CancelledError:
            await kept
            raise
        return None

    worker = await world.node.work()
    await world.start(program, run_id="run")
    await world.until(lambda: begun == ["slow"])
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def end_the_body() -> None:
        asyncio.run_coroutine_threadsafe(let_it_end(), loop).result()

    async def let_it_end() -> None:
        gate.set()
        await world.until(lambda: worker._bodies.running_count == 0)
        ended.set()

    store.before_reading = end_the_body
    store.late = "run"
    await world.tell(Message("run", "k", SignalReceived(0, 0, "go", payload(1), "k")))
    assert "RunCancelled" == (await world.outcome("run")).event.type
    assert (["slow"], True) == (begun, ended.is_set())
    assert "CallCompleted" in world.types_of("run")


async def test_a_store_that_is_away_is_asked_again(world: World, store: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "STORE_PAUSE_S", 0.001)

    @world.durable(role="orchestrator")
    async def at_once() -> int:
        return 1

    await world.node.work()
    store.failures = 3
    store.late = "run"
    await world.start(at_once, run_id="run")
    assert "RunCancelled" == (await world.outcome("run")).event.type
    assert 0 == store.failures


async def test_a_lease_that_was_lost_meanwhile_ends_it(world: World, store: Late) -> None:
    @world.durable(role="orchestrator")
    async def at_once() -> int:
        return 1

    worker = await world.node.work()
    store.before_reading = lambda: store.commit([GiveBack(worker.worker_id, ("run",))])
    store.late = "run"
    await world.start(at_once, run_id="run")
    await world.until(lambda: bool(store.refused) and "run" not in worker.runs.held)
    worker._on_news(True)
    assert "RunCancelled" == (await world.outcome("run")).event.type
    assert {0, 3} == {row.epoch for row in world.node.store.read_rows("run")}, "not by who held it first"

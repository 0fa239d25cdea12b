"""Held runs: effects follow the commit, one append at a time, and what cannot be written stalls one run alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from stent.durable import calls
from stent.errors import RunConflictError
from stent.history.events import CallCompleted, SignalReceived
from stent.history.operations import Append, Operation, Outcome, PutMessage
from stent.history.records import Message
from stent.history.sql.sqlite import SQLiteStore
from stent.worker import runs as module
from stent.worker.draft import Plan
from stent.worker.offers import shared_call
from tests.worker.desk import payload
from tests.worker.world import World


class Watched(SQLiteStore):
    """Keeps the appends that were written, and refuses those that hold a given text."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.appends: list[Append] = []
        self.poison: bytes | None = None

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        appends = [operation for operation in operations if isinstance(operation, Append)]
        for append in appends:
            if self.poison and any(row.payload and self.poison in row.payload.data for row in append.rows):
                raise OverflowError("string or blob too big")
        outcomes = super().commit(operations)
        self.appends += appends
        return outcomes


@pytest.fixture
async def watched(world: World) -> Watched:
    store = Watched(world.path, durability="relaxed", clock=world.clock)
    world.new_node(store)
    world.nodes.reverse()  # it is the one that the test works with
    return store


async def test_a_body_starts_only_after_its_call_is_durable(world: World, watched: Watched) -> None:
    seen: list[list[str]] = []

    @world.durable
    async def look() -> None:
        seen.append(world.types_of("run"))

    @world.durable
    async def caller() -> None:
        await look()

    await world.node.work()
    await world.call(caller, run_id="run")
    assert [["RunStarted", "CallScheduled"]] == seen


async def test_a_sequential_call_costs_one_commit(world: World, watched: Watched) -> None:
    """The outcome of one call and the next call are one append."""

    @world.durable
    async def add(number: int) -> int:
        return number + 1

    @world.durable
    async def chain(length: int) -> int:
        number = 0
        for _ in range(length):
            number = await add(number)
        return number

    await world.node.work()
    assert 10 == await world.call(chain, 10, run_id="run")
    assert 11 == len([append for append in watched.appends if append.run_id == "run"])


async def test_what_arrives_during_a_commit_goes_into_the_next_one_together(world: World, watched: Watched) -> None:
    @world.durable(role="orchestrator")
    async def collect(count: int) -> list[int]:
        return [await calls.wait_for_signal("go") for _ in range(count)]

    worker = await world.node.work()
    run_id = await world.start(collect, 50)
    await world.until(lambda: run_id in worker.runs.held and worker.runs.held.is_quiet)
    held = worker.runs.held.get(run_id)
    assert held is not None
    for number in range(50):
        worker.runs.deliver(held, SignalReceived(0, 0, "go", payload(number), f"{number}"), f"{number}")
    assert list(range(50)) == (await world.outcome(run_id)).value
    appends = [append for append in watched.appends if append.run_id == run_id and append.consumed]
    assert [1, 49] == [len(append.consumed) for append in appends]


async def test_a_message_is_taken_once_though_it_is_told_and_read(world: World) -> None:
    @world.durable(role="orchestrator")
    async def collect() -> list[int]:
        return [await calls.wait_for_signal("go"), await calls.wait_for_signal("go")]

    worker = await world.node.work()
    run_id = await world.start(collect)
    await world.until(lambda: run_id in worker.runs.held and worker.runs.held.is_quiet)
    for number in (1, 2):
        message = Message(run_id, f"signal-{number}", SignalReceived(0, 0, "go", payload(number), f"{number}"))
        await world.tell(message)
        worker.runs.take(message)
        worker._on_news(True)
    assert [1, 2] == (await world.outcome(run_id)).value
    assert 2 == world.types_of(run_id).count("SignalReceived")


async def test_a_run_that_was_fenced_is_dropped_with_its_bodies(world: World) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @world.durable
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @world.durable
    async def quick() -> None: ...

    @world.durable
    async def caller() -> None:
        await asyncio.gather(endless(), calls.wait_for_signal("go"))

    worker = await world.node.work()
    run_id = await world.start(caller)
    await asyncio.wait_for(begun.wait(), 5)
    held = worker.runs.held.get(run_id)
    assert held is not None
    held.epoch += 1  # as if another worker had taken the run over
    before = world.types_of(run_id)
    worker.runs.deliver(held, SignalReceived(0, 0, "go", payload(1)))
    await asyncio.wait_for(stopped.wait(), 5)
    assert (before, True, None) == (world.types_of(run_id), held.is_dropped, held.execution)
    assert run_id not in worker.runs.held


async def test_what_the_store_cannot_take_stalls_its_run_and_no_other(world: World, watched: Watched) -> None:
    calls_of_bad: list[str] = []

    @world.durable
    async def echo(text: str) -> str:
        if text == "bad":
            calls_of_bad.append(text)
        return text * 2

    worker = await world.node.work()
    watched.poison = b"badbad"
    run_id = await world.start(echo, "bad")
    assert "goodgood" == await world.call(echo, "good")
    await world.until(lambda: world.row(run_id).status == "stalled")
    row = world.row(run_id)
    assert (None, ["RunStarted"]) == (row.owner, world.types_of(run_id))
    assert "too big" in (row.stall or "")
    worker._on_news(True)
    assert "oncemoreoncemore" == await world.call(echo, "oncemore")
    assert ["bad"] == calls_of_bad, "the code has not changed, so it is not tried again"


async def test_a_turn_that_would_not_fit_the_history_stalls_its_run(world: World) -> None:
    """That is a fault of ours; what is recorded stays readable, and a person can look at it."""

    @world.durable(role="orchestrator")
    async def wait_long() -> None:
        await asyncio.sleep(30)

    worker = await world.node.work()
    run_id = await world.start(wait_long)
    await world.until(lambda: "TimerStarted" in world.types_of(run_id))
    held = worker.runs.held.get(run_id)
    assert held is not None
    held.state.head_seq = 0
    held.state.phase = "none"
    worker.runs.deliver(held, SignalReceived(0, 0, "go", payload(1)))
    await world.until(lambda: world.row(run_id).status == "stalled")
    assert ["RunStarted", "TimerStarted"] == world.types_of(run_id)


async def test_code_that_does_not_fit_stalls_the_run_and_code_that_does_lets_it_go_on(world: World) -> None:
    @world.durable(name="one")
    async def one() -> int:
        return 1

    @world.durable(name="two")
    async def two() -> int:
        return 2

    choice: list[Any] = [one]

    @world.durable(role="orchestrator")
    async def program() -> int:
        first: int = await choice[0]()
        await asyncio.sleep(30)
        return first

    await world.node.work()
    run_id = await world.start(program)
    await world.until(lambda: "TimerStarted" in world.types_of(run_id))
    before = world.types_of(run_id)
    await world.node.stop()
    choice[0] = two
    worker = await world.node.work()
    world.clock.advance(30_000_000)
    worker._on_news(True)
    await world.until(lambda: world.row(run_id).status == "stalled")
    assert (before, None) == (world.types_of(run_id), world.row(run_id).owner)
    await world.node.stop()
    choice[0] = one
    await world.node.work()
    assert 1 == (await world.outcome(run_id)).value
    assert "completed" == world.row(run_id).status


async def test_a_run_that_waits_long_is_given_back_and_wakes_at_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_RELEASE_US", 2_000_000)

    @world.durable(role="orchestrator")
    async def nap() -> str:
        await asyncio.sleep(30)
        return "rested"

    worker = await world.node.work()
    run_id = await world.start(nap)
    await world.until(lambda: "TimerStarted" in world.types_of(run_id))
    await world.until(lambda: run_id not in worker.runs.held, tick_us=100_000)
    assert None is world.row(run_id).owner
    await world.until(lambda: "RunCompleted" in world.types_of(run_id), tick_us=500_000)
    assert "rested" == (await world.outcome(run_id)).value


async def test_a_run_that_was_given_back_wakes_for_a_message_that_came_meanwhile(world: World) -> None:
    @world.durable(role="orchestrator")
    async def listen() -> int:
        return int(await calls.wait_for_signal("go"))

    worker = await world.node.work()
    run_id = await world.start(listen)
    await world.until(lambda: run_id in worker.runs.held and worker.runs.held.is_quiet)
    held = worker.runs.held.get(run_id)
    assert held is not None
    await world.until(lambda: not (worker._must_look or worker._may_claim))
    await asyncio.sleep(0.02)  # whatever it was about to look for, it has found
    message = Message(run_id, "signal", SignalReceived(0, 0, "go", payload(7), "signal"))
    await world.commit(PutMessage(message))
    worker.runs._submit(held, module._release(held))
    assert worker.runs.take(message)  # held still, and on its way out: nobody is told of the message again
    assert 7 == (await world.outcome(run_id)).value


async def test_a_run_that_was_given_back_wakes_for_a_message_of_another_process(world: World) -> None:
    """The store makes it ready with the release, which is no news from elsewhere: this worker has to look by itself."""

    @world.durable(role="orchestrator")
    async def listen() -> int:
        return int(await calls.wait_for_signal("go"))

    worker = await world.node.work()
    client = world.new_node()
    run_id = await world.start(listen)
    await world.until(lambda: run_id in worker.runs.held and worker.runs.held.is_quiet)
    held = worker.runs.held.get(run_id)
    assert held is not None
    await client.link.commit(PutMessage(Message(run_id, "s", SignalReceived(0, 0, "go", payload(7), "s"))))
    await world.until(lambda: not (worker._must_look or worker._may_claim))
    worker.runs._submit(held, module._release(held))
    assert 7 == (await world.outcome(run_id)).value


async def test_a_retry_that_runs_elsewhere_does_not_wake_its_run(world: World) -> None:
    """The due time of a retry that was offered to all workers is past: it must not be waited for."""
    from stent.retry import RetryPolicy

    gate = asyncio.Event()
    tries: list[int] = []

    @world.durable(max_concurrent=1, retry_policy=RetryPolicy(max_attempts=3, initial_delay=1.0, jitter=0.0))
    async def shaky() -> str:
        tries.append(len(tries))
        if len(tries) == 1:
            raise ConnectionError("not yet")
        await gate.wait()
        return "done"

    @world.durable
    async def caller() -> str:
        return str(await shaky())

    worker = await world.node.work()
    run_id = await world.start(caller)
    await world.until(lambda: "CallAttemptFailed" in world.types_of(run_id))
    await world.until(lambda: len(tries) == 2, tick_us=250_000)  # its alarm may be set after the first tick only
    held = worker.runs.held.get(run_id)
    assert held is not None
    assert (None, True) == (held.next_due_us(), held.is_quiet)
    gate.set()
    assert "done" == (await world.outcome(run_id)).value
    assert [0, 1] == tries


async def test_a_late_answer_to_a_run_that_has_ended_leaves_no_event(world: World) -> None:
    @world.durable
    async def double(number: int) -> int:
        return 2 * number

    worker = await world.node.work()
    run_id = await world.start(double, 1)
    await world.outcome(run_id)
    await world.tell(Message(run_id, "late", CallCompleted(0, 0, 0, payload(9))))
    await world.until(lambda: not world.node.store.load_runs([run_id])[0].inbox)
    await world.until(lambda: len(worker.runs.held) == 0)
    assert ["RunStarted", "RunCompleted"] == world.types_of(run_id)


async def test_what_is_offered_while_a_write_is_in_flight_is_written_next(world: World) -> None:
    """Found under load: the retry of a limited call lay there until another event of its run came, or for ever."""

    @world.durable(queue="elsewhere")
    async def far() -> str:
        return "done"

    @world.durable
    async def caller() -> str:
        return str(await far())

    worker = await world.node.work(queues=frozenset({"default"}))
    run_id = await world.start(caller)
    await world.until(lambda: run_id in worker.runs.held and worker.runs.held.is_quiet)
    held = worker.runs.held.get(run_id)
    assert held is not None
    function = world.registry.find(held.state.calls[1].function)
    worker.runs._submit(held, Plan(Append(run_id, held.epoch), []))
    held.offer(shared_call(run_id, held.state.calls[1], function))
    worker.runs.pump(held)
    assert held.offers, "the write in flight does not take it along"
    await world.until(lambda: not held.offers and not held.is_committing)


@pytest.mark.parametrize("flow", ["a call", "a map"])
async def test_a_child_whose_id_is_taken_is_answered_at_once(world: World, flow: str) -> None:
    """The answer lies in the inbox of a run that is held here: time stands still, so only a hint leads to it."""

    @world.durable(role="orchestrator")
    async def child(number: int) -> int:
        return number

    @world.durable
    async def call_one() -> list[Any]:
        return list(await asyncio.gather(child.options(id="taken")(2), return_exceptions=True))

    @world.durable
    async def map_three() -> list[Any]:
        return await calls.map(child, [1, 2, 3], return_exceptions=True)

    worker = await world.node.work()
    await world.call(child, 0, run_id="taken" if flow == "a call" else "parent.1.1")
    await world.until(lambda: not (worker._must_look or worker._may_claim))
    await asyncio.sleep(0.02)  # whatever it was about to look for, it has found
    found = await world.call(call_one if flow == "a call" else map_three, run_id="parent")
    expected = [RunConflictError] if flow == "a call" else [int, RunConflictError, int]
    assert expected == [type(one) for one in found]


async def test_a_parents_cancel_reaches_the_last_run_of_a_chain_at_once(world: World) -> None:
    """It is put into the inbox of another run than the one that was called, so that one has to be told."""

    @world.durable(role="orchestrator")
    async def relay(left: int) -> None:
        if left == 0:
            await asyncio.sleep(3600)
        calls.continue_as_new(left - 1)

    @world.durable
    async def parent() -> None:
        await relay.options(id="chain")(2)

    worker = await world.node.work()
    await world.start(parent, run_id="parent")
    await world.until(lambda: "TimerStarted" in world.types_of("chain~3"))
    await world.until(lambda: not (worker._must_look or worker._may_claim))
    await asyncio.sleep(0.02)  # whatever it was about to look for, it has found
    await world.cancel("parent")
    assert "RunCancelled" == (await world.outcome("chain~3")).event.type

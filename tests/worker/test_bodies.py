"""Bodies of activities: slots, time limits, stops, threads, and bodies that turn out to be orchestrators."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from stent.codec import decode
from stent.durable import calls
from stent.errors import CallTimeoutError, MixedRoleError, PlaceError, SerializationError, StentError
from stent.history.events import CallOptions
from stent.worker.bodies import Bodies
from stent.worker.current import current_body
from stent.worker.outcomes import Outcome, Promoted, Raised, Returned, Stopped
from stent.worker.slots import SINGLE, Attempt, Single
from tests.worker.desk import Desk, function_of, until

PATIENCE_S = 10
LINE = contextvars.ContextVar("line", default="outside")


class Gym:
    """Slots, and what came of the bodies that ran in them."""

    def __init__(self, slots: int = 4) -> None:
        self.desk = Desk()
        self.outcomes: list[tuple[Attempt, Outcome]] = []
        self.bodies = Bodies(slots, self._finished)
        self._news = asyncio.Event()

    def _finished(self, attempt: Attempt, outcome: Outcome) -> None:
        self.outcomes.append((attempt, outcome))
        self._news.set()

    def attempt(
        self, body: Callable[..., Any], *args: Any, call: int = 1, run_id: str = "run", **facts: Any
    ) -> Attempt:
        function = function_of(body if hasattr(body, "__stent_function__") else self.desk.durable(body))
        options = facts.pop("options", function.call_options)
        return Attempt(
            run_id, call, SINGLE, function, 1, options, arguments=function.encode_arguments(args, {}), **facts
        )

    def push(self, body: Callable[..., Any], *args: Any, **facts: Any) -> Single:
        single = Single(self.attempt(body, *args, **facts))
        self.bodies.push(single)
        return single

    async def run(self, body: Callable[..., Any], *args: Any, **facts: Any) -> Outcome:
        """Run one body to its end."""
        self.push(body, *args, **facts)
        return (await self.ended(len(self.outcomes) + 1))[-1]

    async def ended(self, count: int) -> list[Outcome]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.outcomes) < count:
                self._news.clear()
                await self._news.wait()
        return [outcome for _, outcome in self.outcomes]

    def value(self, outcome: Outcome) -> Any:
        assert isinstance(outcome, Returned), outcome
        return decode(outcome.result, self.desk.registry.types)

    async def error(self, body: Callable[..., Any], *args: Any, **facts: Any) -> BaseException:
        outcome = await self.run(body, *args, **facts)
        assert isinstance(outcome, Raised), outcome
        return outcome.error


@pytest.fixture
async def gym() -> AsyncIterator[Gym]:
    gym = Gym()
    yield gym
    await gym.bodies.close(0)


async def nothing() -> None: ...


# -- answers -------------------------------------------------------------------------------------------------------


async def test_what_a_body_returns_is_encoded(gym: Gym) -> None:
    async def add(first: int, second: int) -> int:
        return first + second

    assert 5 == gym.value(await gym.run(add, 2, 3))


async def test_what_a_body_raises_is_its_answer(gym: Gym) -> None:
    async def fail() -> None:
        raise ConnectionError("gone")

    assert "gone" == str(await gym.error(fail))


async def test_an_error_that_is_no_exception_is_an_answer_too(gym: Gym) -> None:
    """Else the run would wait for ever: test frameworks and libraries raise such things."""

    class Abort(BaseException):
        """Not an Exception."""

    async def fail() -> None:
        raise Abort

    assert isinstance(await gym.error(fail), Abort)
    assert 0 == gym.bodies.running_count


async def test_a_body_that_cancels_itself_has_failed(gym: Gym) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    assert isinstance(await gym.error(give_up), asyncio.CancelledError)


async def test_a_result_that_cannot_be_stored_names_the_function(gym: Gym) -> None:
    async def make_lock() -> Any:
        return threading.Lock()

    error = await gym.error(make_lock)
    assert isinstance(error, SerializationError)
    assert "make_lock" in str(error)


async def test_the_running_code_knows_its_attempt(gym: Gym) -> None:
    async def who() -> str:
        body = current_body.get()
        assert body is not None
        return f"{body.attempt.run_id}/{body.attempt.call}"

    assert "r/7" == gym.value(await gym.run(who, run_id="r", call=7))
    assert None is current_body.get()


# -- slots ---------------------------------------------------------------------------------------------------------


async def test_no_more_bodies_than_slots_and_each_end_starts_the_next(gym: Gym) -> None:
    gym.bodies.slots = 2
    gates = [asyncio.Event() for _ in range(4)]
    begun: list[int] = []

    async def wait(number: int) -> None:
        begun.append(number)
        await gates[number].wait()

    for number in range(4):
        gym.push(wait, number, call=number)
    await asyncio.sleep(0)
    assert ([0, 1], 2, 0, 2) == (begun, gym.bodies.running_count, gym.bodies.free_slots, gym.bodies.waiting_count)
    gates[1].set()
    await gym.ended(1)
    await asyncio.sleep(0)
    assert [0, 1, 2] == begun
    for gate in gates:
        gate.set()
    await gym.ended(4)
    assert (0, 2) == (gym.bodies.running_count, gym.bodies.free_slots)


async def test_the_slot_is_free_when_the_end_is_told(gym: Gym) -> None:
    seen: list[int] = []
    gym.bodies = Bodies(1, lambda *_: seen.append(gym.bodies.free_slots))
    gym.push(nothing)
    await until(lambda: bool(seen))
    assert [1] == seen


# -- time limits ---------------------------------------------------------------------------------------------------


async def test_an_attempt_that_takes_too_long_is_stopped_and_has_failed(gym: Gym) -> None:
    stopped = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    error = await gym.error(endless, options=CallOptions(timeout_us=5_000))
    assert isinstance(error, CallTimeoutError)
    assert "endless() did not finish within 5ms" in str(error)
    assert stopped.is_set()


async def test_a_timeout_of_the_bodys_own_stays_its_own(gym: Gym) -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    error = await gym.error(impatient, options=CallOptions(timeout_us=60_000_000))
    assert TimeoutError is type(error)


# -- stopping ------------------------------------------------------------------------------------------------------


async def test_a_stopped_body_is_cancelled_and_leaves_nothing(gym: Gym) -> None:
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("in the middle of cleaning up") from None

    gym.push(endless, call=1)
    gym.push(endless, call=2)
    await begun.wait()
    gym.bodies.stop("run", 1)
    gym.bodies.stop("other")
    assert [Stopped()] == await gym.ended(1)
    gym.bodies.stop("run")
    assert [Stopped(), Stopped()] == await gym.ended(2)


async def test_a_stop_is_for_local_bodies_or_for_those_of_one_claim(gym: Gym) -> None:
    """A run that is dropped here may have a call that this same worker has claimed: that goes on."""
    gate = asyncio.Event()

    async def wait(number: int) -> int:
        await gate.wait()
        return number

    gym.push(wait, 1)
    gym.push(wait, 2, claim=7)
    gym.push(wait, 3, claim=8)
    await asyncio.sleep(0)
    gym.bodies.stop("run")
    gym.bodies.stop("run", 1, 8)
    assert [Stopped(), Stopped()] == await gym.ended(2)
    gate.set()
    assert 2 == gym.value((await gym.ended(3))[-1])


async def test_what_waits_for_a_slot_can_be_taken_back(gym: Gym) -> None:
    gym.bodies.slots = 1
    begun: list[int] = []
    gate = asyncio.Event()

    async def wait(number: int) -> None:
        begun.append(number)
        await gate.wait()

    gym.push(wait, 1)
    second = gym.push(wait, 2)
    gym.push(wait, 3)
    second.stop()
    gate.set()
    await gym.ended(2)
    assert [1, 3] == begun


async def test_closing_lets_bodies_finish_for_the_grace(gym: Gym) -> None:
    gate = asyncio.Event()

    async def wait() -> str:
        await gate.wait()
        return "done"

    gym.push(wait)
    await asyncio.sleep(0)
    closing = asyncio.create_task(gym.bodies.close(PATIENCE_S))
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert "done" == gym.value((await gym.ended(1))[-1])
    gym.push(wait)
    assert (0, 1) == (gym.bodies.running_count, gym.bodies.waiting_count)


@pytest.mark.slow
async def test_closing_leaves_behind_a_body_that_ignores_its_stop(gym: Gym) -> None:
    may_end = asyncio.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    gym.push(stubborn)
    await asyncio.sleep(0)
    await asyncio.wait_for(gym.bodies.close(0), 5)
    assert [] == gym.outcomes
    may_end.set()
    await gym.ended(1)


async def test_a_body_that_ignores_its_stop_does_not_hide_its_successor(gym: Gym) -> None:
    """The same call may run again here while the body of its earlier life still hangs on."""
    gates = [asyncio.Event(), asyncio.Event()]

    async def stubborn(number: int) -> int:
        while not gates[number].is_set():
            try:
                await gates[number].wait()
            except asyncio.CancelledError:
                continue
        return number

    gym.push(stubborn, 0)
    await asyncio.sleep(0)
    gym.bodies.stop("run")
    gym.push(stubborn, 1)
    await asyncio.sleep(0)
    assert 2 == gym.bodies.running_count
    gates[0].set()
    await gym.ended(1)
    assert 1 == gym.bodies.running_count
    gates[1].set()
    assert 1 == gym.value((await gym.ended(2))[-1])


# -- plain functions -----------------------------------------------------------------------------------------------


async def test_a_plain_function_runs_in_a_thread_with_its_context(gym: Gym) -> None:
    def compute(number: int) -> list[Any]:
        return [number * 2, threading.current_thread() is threading.main_thread(), LINE.get()]

    LINE.set("inside")
    assert [8, False, "inside"] == gym.value(await gym.run(compute, 4))


async def test_plain_functions_run_side_by_side(gym: Gym) -> None:
    together = threading.Barrier(3)

    def meet() -> int:
        return together.wait(PATIENCE_S)

    for call in range(3):
        gym.push(meet, call=call)
    assert [0, 1, 2] == sorted(gym.value(outcome) for outcome in await gym.ended(3))


async def test_a_stop_iteration_of_a_plain_function_is_an_error_like_any_other(gym: Gym) -> None:
    def exhausted() -> None:
        next(iter(()))

    assert isinstance(await gym.error(exhausted), StentError)


async def test_a_plain_function_cannot_make_durable_calls(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)

    def caller() -> None:
        durable()

    error = await gym.error(caller)
    assert isinstance(error, PlaceError)
    assert "caller() is a plain def" in str(error)
    assert "test_bodies.py" in str(error)


# -- promotion -----------------------------------------------------------------------------------------------------


async def test_a_durable_call_makes_an_orchestrator_of_a_body(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)
    after: list[str] = []

    async def caller() -> None:
        await durable()
        after.append("must not be reached")

    assert Promoted() == await gym.run(caller)
    assert ([], 0) == (after, gym.bodies.running_count)


async def test_code_that_swallows_everything_cannot_swallow_a_promotion(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)
    seen: list[object] = []

    async def caller() -> str:
        for _ in range(3):
            try:
                await durable()
            except BaseException as error:
                if type(error) is not GeneratorExit:  # what closing any coroutine raises in it
                    seen.append(error)
                raise
        return "swallowed"

    async def gatherer() -> str:
        seen.extend(await asyncio.gather(durable(), durable(), return_exceptions=True))
        return "swallowed"

    async def shrugger() -> str:
        try:
            await durable()
        except Exception as error:
            seen.append(error)
        return "swallowed"

    assert [Promoted()] * 3 == [await gym.run(body) for body in (caller, gatherer, shrugger)]
    assert [] == seen


async def test_a_body_that_will_not_close_is_promoted_all_the_same(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)

    async def stubborn() -> str:
        while True:
            try:
                await durable()
            except BaseException:
                break
        return "swallowed"

    assert Promoted() == await gym.run(stubborn)


async def test_a_durable_call_in_a_task_of_the_body_promotes_it_too(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)
    ended: list[str] = []

    async def helper(name: str) -> None:
        try:
            await durable()
        finally:
            ended.append(name)

    async def caller() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(helper("a"))
            group.create_task(helper("b"))

    async def gatherer() -> None:
        await asyncio.gather(helper("c"), helper("d"))

    async def waiter() -> None:
        await asyncio.wait([asyncio.ensure_future(helper("e"))])

    assert [Promoted()] * 3 == [await gym.run(body) for body in (caller, gatherer, waiter)]
    assert 0 == gym.bodies.running_count
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert {"a", "c", "e"} <= {*ended}, "what was parked is cancelled"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not tell to whom a task belongs")
async def test_tasks_of_a_promoted_body_are_cancelled(gym: Gym) -> None:
    """Else they would go on beside the orchestrator that begins again, and do everything twice."""
    durable = gym.desk.durable(nothing)
    stopped = asyncio.Event()

    async def sibling() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def caller() -> None:
        task = asyncio.create_task(sibling())
        await asyncio.sleep(0)
        await durable()
        await task

    assert Promoted() == await gym.run(caller)
    await asyncio.wait_for(stopped.wait(), PATIENCE_S)


async def test_a_call_whose_answer_nobody_awaits_promotes_as_well(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)

    async def caller() -> str:
        durable()
        return "done"

    assert Promoted() == await gym.run(caller)


async def test_sleeping_first_decides_nothing(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)

    async def sleeper() -> None:
        await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        await durable()

    assert Promoted() == await gym.run(sleeper)


async def test_real_io_and_durable_calls_in_one_body_are_an_error_that_names_both_lines(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)

    async def mixed() -> None:
        await asyncio.to_thread(int)
        await durable()

    first = mixed.__code__.co_firstlineno
    error = await gym.error(mixed)
    assert isinstance(error, MixedRoleError)
    assert f"test_bodies.py:{first + 1} in " in error.facts["io_site"]
    assert f"test_bodies.py:{first + 2} in " in error.facts["call_site"]
    assert error.facts["io_site"] in str(error)
    assert error.facts["call_site"] in str(error)


async def test_a_body_that_is_declared_an_activity_stays_one(gym: Gym) -> None:
    durable = gym.desk.durable(nothing)

    async def declared() -> None:
        await durable()

    error = await gym.error(declared, is_role_fixed=True)
    assert isinstance(error, MixedRoleError)
    assert "declared() began as an activity" in str(error)


@pytest.mark.parametrize("use", [lambda: calls.sleep(1), calls.now, calls.uuid4, lambda: calls.wait_for_signal("go")])
async def test_whatever_only_an_orchestrator_can_do_promotes(gym: Gym, use: Callable[[], Any]) -> None:
    async def caller() -> None:
        found = use()
        if hasattr(found, "__await__"):
            await found

    outcome = await gym.run(caller)
    assert Promoted() == outcome

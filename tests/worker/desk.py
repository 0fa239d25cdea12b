"""Pure pieces for the tests of what decides: functions, first events and held runs, without a store or a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stent.codec import Payload, decode, encode
from stent.durable.decorator import make_durable
from stent.durable.function import Durable
from stent.history import wire
from stent.history.events import Event, Role, RunStarted
from stent.history.operations import Append
from stent.history.records import InboxRow, LoadedRun, Message, RunRow, SharedRow
from stent.registry import Function, Registry
from stent.worker import adoption
from stent.worker.draft import Plan
from stent.worker.held import HeldRun, Holdings
from stent.worker.placement import Placement
from stent.worker.planning import Planner
from stent.worker.starting import Parent, first_event, new_run

NOW_US = 1_000_000_000
PATIENCE_S = 10.0  # of a test that waits for something that may never come; never reached when all is well
TOKEN = b"t" * 16


@dataclass
class FreeSlots:
    """The slots of a worker, as a test wants them."""

    free_slots: int = 10
    waiting_count: int = 0


class Desk:
    """One registry, and the place of one worker that knows it."""

    def __init__(self, *, queues: frozenset[str] | None = None, tags: frozenset[str] | None = None) -> None:
        self.registry = Registry()
        self.holdings = Holdings()
        self.slots = FreeSlots()
        self.placement = Placement("me", self.registry, self.holdings, self.slots, queues=queues, tags=tags)

    def durable(self, body: Callable[..., Any], **options: Any) -> Durable[..., Any]:
        return make_durable(body, options, self.registry)

    def begin(
        self,
        durable: Durable[..., Any],
        *args: Any,
        role: Role,
        run_id: str = "run",
        parent: Parent | None = None,
        at_us: int = NOW_US,
        **times: int,
    ) -> adoption.Resumed:
        """A run that is held from birth."""
        function = function_of(durable)
        arguments = function.encode_arguments(args, {})
        started = first_event(run_id, function, arguments, function.call_options, role, at_us, parent=parent, **times)
        return adoption.begin(new_run(started, function, TOKEN), started, function, at_us)

    def plan(self, held: HeldRun, commands: Sequence[Any] = (), now_us: int = NOW_US) -> Plan | None:
        return Planner(held, self.placement, self.registry, now_us, lambda: TOKEN).plan(commands)

    def turn(self, held: HeldRun, commands: Sequence[Any] = (), now_us: int = NOW_US) -> Plan:
        plan = self.plan(held, commands, now_us)
        assert plan is not None
        return plan


def function_of(durable: Durable[..., Any]) -> Function:
    function: Function = durable.__stent_function__
    return function


def events_of(append: Append) -> list[Event]:
    return [wire.decode(row) for row in append.rows]


def types_of(append: Append) -> list[str]:
    return [event.type for event in events_of(append)]


def value(payload: Payload | None) -> Any:
    assert payload is not None
    return decode(payload, Registry().types)


def payload(of: Any) -> Payload:
    return encode(of, Registry().types)


def loaded(
    history: Sequence[Event],
    *,
    inbox: Sequence[Message] = (),
    shared: Sequence[SharedRow] = (),
    status: Any = "running",
) -> LoadedRun:
    """A run as a store gives it."""
    started = history[0]
    assert isinstance(started, RunStarted)
    rows = wire.encode_all(list(history), started.run_id, 1, wire.first_hash(started.run_id), TOKEN)
    run = RunRow(
        started.run_id,
        started.function,
        started.role,
        status,
        None,
        0,
        (),
        None,
        started.parent_run,
        started.parent_call,
        started.parent_item,
        2,
        "me",
        NOW_US,
        NOW_US,
        None,
        None,
        0,
    )
    return LoadedRun(run, rows, tuple(InboxRow(n, message) for n, message in enumerate(inbox, 1)), tuple(shared))


async def until(is_true: Callable[[], bool]) -> None:
    """Let things go on until something is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_true():  # noqa: ASYNC110  # it is looked at from outside: nobody could set an event
            await asyncio.sleep(0.001)

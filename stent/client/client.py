"""What can be done with runs from outside: start, wait, signal, cancel, ask.

Rules of this file:
- arguments are checked and encoded before anything is written; an error here means that nothing happened;
- a run is started by one commit; asked for twice under one id it is started once;
- nothing here runs user code.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

from stent.client.checked import checked_name, checked_reason
from stent.client.options import DEFAULT_START, StartOptions
from stent.clock import Clock
from stent.codec import Payload, decode, decode_exception, encode
from stent.duration import Duration, format_duration, parse_duration
from stent.errors import (
    CorruptHistoryError,
    CorruptPayloadError,
    ExpiryError,
    RunConflictError,
    RunFinishedError,
    RunStateError,
    UnknownRunError,
)
from stent.history import wire
from stent.history.events import (
    CancelRequested,
    Event,
    RunCompleted,
    RunContinuedAsNew,
    RunFailed,
    RunStarted,
    SignalReceived,
)
from stent.history.operations import Put, PutMessage, Started, StartRun
from stent.history.records import Message, NewRun, RunFilter, RunRow
from stent.history.store import Store
from stent.ids import Ids
from stent.registry import Function, Registry
from stent.replay import guard
from stent.replay.loop import ReplayLoop
from stent.replay.roles import predict_role
from stent.result import Result
from stent.worker.answers import outcome_error
from stent.worker.link import Holder, Link, StoreThreads
from stent.worker.starting import first_event, new_run

MAX_ID_CHARS = 200


class Backend(Protocol):
    """What opens a store."""

    def open(self, user: object) -> StoreThreads:
        """The opened store and its threads; the same until its last user releases it. Blocks."""
        ...


class Client:
    """One database, seen from outside of runs."""

    def __init__(self, backend: Backend, registry: Registry, clock: Clock, ids: Ids) -> None:
        self.registry = registry
        self._backend = backend
        self._clock = clock
        self._ids = ids
        self._links: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Link] = weakref.WeakKeyDictionary()

    async def link(self) -> Link:
        """The link of the running event loop to the store, which is opened now if it was not yet."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, ReplayLoop):
            raise loop.host.forbidden("an executor")
        link = self._links.get(loop)
        if link is None or link.is_closed:
            threads = await loop.run_in_executor(None, self._backend.open, self)
            link = self._links[loop] = threads.link(self._ids, self.registry)
        return link

    def close(self) -> None:
        """Stop watching for news. The store is its backend's to close."""
        for link in list(self._links.values()):
            link.close()
        self._links.clear()

    # -- starting --------------------------------------------------------------------------------------------------

    async def start(self, function: Function, arguments: Payload, options: StartOptions = DEFAULT_START) -> str:
        """Start a run; its id. With an id that is taken by the same call, that run is the answer."""
        link = await self.link()
        run_id = options.run_id or self._ids.run_id()
        if options.connection is not None:
            await self._start_within(link, run_id, function, arguments, options)
        else:
            await self._start(link, run_id, function, arguments, options)
        return run_id

    async def run(self, function: Function, arguments: Payload, options: StartOptions = DEFAULT_START) -> Any:
        """Start a run and wait for its outcome: the value is returned, the error raised."""
        link = await self.link()
        run_id = options.run_id or self._ids.run_id()
        ended = link.ended(run_id)
        try:
            is_new = await self._start(link, run_id, function, arguments, options)
            if not is_new:
                ended.cancel()
                return (await self.wait_for(run_id)).unwrap()
            result = await self._result(run_id, function, await ended)
        finally:
            ended.cancel()
        return result.unwrap()

    async def _start(
        self, link: Link, run_id: str, function: Function, arguments: Payload, options: StartOptions
    ) -> bool:
        started, run = self._new_run(run_id, function, arguments, options)
        taken = link.holder_for(run)
        if taken is None:
            outcome = await link.commit(StartRun(run))
            link.wake(run.due_us)
        else:
            outcome = await _start_held(link, run, started, *taken)
        if not outcome.created:
            rows = await link.read(link.store.read_rows, run_id, 0, 1)
            _check_same(rows[0], run_id, function, arguments)
        return bool(outcome.created)

    async def _start_within(
        self, link: Link, run_id: str, function: Function, arguments: Payload, options: StartOptions
    ) -> None:
        """Start a run in the caller's transaction. No worker here may count on it: it may be rolled back."""
        _, run = self._new_run(run_id, function, arguments, options)
        taken = await link.store.start_within(options.connection, StartRun(run))
        if taken is not None:
            _check_same(taken, run_id, function, arguments)

    def _new_run(
        self, run_id: str, function: Function, arguments: Payload, options: StartOptions
    ) -> tuple[RunStarted, NewRun]:
        """The first event of a run, and the run as a store takes it."""
        role = predict_role(function)
        if role == "orchestrator":
            guard.check(function)
        now_us = self._clock.now_us()
        delay_us = options.delay_us or 0
        started = first_event(
            run_id,
            function,
            arguments,
            options.call or function.call_options,
            role,
            now_us,
            deadline_us=now_us + delay_us + options.expiry_us if options.expiry_us is not None else None,
            max_duration_us=options.max_duration_us,
        )
        due_us = now_us + delay_us if delay_us else None
        return started, new_run(started, function, self._ids.token(), due_us=due_us)

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def wait_for(self, run_id: str, expiry: Duration | None = None) -> Result[Any]:
        """The outcome of a run, when it has one; ExpiryError after `expiry`, UnknownRunError for no such run."""
        if expiry is None:
            return await self._wait_for(run_id)
        expiry_us = parse_duration(expiry, name="expiry")
        limit = asyncio.timeout(expiry_us / 1_000_000)
        try:
            async with limit:
                return await self._wait_for(run_id)
        except TimeoutError:
            if not limit.expired():
                raise
        raise ExpiryError(
            f"run {run_id} had no outcome within {format_duration(expiry_us)}",
            fix="wait longer; is a worker running that knows the function? The run goes on by itself",
            run_id=run_id,
        )

    async def _wait_for(self, run_id: str) -> Result[Any]:
        link = await self.link()
        ended = link.ended(run_id)
        try:
            run, row = await link.read(_run_and_end, link.store, run_id)
            if run is None:
                raise _unknown(run_id)
            event = wire.decode(row) if row is not None else await ended
            return await self._result(run_id, self.registry.get(run.function), event)
        finally:
            ended.cancel()

    async def _result(self, run_id: str, function: Function | None, event: Event) -> Result[Any]:
        if isinstance(event, RunContinuedAsNew):
            return await self._wait_for(event.next_run)
        types = function.types if function is not None else self.registry.types
        try:
            match event:
                case RunCompleted(result=result):
                    return Result.success(decode(result, types))
                case RunFailed(error=error):
                    return Result.failure(decode_exception(error, types))
        except CorruptPayloadError as error:
            raise CorruptHistoryError(
                f"run {run_id}, seq {event.seq}: the data of its {event.type} cannot be read: {error.message}",
                fix="restore the database from a backup; other runs are not affected",
                run_id=run_id,
                seq=event.seq,
            ) from error
        return Result.failure(
            outcome_error(event, run_id, function.display_name if function is not None else "the run")
        )

    # -- telling ---------------------------------------------------------------------------------------------------

    async def send_signal(self, run_id: str, name: str, value: Any = None, key: str | None = None) -> bool:
        """Put a signal into a run's queue of this name; False if one with this `key` is there already."""
        checked_name("name", name)
        if key is not None:
            checked_name("key", key)
        payload = encode(value, self.registry.types, where=f"the value of signal {name!r}")
        token = self._ids.token().hex()
        if key is None:
            message = Message(run_id, f"signal-{token}", SignalReceived(0, 0, name, payload, f"signal-{token}"))
        else:
            signal = SignalReceived(0, 0, name, payload, f"signal-{key}", put=token)
            message = Message(run_id, f"signal-{key}", signal, is_once=True)
        put = await self._put(message)
        if put.result == "ended":
            raise RunFinishedError(
                f"run {run_id} has ended: nobody will read the signal {name!r}",
                fix="send it before the run ends, or start another run",
                run_id=run_id,
            )
        return put.result == "delivered" or key is None  # nobody else has a key that was made here

    async def cancel(self, run_id: str, reason: str = "") -> bool:
        """Ask a run, or the one that goes on in its place, to stop; False if it had ended.

        Until it is read, twice is once.
        """
        request = CancelRequested(0, 0, checked_reason(reason), self._ids.token().hex())
        put = await self._put(Message(run_id, "cancel", request))
        return put.result != "ended"

    async def _put(self, message: Message) -> Put:
        """Put a message into the inbox of its run, or of the one that goes on where that has continued as new."""
        link = await self.link()
        while True:
            put: Put = await link.commit(PutMessage(message))
            if put.result == "unknown":
                raise _unknown(message.run_id)
            if put.result in ("delivered", "duplicate"):  # the latter may be this very one, whose answer was lost
                link.route(message)
            if put.result != "ended":
                return put
            # A key that is to be found again may lie in any history of the chain, so that each of them is asked.
            next_run = await link.read(_next_run, link.store, message.run_id, is_last=not message.is_once)
            if next_run is None:
                return put
            message = replace(message, run_id=next_run)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def get(self, run_id: str) -> RunRow:
        """The row of a run, or UnknownRunError."""
        link = await self.link()
        row = await link.read(link.store.get_run, run_id)
        if row is None:
            raise _unknown(run_id)
        return row

    async def result_of(self, run_id: str) -> Result[Any]:
        """The outcome of a run that has ended; RunStateError while it goes on."""
        row = await self.get(run_id)
        if not row.is_ended:
            raise RunStateError(
                f"run {run_id} is {row.status}: it has no result yet",
                fix="await executor.wait_for(...) waits for it",
                run_id=run_id,
                status=row.status,
            )
        return await self._wait_for(run_id)

    async def history_of(self, run_id: str) -> list[Event]:
        """All events of a run in order, or UnknownRunError."""
        link = await self.link()
        rows = await link.read(link.store.read_rows, run_id)
        if not rows:
            raise _unknown(run_id)
        return wire.decode_history(rows)

    async def list_runs(self, wanted: RunFilter) -> list[RunRow]:
        link = await self.link()
        return await link.read(link.store.list_runs, wanted)

    async def find_runs(self, id_prefix: str, limit: int) -> Sequence[str]:
        link = await self.link()
        return await link.read(link.store.find_runs, id_prefix, limit)

    async def queue_depth(self, queue: str | None = None) -> int:
        """How many runs and calls wait for a worker."""
        link = await self.link()
        return await link.read(link.store.queue_depth, queue)


def _check_same(taken: wire.EventRow, run_id: str, function: Function, arguments: Payload) -> None:
    """A run with this id is there, and began with this: it is ours if it was started by the same call."""
    first = wire.decode(taken)
    if isinstance(first, RunStarted) and (first.function, first.arguments) == (function.name, arguments):
        return
    raise RunConflictError(
        f"the id {run_id!r} is taken by another call",
        fix="choose another id, or call the same function with the same arguments to get that run",
        run_id=run_id,
    )


async def _start_held(link: Link, run: NewRun, started: RunStarted, holder: Holder, owner: str) -> Started:
    """Start a run that a worker of this event loop holds from birth."""
    run = replace(run, owner=owner)
    outcome = Started(False)
    try:
        outcome = cast("Started", await link.commit(StartRun(run)))
    finally:
        if not outcome.created:
            holder.placement.settle(run.run_id)
    if outcome.created:
        holder.adopt_new(run, started)
    return outcome


def _run_and_end(store: Store, run_id: str) -> tuple[RunRow | None, wire.EventRow | None]:
    """A run and the event that ended it, in one visit to a reading thread."""
    run = store.get_run(run_id)
    return run, store.terminal_row(run_id) if run is not None and run.is_ended else None


def _next_run(store: Store, run_id: str, *, is_last: bool) -> str | None:
    """The run that goes on where one ended by continuing as new, or the last of the chain; None where it ends."""
    found = None
    while (row := store.terminal_row(found or run_id)) is not None:
        event = wire.decode(row)
        if not isinstance(event, RunContinuedAsNew):
            break
        found = event.next_run
        if not is_last:
            break
    return found


def _unknown(run_id: str) -> UnknownRunError:
    return UnknownRunError(
        f"there is no run {str(run_id)[:MAX_ID_CHARS]!r} in this database",
        fix="look at `stent ls`; is this the database that the run was started in?",
        run_id=run_id,
    )

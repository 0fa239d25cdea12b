"""The object that stands for a durable function: called like the function, durable where it runs.

Rules of this file:
- a call takes its arguments, and fails for wrong ones, at the moment of the call, in the caller;
- options never steal a keyword of the function: they go through `fn.options(...)`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from stent.client.checked import checked_id, checked_name, checked_priority, checked_tags
from stent.client.current import current
from stent.client.mapped import run_mapped
from stent.client.options import DEFAULT_START, StartOptions
from stent.durable.place import running_activity, running_orchestrator
from stent.duration import Duration, parse_duration
from stent.errors import OptionError
from stent.history.options import CallOptions
from stent.registry import Function
from stent.replay.loop import ReplayLoop
from stent.retry import RetryPolicy

if TYPE_CHECKING:
    from stent.replay.execution import Execution
    from stent.replay.tasks import Call

running_loop = asyncio._get_running_loop

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")


class Durable(Generic[P, R]):
    """A durable function.

    In an orchestrator a call schedules a child at once; the awaited value is its recorded result. Under
    `Stent.bootstrap(...)` or `Stent.use(...)` a call starts a run and waits for it. With nothing configured it runs
    here, as a plain coroutine. Arguments that do not fit raise ArgumentError, those that cannot be stored
    SerializationError, both at the call.
    """

    __slots__ = ("__dict__", "__stent_function__", "__weakref__", "_bound", "_start")

    def __init__(self, function: Function, start: StartOptions = DEFAULT_START, bound: tuple[Any, ...] = ()) -> None:
        self.__stent_function__ = function
        self._start = start
        self._bound = bound
        functools.update_wrapper(self, function.body)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        function, start = self.__stent_function__, self._start
        given = (*self._bound, *args) if self._bound else args
        loop = running_loop()
        if type(loop) is ReplayLoop:  # before all else, and without a helper: replay makes a hundred thousand a second
            orchestrator: Execution = loop.host  # type: ignore[assignment]  # no other host makes such a loop
            return orchestrator.schedule(function, given, kwargs, start.call, start.run_id)  # type: ignore[return-value]  # a Call, for type checkers
        body = running_activity()
        if body is not None:
            return body.park()  # type: ignore[return-value]  # never answered: the body is an orchestrator, and begins again
        client = current.get()
        if client is not None:
            return client.run(function, function.encode_arguments(given, kwargs), start)  # type: ignore[return-value]  # a coroutine; Call is one
        from stent.durable import local

        return local.call(function, given, kwargs)  # type: ignore[return-value]  # likewise

    @overload
    def map(
        self, items: Iterable[Any], *, return_exceptions: Literal[False] = False, limit: int | None = None
    ) -> Coroutine[None, None, list[R]]: ...
    @overload
    def map(
        self, items: Iterable[Any], *, return_exceptions: bool, limit: int | None = None
    ) -> Coroutine[None, None, list[R | BaseException]]: ...
    def map(self, items: Iterable[Any], *, return_exceptions: bool = False, limit: int | None = None) -> Any:
        """`Stent.map(fn, items)`: the results in the order of the items."""
        return map_rows(self, [(item,) for item in items], return_exceptions=return_exceptions, limit=limit)

    @overload
    def starmap(
        self, rows: Iterable[Sequence[Any]], *, return_exceptions: Literal[False] = False, limit: int | None = None
    ) -> Coroutine[None, None, list[R]]: ...
    @overload
    def starmap(
        self, rows: Iterable[Sequence[Any]], *, return_exceptions: bool, limit: int | None = None
    ) -> Coroutine[None, None, list[R | BaseException]]: ...
    def starmap(
        self, rows: Iterable[Sequence[Any]], *, return_exceptions: bool = False, limit: int | None = None
    ) -> Any:
        """As `map`, with a row of positional arguments an item."""
        return map_rows(self, [tuple(row) for row in rows], return_exceptions=return_exceptions, limit=limit)

    def options(
        self,
        *,
        retry_policy: RetryPolicy | None = None,
        timeout: Duration | None = None,
        queue: str | None = None,
        priority: int | None = None,
        tags: Iterable[str] | None = None,
        id: str | None = None,  # the public name of the option
        expiry: Duration | None = None,
        max_duration: Duration | None = None,
        delay: Duration | None = None,
    ) -> Durable[P, R]:
        """The same function with other options for the calls made through it. What is None stays as it is.

        `id` names the run behind a call; `expiry` (from the start), `max_duration` (from the moment a worker begins)
        and `delay` are for runs that are started outside of an orchestrator.
        """
        start = self._start
        call = start.call or self.__stent_function__.call_options
        call = changed_options(call, retry_policy, timeout, queue, priority, tags)
        changed = StartOptions(
            call,
            checked_id(id) if id is not None else start.run_id,
            parse_duration(expiry, name="expiry") if expiry is not None else start.expiry_us,
            parse_duration(max_duration, name="max_duration") if max_duration is not None else start.max_duration_us,
            parse_duration(delay, name="delay") if delay is not None else start.delay_us,
        )
        return Durable(self.__stent_function__, changed, self._bound)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Durable[P, R]: ...
    @overload
    def __get__(
        self: Durable[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> Durable[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound to its instance, which travels as the first argument."""
        if instance is None:
            return self
        return Durable(self.__stent_function__, self._start, (instance,))

    def __repr__(self) -> str:
        return repr(self.__stent_function__)


def start_options(function: Durable[..., Any]) -> StartOptions:
    """The options of `fn.options(...)`."""
    return function._start


def bound_arguments(function: Durable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a call, with the instance of a bound method in front."""
    return (*function._bound, *args)


def map_rows(
    function: Durable[..., Any], rows: list[tuple[Any, ...]], *, return_exceptions: bool, limit: int | None
) -> Any:
    """Call a durable function once a row, in one event; awaited, the results in the order of the rows."""
    if limit is not None and not is_count(limit):
        raise OptionError(f"limit={limit!r} is no whole number from 1", fix="leave it out for no limit", option="limit")
    record, start = function.__stent_function__, function._start
    rows = [(*function._bound, *row) for row in rows] if function._bound else rows
    orchestrator = running_orchestrator()
    if orchestrator is not None:
        return orchestrator.schedule_batch(
            record, rows, return_exceptions=return_exceptions, limit=limit, options=start.call
        )
    body = running_activity()
    if body is not None:
        return body.park()
    client = current.get()
    if client is not None:
        return run_mapped(client, record, rows, start, return_exceptions=return_exceptions, limit=limit)
    from stent.durable import local

    return local.call_all(record, rows, return_exceptions=return_exceptions, limit=limit)


def changed_options(
    options: CallOptions,
    retry_policy: RetryPolicy | None,
    timeout: Duration | None,
    queue: str | None,
    priority: int | None,
    tags: Iterable[str] | None,
) -> CallOptions:
    """Options with those replaced that are not None, checked."""
    changes: dict[str, Any] = {}
    if retry_policy is not None:
        changes["retry"] = checked_policy(retry_policy).to_record()
    if timeout is not None:
        changes["timeout_us"] = parse_duration(timeout, name="timeout")
    if queue is not None:
        changes["queue"] = checked_name("queue", queue)
    if priority is not None:
        changes["priority"] = checked_priority(priority)
    if tags is not None:
        changes["tags"] = checked_tags(tags)
    return replace(options, **changes)


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def checked_policy(policy: object) -> RetryPolicy:
    if not isinstance(policy, RetryPolicy):
        raise OptionError(
            f"retry_policy={policy!r} is no RetryPolicy", fix="RetryPolicy(max_attempts=5)", option="retry_policy"
        )
    return policy

"""`@Stent.durable`: checks the options, registers the function, and gives back what stands for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_args, overload

from stent.client.checked import checked_name, checked_priority, checked_tags
from stent.durable.function import Durable, checked_policy
from stent.duration import Duration, parse_duration
from stent.errors import OptionError
from stent.history.options import Role
from stent.registry import Function, FunctionOptions, Registry, default_registry, function_name
from stent.retry import RetryPolicy

P = ParamSpec("P")
R = TypeVar("R")

MAX_CONCURRENT = 1_000_000


@overload
def durable(function: Callable[P, Coroutine[Any, Any, R]], /) -> Durable[P, R]: ...
@overload
def durable(function: Callable[P, R], /) -> Durable[P, R]: ...
@overload
def durable(
    *,
    max_concurrent: int | None = None,
    retry_policy: RetryPolicy | None = None,
    timeout: Duration | None = None,
    version: str | None = None,
    queue: str | None = None,
    tags: Iterable[str] = (),
    priority: int = 0,
    name: str | None = None,
    role: Role | None = None,
) -> _Decorator: ...
def durable(function: Any = None, /, **options: Any) -> Any:
    """Make a function durable: its calls are recorded, and survive the process.

    Bare, or with options: `max_concurrent` (bodies at a time over all workers of the database), `retry_policy`,
    `timeout` (of an activity: each attempt; of an orchestrator: the whole run), `queue`, `tags` and `priority` (which
    workers take it, and how soon), `version`, `name` (under which it is stored; default module:qualname) and `role`
    ("orchestrator" or "activity"; inferred if left out, see docs/concepts/roles.md).

    Works on `async def` and plain `def` (which runs in a thread), on methods and on nested functions. Raises
    OptionError for options that mean nothing and DuplicateFunctionError for a name that another function has.
    """
    if function is not None:
        if options or not callable(function):
            raise OptionError(
                f"durable({function!r}) is no use of the decorator", fix="@Stent.durable or @Stent.durable(option=...)"
            )
        return make_durable(function, {}, default_registry)
    return _Decorator(options)


class DurableDecorator(Protocol):
    """The type of `Stent.durable`: `staticmethod(durable)` alone would leave type checkers with the first overload.

    The first overload asks for a Coroutine, not for any Awaitable: an `async def` then fits both overloads in one and
    the same type, and mypy takes the first. For two types it would give up and say Any wherever an annotation of the
    function contains Any, as `dict[str, Any]` does.
    """

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Durable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Durable[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        max_concurrent: int | None = None,
        retry_policy: RetryPolicy | None = None,
        timeout: Duration | None = None,
        version: str | None = None,
        queue: str | None = None,
        tags: Iterable[str] = (),
        priority: int = 0,
        name: str | None = None,
        role: Role | None = None,
    ) -> _Decorator: ...


class _Decorator:
    """What `@Stent.durable(...)` with options gives."""

    __slots__ = ("_options",)

    def __init__(self, options: dict[str, Any]) -> None:
        check_options(options)
        self._options = options

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> Durable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Durable[P, R]: ...
    def __call__(self, function: Any) -> Any:
        return make_durable(function, self._options, default_registry)


def make_durable(body: Any, options: dict[str, Any], registry: Registry) -> Durable[Any, Any]:
    """Register a function under its name, and give back what stands for it."""
    if isinstance(body, Durable):
        raise OptionError(f"{body!r} is durable already", fix="decorate it once")
    if isinstance(body, staticmethod | classmethod):
        raise OptionError(
            f"{type(body).__name__} is outermost", fix=f"put @{type(body).__name__} above @Stent.durable, not below it"
        )
    if not callable(body) or isinstance(body, type) or not hasattr(body, "__qualname__"):
        raise OptionError(f"{body!r} is no function", fix="decorate a def or an async def")
    if inspect.isasyncgenfunction(body) or inspect.isgeneratorfunction(body):
        raise OptionError(
            f"{body.__qualname__}() is a generator: it has no one result that could be recorded",
            fix="return a list, or make every item a durable call of its own",
        )
    checked = check_options(options)
    function = Function(options.get("name") or function_name(body), body, checked, registry.types)
    registry.add(function)
    return Durable(function)


def check_options(options: dict[str, Any]) -> FunctionOptions:
    """The options of the decorator in the engine's units; OptionError for what means nothing."""
    unknown = options.keys() - _KNOWN
    if unknown:
        raise OptionError(
            f"@Stent.durable has no option {min(unknown)!r}", fix=f"there are: {', '.join(sorted(_KNOWN))}"
        )
    if options.get("name") is not None:
        checked_name("name", options["name"])
    limit = options.get("max_concurrent")
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_CONCURRENT
    ):
        raise OptionError(
            f"max_concurrent={limit!r} is no whole number from 1 to {MAX_CONCURRENT}",
            fix="leave it out for no limit",
            option="max_concurrent",
        )
    role = options.get("role")
    if role is not None and role not in get_args(Role):
        raise OptionError(f"role={role!r}", fix='use "orchestrator" or "activity", or leave it out', option="role")
    timeout, queue, version = options.get("timeout"), options.get("queue"), options.get("version")
    policy = options.get("retry_policy")
    return FunctionOptions(
        max_concurrent=limit,
        retry_policy=checked_policy(policy) if policy is not None else None,
        timeout_us=parse_duration(timeout, name="timeout") if timeout is not None else None,
        version=checked_name("version", version) if version is not None else None,
        queue=checked_name("queue", queue) if queue is not None else None,
        tags=checked_tags(options.get("tags", ())),
        priority=checked_priority(options.get("priority", 0)),
        role=cast("Role | None", role),
    )


_KNOWN = frozenset(
    {"max_concurrent", "retry_policy", "timeout", "version", "queue", "tags", "priority", "name", "role"}
)

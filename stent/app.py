"""`Stent`: the one name that users import. Its methods delegate; the work is on the floors below.

The static half is what durable code uses (`Stent.durable`, `Stent.map`, `Stent.sleep` ...). An instance is an executor:
one database, seen from outside of runs, with the workers that it was asked to serve.

A module that only defines durable functions imports this one. So what an executor needs besides (client, worker and
history) is imported where an executor is made or used.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from stent.backends import Backends, StoreBackend, backend_of
from stent.client.current import current
from stent.client.options import StartOptions
from stent.durable import calls, context, gathering
from stent.durable.decorator import DurableDecorator, durable
from stent.durable.function import Durable, bound_arguments, start_options
from stent.duration import Duration
from stent.errors import NotConfiguredError, UnregisteredFunctionError
from stent.ids import RandomIds
from stent.registry import default_registry

if TYPE_CHECKING:
    from stent.client.serving import WorkerLifecycle
    from stent.client.views import ExecutionState, Page
    from stent.history.events import Event
    from stent.history.fold import Status
    from stent.result import Result

P = ParamSpec("P")
R = TypeVar("R")

START_OPTIONS = ("expiry", "max_duration", "delay", "tags", "priority", "queue", "id", "connection")
EXIT_SIGTERM = 143  # 128 + 15, as a shell reports it


class Stent:
    """Durable functions, and the executor that runs them on a database."""

    backends = Backends

    durable: ClassVar[DurableDecorator] = staticmethod(durable)  # type: ignore[assignment]  # as it is called
    map: ClassVar[calls.MapCall] = staticmethod(calls.map)  # type: ignore[assignment]  # likewise
    map_as_completed: ClassVar[calls.MapAsCompletedCall] = staticmethod(calls.map_as_completed)  # type: ignore[assignment]  # likewise
    sleep = staticmethod(calls.sleep)
    gather: ClassVar[gathering.GatherCall] = staticmethod(gathering.gather)
    wait_for_signal = staticmethod(calls.wait_for_signal)
    now = staticmethod(calls.now)
    random = staticmethod(calls.random)
    uuid4 = staticmethod(calls.uuid4)
    patched = staticmethod(calls.patched)
    continue_as_new = staticmethod(calls.continue_as_new)
    context = staticmethod(context.context)

    def __init__(self, backend: StoreBackend | str) -> None:
        from stent.client.client import Client
        from stent.client.serving import Serving

        self.backend = _backend(backend)
        self._client = Client(self.backend, default_registry, self.backend.clock, RandomIds())
        self._serving = Serving(self._client)

    # -- set-up and end --------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, url: str | None = None) -> Stent:
        """The executor for a database URL or file name, by default the one in STENT_DATABASE_URL."""
        return cls(backend_of(url))

    @classmethod
    @contextlib.asynccontextmanager
    async def bootstrap(
        cls, backend: StoreBackend | str, *, serve: bool = True, **serve_options: Any
    ) -> AsyncIterator[Stent]:
        """Open the database, start a worker, make durable calls go there; on exit stop and close it all.

        `serve=False` starts no worker; other options are those of `serve`. The exit takes a bounded time even when
        orchestrators wait: they are released, not lost, and another worker goes on with them. On SIGTERM the block is
        left as by a cancellation, and the process ends with status 143.
        """
        from stent.client.serving import on_sigterm, worker_options

        executor = cls(backend)
        options = worker_options(**serve_options)
        await executor._client.link()
        current.push(executor._client)
        main = asyncio.current_task()
        is_terminated = False

        def terminate() -> None:
            nonlocal is_terminated
            is_terminated = True
            if main is not None:
                main.cancel()

        try:
            with on_sigterm(terminate) if serve else contextlib.nullcontext():
                try:
                    if serve:
                        await executor._serving.start(options, executor.create_worker_lifecycle())
                    yield executor
                finally:
                    current.remove(executor._client)
                    await executor.shutdown()
        except asyncio.CancelledError:
            if is_terminated:
                raise SystemExit(EXIT_SIGTERM) from None
            raise

    @classmethod
    def use(cls, executor: Stent | StoreBackend | str) -> Stent:
        """Send durable calls outside of runs to this executor from here on, until `Stent.reset()`."""
        used = executor if isinstance(executor, Stent) else cls(executor)
        current.push(used._client)
        return used

    @staticmethod
    def reset() -> None:
        """Forget what `use` was given: durable calls outside of runs are plain coroutines again."""
        current.clear()

    async def shutdown(self) -> None:
        """Stop the workers of this executor, and close the database. It is opened again when it is used again."""
        try:
            await self._serving.stop()
        finally:
            self._client.close()
            await asyncio.get_running_loop().run_in_executor(None, self.backend.release, self._client)

    @staticmethod
    def register_type(value_class: type, *, name: str | None = None, aliases: Iterable[str] = ()) -> None:
        """Allow values of a class that no durable function's module defines or mentions, such as a library's errors.

        `name` is how it is stored (default module:qualname), `aliases` are names that older stored values may have.
        OptionError for what cannot be stored: it must be a dataclass, pydantic model, enum, named tuple or exception.
        """
        default_registry.types.register(value_class, name, aliases)

    # -- serving ---------------------------------------------------------------------------------------------------

    async def serve(
        self,
        max_concurrency: int = 10,
        *,
        queues: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
        worker_id: str | None = None,
        lease_duration: Duration = timedelta(seconds=10),
        poll_interval: Duration = 1.0,
        grace: Duration = 1.0,
        until_idle: bool = False,
        lifecycle: WorkerLifecycle | None = None,
    ) -> None:
        """Work on runs and calls until cancelled, drained or, with `until_idle`, until nothing is left to do.

        `max_concurrency` bounds the bodies that run at a time; waiting orchestrators do not count. `queues` and `tags`
        narrow what is taken. `lease_duration` is how long others wait for a worker that went silent on another
        machine; `grace` how long running bodies may go on when it is drained, which SIGTERM does.
        """
        from stent.client.serving import on_sigterm, worker_options

        options = worker_options(
            max_concurrency=max_concurrency,
            queues=queues,
            tags=tags,
            lease_duration=lease_duration,
            poll_interval=poll_interval,
            grace=grace,
            until_idle=until_idle,
        )
        lifecycle = lifecycle or self.create_worker_lifecycle(worker_id)
        with on_sigterm(lifecycle.drain):
            await self._serving.serve(options, lifecycle)

    def create_worker_lifecycle(self, name: str | None = None) -> WorkerLifecycle:
        """A handle for `serve(lifecycle=...)`: its state, `wait_until_ready()` and `drain()`."""
        from stent.client.serving import WorkerLifecycle

        return WorkerLifecycle(name)

    def request_worker_drain(self, lifecycle: WorkerLifecycle | None = None) -> None:
        """Drain one worker of this executor, or all of them: `serve` returns when everything was given back."""
        self._serving.drain(lifecycle)

    async def wait_until_ready(self) -> None:
        """Wait until the workers that this executor was asked to serve take on work."""
        await self._serving.wait_until_ready()

    # -- runs ------------------------------------------------------------------------------------------------------

    async def dispatch(self, function: Durable[P, R] | str, *args: Any, **kwargs: Any) -> str:
        """Start a run; its id. The run is durable when this returns.

        Beside the function's own arguments: `id` (asked for twice, it is started once), `expiry` (its deadline, from
        now), `max_duration` (from when a worker begins), `delay`, `tags`, `priority`, `queue`. Where the function has a
        parameter of that name, the keyword is the function's, and `fn.options(...)` the way to give the option.

        `connection`: a connection or session of SQLAlchemy (or of sqlite3), in a transaction on the database of this
        executor. The run is written through it and begins when you commit; rolled back, there was no run.
        """
        used, arguments, options = _call(function, args, kwargs)
        return await self._client.start(used.__stent_function__, arguments, options)

    async def schedule(self, delay: Duration, function: Durable[P, R] | str, *args: Any, **kwargs: Any) -> str:
        """`dispatch`, to begin after `delay`."""
        used, arguments, options = _call(function, args, kwargs, delay=delay)
        return await self._client.start(used.__stent_function__, arguments, options)

    async def wait_for(self, execution_id: str, expiry: Duration | None = None) -> Result[Any]:
        """The outcome of a run as a Result, when it has one.

        Raises ExpiryError (a TimeoutError) after `expiry`, while the run goes on, and UnknownRunError.
        """
        return await self._client.wait_for(execution_id, expiry)

    async def state_of(self, execution_id: str) -> ExecutionState:
        """The state of a run: a text such as "running", with more in `.info`. UnknownRunError if there is none."""
        from stent.client.views import ExecutionState, info_of

        return ExecutionState.of(info_of(await self._client.get(execution_id)))

    async def result_of(self, execution_id: str) -> Result[Any]:
        """The outcome of a run that has ended; RunStateError while it goes on."""
        return await self._client.result_of(execution_id)

    async def history_of(self, execution_id: str) -> list[Event]:
        """The recorded events of a run, in order."""
        return await self._client.history_of(execution_id)

    async def cancel(self, execution_id: str, reason: str = "") -> bool:
        """Ask a run to stop; False if it had ended already. Its children and running activities stop with it."""
        return await self._client.cancel(execution_id, reason)

    async def send_signal(self, execution_id: str, name: str, value: Any = None, *, key: str | None = None) -> bool:
        """Send a named message to a run; it is kept until read, also before the run begins.

        A second one with the same `key` is the same message, and gives False. UnknownRunError for an unknown run,
        RunFinishedError for one that has ended.
        """
        return await self._client.send_signal(execution_id, name, value, key)

    async def list_executions(
        self,
        *,
        state: Status | Iterable[Status] | None = None,
        function: Durable[..., Any] | str | None = None,
        tags: Iterable[str] = (),
        queue: str | None = None,
        parent: str | None = None,
        roots_only: bool = False,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        id_prefix: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Runs, newest first, as `ExecutionInfo`; every filter narrows. `page.next_page` goes into `after`."""
        from stent.client.views import page_of, run_filter

        wanted = run_filter(
            state=state,
            function=function.__stent_function__.name if isinstance(function, Durable) else function,
            parent=parent,
            roots_only=roots_only,
            tags=tags,
            queue=queue,
            created_after=created_after,
            created_before=created_before,
            id_prefix=id_prefix,
            limit=limit,
            after=after,
        )
        return page_of(await self._client.list_runs(wanted), limit)

    async def queue_depth(self, queue: str | None = None) -> int:
        """How many runs and calls wait for a worker."""
        return await self._client.queue_depth(queue)


def _backend(given: object) -> StoreBackend:
    if isinstance(given, StoreBackend):
        return given
    if isinstance(given, str):
        return backend_of(given)
    raise NotConfiguredError(
        f"{given!r} is no backend", fix='Stent.backends.SQLiteBackend("app.db"), or a URL such as sqlite:///app.db'
    )


def _call(
    given: object, args: tuple[Any, ...], kwargs: dict[str, Any], **more: Any
) -> tuple[Durable[..., Any], Any, StartOptions]:
    """A call as it is started: the function with its options, and the encoded arguments."""
    function = Durable(default_registry.find(given)) if isinstance(given, str) else given
    if not isinstance(function, Durable):
        name = getattr(function, "__qualname__", repr(function))
        raise UnregisteredFunctionError(
            f"{name} is no durable function", fix=f"decorate it: @Stent.durable above {name}", name=name
        )
    options = {**_start_options(function, kwargs), **more}
    connection = options.pop("connection", None)
    used = function.options(**options) if options else function
    arguments = used.__stent_function__.encode_arguments(bound_arguments(used, args), kwargs)
    return used, arguments, replace(start_options(used), connection=connection)


def _start_options(function: Durable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Take the engine's options out of the keywords of a call; a parameter of the function comes first."""
    found = [name for name in START_OPTIONS if name in kwargs]
    if not found:
        return {}
    own = inspect.signature(function.__stent_function__.body).parameters
    return {name: kwargs.pop(name) for name in found if name not in own}

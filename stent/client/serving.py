"""The workers of one executor: started, watched, drained, stopped.

Rules of this file:
- stopping is bounded: waiting orchestrators are given back at once, bodies get their grace and no more;
- SIGTERM drains, where nobody else has claimed that signal; it is given back afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from stent.client.client import Client
from stent.duration import Duration, parse_duration
from stent.errors import OptionError
from stent.log import get_logger
from stent.worker.worker import Worker, WorkerOptions

log = get_logger(__name__)

MAX_CONCURRENCY = 100_000
MIN_LEASE_US = 300_000  # renewed at a third of it: below that a short pause of the machine costs every lease
MIN_POLL_US = 20_000  # hints are looked for that often, and cost less; without a pause it would look for ever


@dataclass(slots=True, eq=False)
class WorkerLifecycle:
    """One worker as its owner sees it: `state`, `wait_until_ready()` and `drain()`."""

    name: str | None = None
    state: Literal["new", "starting", "ready", "draining", "stopped"] = "new"
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _worker: Worker | None = None

    async def wait_until_ready(self) -> None:
        """Wait until the worker takes on work."""
        await self._ready.wait()

    def drain(self) -> None:
        """Claim nothing more, give waiting runs back, let bodies finish within their grace, end."""
        if self.state in ("starting", "ready"):
            self.state = "draining"
        if self._worker is not None:
            self._worker.stop()

    def attach(self, worker: Worker) -> None:
        self._worker = worker
        if self.state == "draining":
            worker.stop()

    async def follow(self) -> None:
        """Turn to ready when the worker is."""
        assert self._worker is not None, "a worker was attached"
        await self._worker.is_ready.wait()
        if self.state == "starting":
            self.state = "ready"
        self._ready.set()


class Serving:
    """All workers of one executor."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lifecycles: list[WorkerLifecycle] = []
        self._begun = asyncio.Event()
        self._background: dict[WorkerLifecycle, asyncio.Task[None]] = {}

    async def serve(self, options: WorkerOptions, lifecycle: WorkerLifecycle) -> None:
        """Work until drained or, with `until_idle`, until nothing is left to do."""
        lifecycle.state = "starting"
        self._lifecycles.append(lifecycle)
        self._begun.set()
        try:
            link = await self._client.link()
            worker = Worker(link, options, worker_name(lifecycle.name, link.ids.worker_id()))
            lifecycle.attach(worker)
            following = asyncio.ensure_future(lifecycle.follow())
            try:
                await worker.run()
            finally:
                following.cancel()
        finally:
            lifecycle.state = "stopped"
            self._lifecycles.remove(lifecycle)
            if not self._lifecycles:
                self._begun.clear()

    async def start(self, options: WorkerOptions, lifecycle: WorkerLifecycle) -> None:
        """Work in the background; returns when the worker takes on work, or raises what kept it from that."""
        task = asyncio.create_task(self.serve(options, lifecycle), name="stent-worker")
        self._background[lifecycle] = task
        ready = asyncio.ensure_future(lifecycle.wait_until_ready())
        try:
            await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if task.done():
            del self._background[lifecycle]
            await task

    async def wait_until_ready(self) -> None:
        """Wait until every worker that was begun takes on work."""
        await self._begun.wait()
        for lifecycle in list(self._lifecycles):
            await lifecycle.wait_until_ready()

    def drain(self, lifecycle: WorkerLifecycle | None = None) -> None:
        """Drain one worker, or all of them."""
        for each in [lifecycle] if lifecycle is not None else list(self._lifecycles):
            each.drain()

    async def stop(self) -> None:
        """Drain all workers and wait for the ones in the background; raises what one of them failed with."""
        self.drain()
        background, self._background = self._background, {}
        failures = await asyncio.gather(*background.values(), return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure


def worker_name(name: str | None, unique: str) -> str:
    """The id of a worker: what the owner calls it, and a part that no other boot of it shares."""
    return f"{name}-{unique}" if name else unique


def worker_options(
    max_concurrency: int = 10,
    *,
    queues: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    lease_duration: Duration = timedelta(seconds=10),
    poll_interval: Duration = 1.0,
    grace: Duration = 1.0,
    until_idle: bool = False,
) -> WorkerOptions:
    """The options of `serve` in the engine's units; OptionError for what means nothing."""
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
        raise OptionError(f"max_concurrency={max_concurrency!r} is no whole number", option="max_concurrency")
    if not 1 <= max_concurrency <= MAX_CONCURRENCY:
        raise OptionError(f"max_concurrency={max_concurrency} is not within 1 and {MAX_CONCURRENCY}")
    lease_us = parse_duration(lease_duration, name="lease_duration")
    if lease_us < MIN_LEASE_US:
        raise OptionError(f"lease_duration is shorter than {MIN_LEASE_US // 1000} ms", fix="10 seconds is the default")
    poll_interval_us = parse_duration(poll_interval, name="poll_interval")
    if poll_interval_us < MIN_POLL_US:
        raise OptionError(f"poll_interval is shorter than {MIN_POLL_US // 1000} ms", fix="1 second is the default")
    return WorkerOptions(
        slots=max_concurrency,
        queues=_names("queues", queues),
        tags=_names("tags", tags),
        lease_us=lease_us,
        poll_interval_us=poll_interval_us,
        grace_us=parse_duration(grace, name="grace"),
        until_idle=until_idle,
    )


def _names(option: str, given: object) -> frozenset[str] | None:
    if given is None:
        return None
    if isinstance(given, str):
        raise OptionError(f"{option}={given!r} is one text", fix=f"{option}=[{given!r}]", option=option)
    names: frozenset[Any] = frozenset(given)  # type: ignore[call-overload]  # any iterable
    if not names or not all(isinstance(name, str) and name for name in names):
        raise OptionError(f"{option} should be texts, at least one", fix="leave it out for all", option=option)
    return names


@contextlib.contextmanager
def on_sigterm(react: Callable[[], None]) -> Iterator[None]:
    """Call `react` on the running loop when SIGTERM comes, if this is the main thread and the signal is free."""
    is_free = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not is_free:
        yield
        return
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, react)
    except NotImplementedError:  # a loop without signals
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

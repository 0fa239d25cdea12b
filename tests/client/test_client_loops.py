"""One backend, several event loops of one process: whoever waits is told, whichever loop did the work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stent import Stent
from stent.backends import StoreBackend
from stent.worker import link

NEVER_US = 3_600_000_000


@Stent.durable(role="activity")
async def double(number: int) -> int:
    return number * 2


@Stent.durable
async def answered() -> str:
    return await Stent.wait_for_signal("answer")


@contextmanager
def serving_elsewhere(backend: StoreBackend) -> Iterator[None]:
    """A worker on an event loop of its own thread."""
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        executor = Stent(backend)
        stop.append(lambda: loop.call_soon_threadsafe(executor.request_worker_drain))
        loop = asyncio.get_running_loop()
        serving = asyncio.ensure_future(executor.serve())
        await executor.wait_until_ready()
        ready.set()
        await serving
        await executor.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        stop[0]()
        thread.join(10)


@pytest.mark.slow
async def test_a_run_on_another_loop_needs_no_poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "POLL_INTERVAL_US", NEVER_US)
    backend = Stent.backends.SQLiteBackend(tmp_path / "a.db")
    client = Stent(backend)
    with serving_elsewhere(backend):
        run = await client.dispatch(double, 4)
        assert 8 == (await client.wait_for(run, 10)).unwrap()
        waiting = await client.dispatch(answered)
        await client.send_signal(waiting, "answer", "yes")
        assert "yes" == (await client.wait_for(waiting, 10)).unwrap()
    await client.shutdown()

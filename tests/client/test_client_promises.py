"""What a client was told is done is durable: no answer comes before its commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from stent import Stent
from stent.backends import StoreBackend
from stent.clock import SystemClock
from stent.history.operations import Operation, Outcome, PutMessage, StartRun
from stent.history.sql.sqlite import SQLiteStore


class Gated(SQLiteStore):
    """Lets no wish of a client through while its gate is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        if any(isinstance(operation, StartRun | PutMessage) for operation in operations):
            assert self.gate.wait(10)
        return super().commit(operations)


@Stent.durable
async def listen() -> str:
    return str(await Stent.wait_for_signal("go"))


WISHES: dict[str, Callable[[Stent], Awaitable[object]]] = {
    "dispatch": lambda executor: executor.dispatch(listen),
    "dispatch with an id": lambda executor: executor.dispatch(listen, id="other"),
    "signal": lambda executor: executor.send_signal("run", "go", 1),
    "signal with a key": lambda executor: executor.send_signal("run", "go", 1, key="k"),
    "cancel": lambda executor: executor.cancel("run"),
}


@pytest.mark.parametrize("serve", [True, False], ids=["with a worker", "without"])
@pytest.mark.parametrize("wish", WISHES)
async def test_nothing_is_acknowledged_before_it_is_written(tmp_path: Path, wish: str, serve: bool) -> None:
    path = tmp_path / "stent.db"
    store = Gated(path)
    backend = StoreBackend(f"sqlite:///{path}", lambda: store, SystemClock())
    async with Stent.bootstrap(backend, serve=serve) as executor:
        await executor.dispatch(listen, id="run")
        store.gate.clear()
        asking = asyncio.ensure_future(WISHES[wish](executor))
        try:
            await asyncio.wait([asking], timeout=0.05)
            assert not asking.done()
        finally:
            store.gate.set()
        await asyncio.wait_for(asking, 10)

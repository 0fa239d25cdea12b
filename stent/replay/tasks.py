"""Tasks and futures of an orchestrator, hashed by number.

asyncio keeps tasks in sets (`wait`, `as_completed`, `TaskGroup`). By default a set of futures iterates in the order of
their addresses, which is another one on every run; with these hashes it iterates in the same order on every replay.
The high bits of a hash are a salt of the run: asyncio also keeps all tasks of a process in one WeakSet, and the same
small numbers from thousands of runs would collide there.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

R = TypeVar("R")

_make_future = asyncio.Future.__init__


class RunFuture(asyncio.Future[Any]):
    """A plain future of an orchestrator."""

    __slots__ = ("_hash",)

    def __init__(self, *, loop: Any) -> None:
        self._hash: int = loop.next_hash()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._hash


class RunTask(asyncio.Task[Any]):
    """A task of an orchestrator. `path` is its place in the tree of tasks: "0" is the function itself."""

    __slots__ = ("_hash", "child_count", "path", "run_context")

    def __init__(
        self, coro: Coroutine[Any, Any, Any], *, loop: Any, name: str | None, context: Context, path: str
    ) -> None:
        self._hash: int = loop.next_hash()
        self.path = path
        self.child_count = 0
        self.run_context = context
        super().__init__(coro, loop=loop, name=name or f"task-{path}", context=context)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._hash


class DurableFuture(asyncio.Future[Any]):
    """The answer to a durable call, a map or a signal wait.

    It takes its number when the call is made, and the task factory hands it back as it is wherever asyncio wants a
    task of it. It must not look like a coroutine (`asyncio.wait` refuses those), so it has no `send` and no `throw`.
    """

    __slots__ = ("_hash", "number")

    def __init__(self, number: int, *, loop: Any) -> None:
        self._hash: int = loop.next_hash()
        self.number = number
        _make_future(self, loop=loop)  # one is made for each call, and super() takes as long as the rest

    def __hash__(self) -> int:
        return self._hash

    def cancel(self, msg: Any = None) -> bool:
        """Stop waiting at once, and ask that the work behind the call be stopped."""
        if self.done():
            return False
        self.get_loop().host.withdraw(self)  # type: ignore[attr-defined]  # always a ReplayLoop
        return super().cancel(msg)

    def close(self) -> None:
        """What asyncio does to a coroutine that it will not run."""
        self.cancel()

    # Enough of a task for everything in asyncio that was promised one.

    def get_name(self) -> str:
        return f"call-{self.number}"

    def set_name(self, name: object) -> None:
        """Calls are named by their number."""

    def get_coro(self) -> None:
        return None

    def get_context(self) -> None:
        return None

    def get_stack(self, *, limit: int | None = None) -> list[Any]:
        return []

    def cancelling(self) -> int:
        return 0

    def uncancel(self) -> int:
        return 0


if TYPE_CHECKING:

    class Call(asyncio.Future[R], Coroutine[None, None, R]):
        """For type checkers: awaitable, and accepted wherever asyncio takes a coroutine or a future.

        As a `Coroutine[Any, Any, R]` the elements of `asyncio.gather` would be inferred as Any.
        """

        def __await__(self) -> Generator[Any, None, R]: ...


def _gathering_hash(self: Any) -> int:
    """Hash of the future that `asyncio.gather` returns: by number on our loop, by address on any other."""
    known: int | None = getattr(self, "_stent_hash", None)
    if known is None:
        loop = self.get_loop()
        known = loop.next_hash() if hasattr(loop, "next_hash") else object.__hash__(self)
        self._stent_hash = known
    return known


# The one change to asyncio: without it a set of gathers has another order on every run, and no hook reaches it.
asyncio.tasks._GatheringFuture.__hash__ = _gathering_hash  # type: ignore[attr-defined]  # a private class

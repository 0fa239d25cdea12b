"""The activity that the running code belongs to, for those who ask and need no more of a worker."""

from __future__ import annotations

from asyncio import Future
from contextvars import ContextVar
from typing import Any, Protocol

from stent.worker.slots import Attempt


class RunningBody(Protocol):
    """What the code of a body may know of it."""

    attempt: Attempt

    def park(self) -> Future[Any]:
        """A durable call was made in this body: it is an orchestrator, and begins again as one."""
        ...


current_body: ContextVar[RunningBody | None] = ContextVar("stent_current_body", default=None)
"""Set where the worker runs a body."""

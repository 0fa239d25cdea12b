"""Playing programs needs an event loop of its own, also where one runs already."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def apart(action: Callable[[], T]) -> T:
    """Do it here, or, if an event loop runs here, in a thread: the loop is the test's, and waits for this one."""
    if asyncio._get_running_loop() is None:
        return action()
    with ThreadPoolExecutor(1, "stent-explore") as thread:
        return thread.submit(contextvars.copy_context().run, action).result()

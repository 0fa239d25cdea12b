"""Bodies of activities without a worker: run to their end at once, by hand.

Rules of this file:
- a body runs in a context of its own, as the activity that it is, with a task and an event loop around it;
- one that waits for anything, or turns out to be no activity, raises NeedsEngine, and is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import Any

from stent.codec import Payload, encode
from stent.testing.doubles import Doubles
from stent.testing.loop import VirtualLoop
from stent.testing.stage import NeedsEngine
from stent.worker.bodies import Body
from stent.worker.current import current_body
from stent.worker.slots import Attempt


class BodiesByHand:
    """Runs bodies, one after the other."""

    def __init__(self, loop: VirtualLoop, doubles: Doubles) -> None:
        self._loop = loop
        self._doubles = doubles

    def run(self, attempt: Attempt) -> Payload:
        """The encoded value of a body; what it raises is raised."""
        return contextvars.copy_context().run(self._run_here, Body(attempt))

    def _run_here(self, body: Body) -> Payload:
        """Run a body in its own context: its encoded value."""
        current_body.set(body)
        attempt = body.attempt
        function = attempt.function
        assert attempt.arguments is not None, "a single call has them"
        args, kwargs = function.decode_arguments(attempt.arguments)
        value = self._doubles.begin(function, attempt, args, kwargs)
        if function.is_async:
            value = self._stepped(value, body)
        return encode(value, function.types, where=f"the result of {function.display_name}()")

    def _stepped(self, coroutine: Any, body: Body) -> Any:
        """What a coroutine returns without having waited."""
        loop, task = self._loop, self._loop.idle_task()
        asyncio._set_running_loop(loop)
        asyncio.tasks._enter_task(loop, task)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            if not body.is_promoted:
                return stop.value
        except BaseException:  # border: the user's function; raised on, unless it only shows that this is no activity
            if not body.is_promoted:
                raise
        finally:
            asyncio.tasks._leave_task(loop, task)
            asyncio._set_running_loop(None)
        with contextlib.suppress(BaseException):  # border: what is thrown away may say what it likes
            coroutine.close()
        raise NeedsEngine("a body waits, or makes durable calls")

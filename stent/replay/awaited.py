"""What a program waits for, and how an event answers it: calls, maps, timers and signals by number.

Rules of this file:
- an answer for something that nobody waits for any longer is recorded, and changes nothing;
- what is answered is forgotten, so that a run of any length stays small;
- an answer that cannot be read is the error of whoever awaits it, never of the engine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol

from stent.codec import Payload, TypeRegistry, decode, decode_exception
from stent.errors import SerializationError
from stent.history.events import BatchItemsCompleted, SignalReceived
from stent.replay.batches import BatchFuture
from stent.replay.loop import ReplayLoop
from stent.replay.raisable import raisable
from stent.replay.tasks import DurableFuture


class CallFuture(DurableFuture):
    """The answer to one durable call. `call_future` makes it."""

    __slots__ = ()

    # asyncio's own, in C: one is made with every call, and a method in Python around it takes as long again.
    __init__ = asyncio.Future.__init__  # call_future does the rest


def call_future(number: int, loop: ReplayLoop) -> CallFuture:
    """The future of one call, made in the order of the calls."""
    future: CallFuture = CallFuture(loop=loop)  # see above
    future._hash = loop.next_hash()
    future.number = number
    return future


class SignalFuture(DurableFuture):
    """The next signal of a name."""

    __slots__ = ("name",)

    def __init__(self, number: int, name: str, *, loop: Any) -> None:
        self.name = name
        super().__init__(number, loop=loop)


class TimerHost(Protocol):
    """What a timer asks of the execution that it belongs to."""

    started_at_us: int

    def cancel_timer(self, number: int) -> None:
        """The program no longer waits for a timer."""
        ...


class Timer:
    """A durable timer, as asyncio sees it."""

    __slots__ = ("args", "callback", "context", "due_us", "host", "number")

    def __init__(self, host: TimerHost, number: int, due_us: int, call: tuple[Any, Any, Context]) -> None:
        self.host = host
        self.number = number
        self.due_us = due_us
        self.callback: Callable[..., object] | None
        self.callback, self.args, self.context = call

    def when(self) -> float:
        """Due time in seconds of `loop.time()`."""
        return (self.due_us - self.host.started_at_us) / 1_000_000

    def cancelled(self) -> bool:
        return self.callback is None

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self.host.cancel_timer(self.number)


class Awaited:
    """Everything of one program that an event can answer."""

    __slots__ = ("_kept", "_listening", "calls", "timers", "types")

    def __init__(self, types: TypeRegistry) -> None:
        self.types = types
        self.calls: dict[int, DurableFuture] = {}
        self.timers: dict[int, Timer] = {}
        self._kept: dict[str, deque[SignalReceived]] = {}
        self._listening: dict[str, deque[SignalFuture]] = {}

    def is_empty(self) -> bool:
        """Whether no event can change anything for the program."""
        return not (self.calls or self.timers or any(self._listening.values()))

    def clear(self) -> None:
        """Wait for nothing any longer."""
        self.calls.clear()
        self.timers.clear()
        self._listening.clear()

    # -- answers ---------------------------------------------------------------------------------------------------

    def complete(self, number: int, result: Payload) -> None:
        """A call has a result."""
        future = self.calls.pop(number, None)
        if future is not None and not future.done():
            self._answer(future, result)

    def fail(self, number: int, error: Payload) -> None:
        """A call has failed for good."""
        future = self.calls.pop(number, None)
        if future is None or future.done():
            return
        try:
            future.set_exception(raisable(decode_exception(error, self.types)))
        except SerializationError as refusal:
            future.set_exception(refusal)

    def complete_items(self, event: BatchItemsCompleted) -> None:
        """Items of a map have their outcomes."""
        batch = self.calls.get(event.call)
        if isinstance(batch, BatchFuture) and batch.add(event, self.types):
            del self.calls[event.call]

    def fire(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        """A timer is due."""
        timer = self.timers.pop(number, None)
        if timer is None or timer.callback is None:
            return
        callback, timer.callback = timer.callback, None
        loop.call_soon(callback, *timer.args, context=timer.context)

    def receive(self, signal: SignalReceived) -> None:
        """A signal has come: for whoever has listened longest, or to be kept."""
        listening = self._listening.get(signal.name)
        while listening:
            future = listening.popleft()
            if not future.done():
                self._answer(future, signal.value)
                return
        self._kept.setdefault(signal.name, deque()).append(signal)

    def unread(self) -> list[SignalReceived]:
        """The signals that were kept and that nobody has asked for, in the order in which they came."""
        return sorted((signal for kept in self._kept.values() for signal in kept), key=lambda signal: signal.seq)

    def listen(self, future: SignalFuture) -> None:
        """Somebody wants the next signal of a name: one that has come already, or the next to come."""
        kept = self._kept.get(future.name)
        if kept:
            self._answer(future, kept.popleft().value)
        else:
            self._listening.setdefault(future.name, deque()).append(future)

    def withdraw(self, future: DurableFuture) -> bool:
        """Nobody waits for a future any longer. True if there is work behind it that might be stopped."""
        if isinstance(future, SignalFuture):
            listening = self._listening.get(future.name)
            if listening is not None and future in listening:
                listening.remove(future)
            return False
        return self.calls.pop(future.number, None) is not None

    def _answer(self, future: DurableFuture, value: Payload) -> None:
        try:
            future.set_result(decode(value, self.types))
        except SerializationError as refusal:
            future.set_exception(refusal)

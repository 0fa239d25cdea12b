"""The durable functions of a test: those of the process, watched, and some of them replaced.

Rules of this file:
- nothing of the user's is changed: the engine is handed copies of the functions, the process keeps its own;
- an orchestrator always runs its own code: only what an activity would do for real can be replaced;
- a body is noted at the moment it begins, so that one that a crash has cut off is there twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, TypeAlias
from weakref import WeakKeyDictionary

from stent.codec import encode
from stent.durable.function import Durable, is_count
from stent.errors import OptionError, StentError, UnregisteredFunctionError
from stent.registry import Function, Registry
from stent.replay.roles import predict_role
from stent.worker.current import current_body
from stent.worker.slots import Attempt


class Arguments(NamedTuple):
    """What one body was called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


Place: TypeAlias = tuple[str, int, int, int]


class Begun(NamedTuple):
    """A body that has begun: which function, for which call of which run, at which attempt."""

    function: str
    run_id: str
    call: int
    item: int
    attempt: int
    arguments: Arguments

    @property
    def place(self) -> Place:
        """Which attempt of which call, or item, of which run."""
        return self.run_id, self.call, self.item, self.attempt


class Repeated(NamedTuple):
    """A body that began again for an attempt that had begun before."""

    begun: Begun
    gave: tuple[str, ...] = ()
    """What its bodies returned or raised, if that was not always the same."""


@dataclass(slots=True)
class _Double:
    """What a function does instead of its own: first the answers, each once, then `always`, then its own again."""

    answers: deque[Callable[..., Any]] = field(default_factory=deque)
    always: Callable[..., Any] | None = None

    def next(self) -> Callable[..., Any] | None:
        return self.answers.popleft() if self.answers else self.always


class Doubles(Registry):
    """A view of a registry in which every body is watched."""

    def __init__(self, base: Registry) -> None:
        self._base = base
        self.types = base.types
        self.begun: list[Begun] = []
        self.hanging = 0
        """How many bodies were told to hang, and do."""
        self.gate: Callable[[str], Awaitable[None]] | None = None
        """Waited for before a body of this name begins."""
        self.fail_next: BaseException | type[BaseException] | None = None
        """What the next body raises instead of beginning."""
        self.on_end: Callable[[], None] | None = None
        """Called when a body has returned or raised, before the engine hears of it; for a plain def in its thread."""
        self._gave: dict[Place, dict[object, str]] = {}
        """What the bodies of an attempt gave, each once: as it is stored, and as it is told."""
        self._copies: WeakKeyDictionary[Function, Function] = WeakKeyDictionary()
        self._doubles: dict[str, _Double] = {}

    def __repr__(self) -> str:
        return f"<doubles of {sorted(self._doubles)}>"

    # -- as a registry ---------------------------------------------------------------------------------------------

    @property
    def generation(self) -> int:  # type: ignore[override]  # it is the base that counts
        return self._base.generation

    def add(self, function: Function) -> None:
        self._base.add(function)

    def get(self, name: str) -> Function | None:
        function = self._base.get(name)
        return self._watched(function) if function is not None else None

    def find(self, name: str) -> Function:
        return self._watched(self._base.find(name))

    def names(self) -> frozenset[str]:
        return self._base.names()

    def limits(self) -> tuple[tuple[str, int], ...]:
        return self._base.limits()

    def __iter__(self) -> Iterator[Function]:
        return iter(self._base)

    # -- replacing -------------------------------------------------------------------------------------------------

    def result(self, function: object, value: Any, *, times: int | None = None) -> None:
        """Let an activity return this instead of running, so many `times` or from here on."""
        self.replace(function, lambda *_, **__: value, times=times)

    def fail(self, function: object, error: BaseException | type[BaseException], *, times: int | None = 1) -> None:
        """Let an activity raise this instead of running: so many `times`, or from here on with None."""
        self.replace(function, lambda *_, **__: throw(error), times=times)

    def hang(self, function: object, *, times: int | None = None) -> None:
        """Let an activity never answer. Time passes all the same, so that a time limit around it is reached."""
        if not record_of(function).is_async:
            raise OptionError("a plain def cannot hang: nobody could stop its thread", fix="make it an async def")
        self.replace(function, self._hang, times=times)

    def replace(self, function: object, double: Callable[..., Any], *, times: int | None = None) -> None:
        """Let an activity do this instead; it is called with the same arguments, and may be an `async def`."""
        record = record_of(function)
        if predict_role(record) == "orchestrator":
            raise OptionError(
                f"{record.display_name}() is an orchestrator: it is replayed, and a double would not fit",
                fix="replace the activities that it calls",
            )
        if times is not None and not is_count(times):
            raise OptionError(f"times={times!r} is no whole number from 1", option="times")
        known = self._doubles.setdefault(record.name, _Double())
        if times is None:
            known.always = double
        else:
            known.answers.extend([double] * times)

    def restore(self, function: object) -> None:
        """Let a function do its own again."""
        self._doubles.pop(record_of(function).name, None)

    async def _hang(self, *_: Any, **__: Any) -> None:
        self.hanging += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.hanging -= 1

    # -- watching --------------------------------------------------------------------------------------------------

    def calls(self, function: object) -> list[Arguments]:
        """The arguments of every body of a function that began, in order."""
        name = record_of(function).name
        return [begun.arguments for begun in self.begun if begun.function == name]

    def repeated(self) -> list[Repeated]:
        """Bodies that began again for an attempt that had begun before, and what they gave if that was not the same."""
        seen: Counter[Place] = Counter()
        found = []
        for begun in self.begun:
            seen[begun.place] += 1
            if seen[begun.place] == 2:
                gave = tuple(self._gave.get(begun.place, {}).values())
                found.append(Repeated(begun, gave if len(gave) > 1 else ()))
        return found

    def _watched(self, function: Function) -> Function:
        known = self._copies.get(function)
        if known is None:
            predict_role(function)  # by its own code; the copy keeps the answer
            known = self._copies[function] = copy.copy(function)
            known.body = self._probe(function)
        return known

    def _probe(self, function: Function) -> Callable[..., Any]:
        body, name = function.body, function.name

        def probe(*args: Any, **kwargs: Any) -> Any:
            running = current_body.get()
            if running is None:
                return body(*args, **kwargs)  # the orchestrator itself, live or replayed
            if self.gate is not None and function.is_async:
                return self._gated(self.gate(name), function, running.attempt, args, kwargs)
            return self.begin(function, running.attempt, args, kwargs)

        return probe

    async def _gated(
        self, gate: Awaitable[None], function: Function, attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        await gate
        return await self.begin(function, attempt, args, kwargs)

    def begin(self, function: Function, attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A body begins: its own, or what stands for it."""
        error, self.fail_next = self.fail_next, None
        if error is not None:
            throw(error)
        name = function.name
        arguments = Arguments(args, dict(kwargs))
        begun = Begun(name, attempt.run_id, attempt.call, attempt.item, attempt.attempt, arguments)
        self.begun.append(begun)
        double = self._doubles.get(name)
        instead = double.next() if double is not None else None
        body = function.body
        if instead is not None:
            body = functools.partial(_awaited, instead) if function.is_async else instead
        if self.on_end is None:
            return body(*args, **kwargs)
        if function.is_async:
            return self._until_end(body(*args, **kwargs), function, begun)
        with self._noting(function, begun) as note:
            note(value := body(*args, **kwargs))
        return value

    async def _until_end(self, body: Awaitable[Any], function: Function, begun: Begun) -> Any:
        with self._noting(function, begun) as note:
            note(value := await body)
        return value

    @contextlib.contextmanager
    def _noting(self, function: Function, begun: Begun) -> Iterator[Callable[[Any], None]]:
        """Note what a body gives. One that was stopped has not ended: what it would have done counts for nothing."""
        gave = self._gave.setdefault(begun.place, {})

        def note(value: Any) -> None:
            with contextlib.suppress(StentError):  # what cannot be stored is told to the orchestrator
                gave.setdefault(encode(value, function.types), repr(value))

        try:
            yield note
        except Exception as error:  # border: the user's function; what it raises is its answer
            gave.setdefault(repr(error), repr(error))
            self._end()
            raise
        self._end()

    def _end(self) -> None:
        if self.on_end is not None:
            self.on_end()


async def _awaited(answer: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    value = answer(*args, **kwargs)
    return await value if asyncio.iscoroutine(value) else value


def throw(error: BaseException | type[BaseException]) -> NoReturn:
    """Raise an error as if for the first time: the same object collects the places of all its raises."""
    raise error.with_traceback(None) if isinstance(error, BaseException) else error


def record_of(function: object) -> Function:
    """The record behind a durable function."""
    if not isinstance(function, Durable):
        raise UnregisteredFunctionError(f"{function!r} is no durable function", fix="decorate it: @Stent.durable")
    return function.__stent_function__

"""Durable functions for Python: ordinary async def, ordinary asyncio.gather, and every run survives kill -9.

Names are imported when they are first used: the pytest plugin and the command line live in this package, and must not
cost a project, or a `stent --help`, the whole engine.
"""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from stent import errors as errors
    from stent.app import Stent as Stent
    from stent.client.serving import WorkerLifecycle as WorkerLifecycle
    from stent.client.views import (
        ExecutionInfo as ExecutionInfo,
        ExecutionState as ExecutionState,
        Page as Page,
    )
    from stent.durable.context import RunContext as RunContext
    from stent.durable.function import Durable as Durable
    from stent.errors import (
        ActivityError as ActivityError,
        DivergenceError as DivergenceError,
        ExpiryError as ExpiryError,
        RunCancelledError as RunCancelledError,
        SerializationError as SerializationError,
        StentError as StentError,
        UnknownRunError as UnknownRunError,
        UnregisteredFunctionError as UnregisteredFunctionError,
    )
    from stent.result import Result as Result
    from stent.retry import RetryPolicy as RetryPolicy

_PLACES = {
    "Durable": "stent.durable.function",
    "ExecutionInfo": "stent.client.views",
    "ExecutionState": "stent.client.views",
    "Page": "stent.client.views",
    "Result": "stent.result",
    "RetryPolicy": "stent.retry",
    "RunContext": "stent.durable.context",
    "Stent": "stent.app",
    "WorkerLifecycle": "stent.client.serving",
}
"""Where the names are that are no errors."""


if not _typing.TYPE_CHECKING:  # else a type checker would believe in every name

    def __getattr__(name: str) -> object:
        if name == "errors":
            return _importlib.import_module("stent.errors")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(_importlib.import_module(_PLACES.get(name, "stent.errors")), name)
        globals()[name] = found  # the next time it is found at once
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "ActivityError",
    "DivergenceError",
    "Durable",
    "ExecutionInfo",
    "ExecutionState",
    "ExpiryError",
    "Page",
    "Result",
    "RetryPolicy",
    "RunCancelledError",
    "RunContext",
    "SerializationError",
    "Stent",
    "StentError",
    "UnknownRunError",
    "UnregisteredFunctionError",
    "WorkerLifecycle",
    "errors",
]

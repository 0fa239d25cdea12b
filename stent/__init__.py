"""Durable functions for Python: ordinary async def, ordinary asyncio.gather, and every run survives kill -9."""

from __future__ import annotations

from stent import errors as errors
from stent.app import Stent as Stent
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

__all__ = [
    "ActivityError",
    "DivergenceError",
    "ExpiryError",
    "Result",
    "RetryPolicy",
    "RunCancelledError",
    "SerializationError",
    "Stent",
    "StentError",
    "UnknownRunError",
    "UnregisteredFunctionError",
    "errors",
]

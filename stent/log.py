"""Structured logs under the name "stent", through structlog.

Nothing is configured at import. An application that has configured structlog gets our events in its own way; one that
has not gets them through the standard library's logging, where warnings and errors reach stderr. Payloads are never
logged; replay is silent.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any


class Logger:
    """A structlog logger that is made when it is first used: importing structlog takes as long as half of Stent."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **values: Any) -> None:
        _logger(self._name).debug(event, **values)

    def info(self, event: str, **values: Any) -> None:
        _logger(self._name).info(event, **values)

    def warning(self, event: str, **values: Any) -> None:
        _logger(self._name).warning(event, **values)

    def error(self, event: str, **values: Any) -> None:
        _logger(self._name).error(event, **values)


def get_logger(name: str) -> Logger:
    """The logger of a module: `log = get_logger(__name__)`."""
    return Logger(name)


@cache
def _logger(name: str) -> Any:
    import structlog

    if structlog.is_configured():
        return structlog.get_logger(name)
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )

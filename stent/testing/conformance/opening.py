"""Views of a store, as several processes have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from stent.history.store import Store

Opener: TypeAlias = Callable[[], Store]
"""Each call gives the view of another process on the same data."""


@contextmanager
def opened(opener: Opener, count: int = 1) -> Iterator[list[Store]]:
    """So many views of one store, initialised, and closed at the end."""
    stores = [opener() for _ in range(count)]
    try:
        for store in stores:
            store.initialise()
        yield stores
    finally:
        for store in stores:
            store.close()

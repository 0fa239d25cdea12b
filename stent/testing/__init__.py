"""Tools for the tests of durable functions: an engine in memory with virtual time, doubles, crashes, an explorer.

    async with stent.testing.engine() as stent:
        assert await order(7) == "shipped"

Names are imported when they are first used, so that the pytest plugin costs nothing where it is not used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stent.testing.engines import Engine as Engine, engine as engine
    from stent.testing.explorer import explore as explore
    from stent.testing.findings import Explored as Explored, ScheduleError as ScheduleError
    from stent.testing.shadow import check_history as check_history

_PLACES = {
    "Engine": "stent.testing.engines",
    "engine": "stent.testing.engines",
    "explore": "stent.testing.explorer",
    "Explored": "stent.testing.findings",
    "ScheduleError": "stent.testing.findings",
    "check_history": "stent.testing.shadow",
}


if not TYPE_CHECKING:  # else a type checker would believe in every name

    def __getattr__(name: str) -> object:
        place = _PLACES.get(name)
        if place is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(place), name)


__all__ = ["Engine", "Explored", "ScheduleError", "check_history", "engine", "explore"]

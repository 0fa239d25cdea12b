"""The ways in which a turn can be observed on this interpreter, and how a test takes each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stent.replay.observing import TOOL_IDS

monitoring: Any = getattr(sys, "monitoring", None)
WAYS = ("profile",) if monitoring is None else ("profile", "monitoring")


@contextmanager
def observed_by(way: str) -> Iterator[None]:
    """A turn takes this way in the block: a profiler is for where all tools of `sys.monitoring` are somebody's."""
    taken = TOOL_IDS if way == "profile" and monitoring is not None else ()
    for tool in taken:
        monitoring.use_tool_id(tool, "somebody's")
    try:
        yield
    finally:
        for tool in taken:
            monitoring.free_tool_id(tool)

"""The ways in which a turn can be observed on this interpreter, and how a test takes each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

monitoring: Any = getattr(sys, "monitoring", None)
WAYS = ("profile",) if monitoring is None else ("profile", "monitoring")


@contextmanager
def observed_by(way: str) -> Iterator[None]:
    """A turn takes this way in the block: `sys.monitoring` is for where a profiler is somebody's."""
    before = sys.getprofile()
    if way == "monitoring":
        sys.setprofile(somebodys_profiler)
    try:
        yield
    finally:
        sys.setprofile(before)


def somebodys_profiler(_frame: FrameType, _event: str, _argument: Any) -> None: ...

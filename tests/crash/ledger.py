"""What bodies and clients saw, kept outside the database: one line an observation, appended in one write.

Rules of this file:
- a line is one `write` to a file opened with O_APPEND, so lines of several processes never mix and none is lost to
  a kill once it was written;
- times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stent import Stent


@dataclass(frozen=True, slots=True)
class Line:
    """One observation: `what` happened in `function`, under the call's own `key`, in a process, at a time."""

    what: str
    function: str
    key: str
    value: Any
    process_id: int
    at_ns: int


class Ledger:
    """A file of lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, what: str, function: str, key: str = "", value: Any = None) -> None:
        line = Line(what, function, key, value, os.getpid(), time.monotonic_ns())
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, (json.dumps(asdict(line)) + "\n").encode())
        finally:
            os.close(descriptor)

    @contextmanager
    def body(self, value: Any = None) -> Iterator[None]:
        """Around the body of an activity: a line when it begins, and one when it ends well."""
        context = Stent.context()
        key = context.idempotency_key or ""
        self.write("begin", context.function, key, value)
        yield
        self.write("end", context.function, key, value)

    def read(self, function: str | None = None) -> list[Line]:
        if not self.path.exists():
            return []
        lines = [Line(**json.loads(text)) for text in self.path.read_text().splitlines()]
        return [line for line in lines if function is None or line.function.endswith(f":{function}")]


def most_at_once(lines: list[Line]) -> int:
    """How many bodies ran at the same time, at the most. Those that never ended count to the end."""
    count = most = 0
    for line in sorted(lines, key=lambda line: line.at_ns):
        count += {"begin": 1, "end": -1}.get(line.what, 0)
        most = max(most, count)
    return most


def ends_by_key(lines: list[Line]) -> Counter[str]:
    """How often the body of each call came to its end."""
    return Counter(line.key for line in lines if line.what == "end")

"""Putting the write-ahead log back into an SQLite file, on versions of SQLite whose own way of it can lose commits.

SQLite calls that a checkpoint. On the versions named in `loses_commits` one that begins when the whole log is in the
file already can miss that a writer starts the log anew at that very moment; it then marks commits as copied that are
not, and they are lost. SQLite calls that the WAL-reset bug: https://sqlite.org/wal.html#walresetbug

Rules of this file:
- SQLite does nothing by itself (`wal_autocheckpoint=0` on every connection) but when the last connection of all closes,
  and then it holds the file for itself;
- who copies holds the lock of a writer meanwhile, so nobody commits or starts the log anew, and nobody else copies;
- every process that commits looks after the log, so none has to live for the others;
- the file of the index beside the log (`-shm`) is never opened: closing it would free SQLite's locks in this process.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable

LOG_PAGES = 1_000  # as many as SQLite itself lets come together: 4 MB
COMMITS_A_LOOK = 16  # a look takes 13 us (2026-11)

_FIXED = (3, 51, 3)
_FIXED_LATER = {(3, 44): 6, (3, 50): 7}
"""Older versions that got the repair, from which patch on."""

_HEADER = struct.Struct(">8xII8s")  # of the log: ..., size of a page, how often started anew, two random numbers
_FRAME_HEADER = struct.Struct(">8x8s")  # of a page in it: ..., the same two numbers
_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


def loses_commits(version: tuple[int, int, int]) -> bool:
    """Whether this version of SQLite has the WAL-reset bug."""
    major, minor, patch = version
    repaired_from = _FIXED_LATER.get((major, minor))
    if repaired_from is not None:
        return patch < repaired_from
    return (3, 7, 0) <= version < _FIXED


class LogKeeper:
    """Looks after the log of one file for one process; used by one thread at a time."""

    def __init__(self, path: str | os.PathLike[str], connect: Callable[[], sqlite3.Connection]) -> None:
        self._log_path = f"{os.fspath(path)}-wal"
        self._connect = connect
        self._copier: sqlite3.Connection | None = None
        self._commits_to_look = 1  # at the first too: some processes make just one

    def is_due(self) -> bool:
        """Whether the log should be put back. To be asked once a commit."""
        self._commits_to_look -= 1
        if self._commits_to_look > 0:
            return False
        self._commits_to_look = COMMITS_A_LOOK
        return has_pages(self._log_path, LOG_PAGES)

    def put_back(self) -> None:
        """Copy what no reader needs in the log; the next commit starts it anew if that was all of it.

        The caller holds the lock of a writer on another connection: a connection cannot do this in a transaction.
        """
        if self._copier is None:
            self._copier = self._connect()
        # It waits for nobody. If a foreign program is at it already, a row says so, and the next look sees to the rest.
        self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        if self._copier is not None:
            self._copier.close()
            self._copier = None


def has_pages(log_path: str, pages: int) -> bool:
    """Whether the log has so many pages now. The size of its file tells the most that it ever had.

    What was written before the log was started anew is told by its two numbers, which are then others.
    """
    try:
        with open(log_path, "rb", buffering=0) as log:
            header = log.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return False
            page_bytes, _, numbers = _HEADER.unpack(header)
            log.seek(_HEADER_BYTES + (pages - 1) * (_FRAME_HEADER_BYTES + page_bytes))
            frame = log.read(_FRAME_HEADER.size)
    except FileNotFoundError:
        return False
    return len(frame) == _FRAME_HEADER.size and _FRAME_HEADER.unpack(frame)[0] == numbers

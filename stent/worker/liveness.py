"""Whether another worker of this machine still lives: each holds a lock on a file of its own while it does.

The kernel frees the lock at the moment a process dies, by whatever means. That is a hint which saves waiting for the
lease; where it is not to be had (another machine, another container, no file locks) the lease decides alone, and the
epoch keeps everything safe in any case.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: leases decide
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

FOLDER_NAME = "stent-workers"


class WorkerLock:
    """The lock of this worker. Freed by `release`, or by the end of the process."""

    def __init__(self, worker_id: str) -> None:
        self.path: str | None = None
        self._descriptor = -1
        if not HAS_LOCKS:
            return
        try:
            folder = Path(tempfile.gettempdir()) / f"{FOLDER_NAME}-{os.getuid()}"
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / f"{worker_id}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # no such place here: leases decide
        self.path, self._descriptor = str(path), descriptor

    def release(self) -> None:
        if self.path is not None:
            Path(self.path).unlink(missing_ok=True)
            os.close(self._descriptor)
            self.path = None


def is_dead(lock_path: str | None) -> bool:
    """Whether the worker behind a lock is certainly dead. False where nothing can be known."""
    if not HAS_LOCKS or lock_path is None:
        return False
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def remove_lock(lock_path: str | None) -> None:
    """Remove the file that a dead worker left, once it has been given up: before, it is what others can tell it by."""
    if lock_path is not None and is_dead(lock_path):
        Path(lock_path).unlink(missing_ok=True)

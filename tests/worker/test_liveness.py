"""The lock of a worker tells its peers that it died, and never that it did while it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stent.worker import liveness
from stent.worker.liveness import WorkerLock, is_dead, remove_lock

CHILD = """
import sys, time
from stent.worker.liveness import WorkerLock
lock = WorkerLock(sys.argv[1])
print(lock.path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of this test only; the child inherits it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(liveness.tempfile, "tempdir", str(tmp_path))


def test_a_living_worker_is_not_dead() -> None:
    lock = WorkerLock("w1")
    assert lock.path is not None
    assert not is_dead(lock.path)
    lock.release()


def test_a_released_lock_leaves_no_file_and_tells_nothing() -> None:
    lock = WorkerLock("w1")
    path = lock.path
    assert path is not None
    lock.release()
    lock.release()
    assert not Path(path).exists()
    assert not is_dead(path)


def test_two_workers_have_two_locks_and_a_name_cannot_be_had_twice() -> None:
    first, second, twin = WorkerLock("w1"), WorkerLock("w2"), WorkerLock("w1")
    assert None is twin.path
    assert (False, False) == (is_dead(first.path), is_dead(second.path))
    first.release()
    second.release()


def test_where_nothing_can_be_known_nobody_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_dead(None)
    assert not is_dead(str(tmp_path / "none.lock"))
    monkeypatch.setattr(liveness, "HAS_LOCKS", False)
    lock = WorkerLock("w1")
    assert (None, False) == (lock.path, is_dead("any"))
    lock.release()


def test_a_folder_that_cannot_be_made_leaves_it_to_the_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setattr(liveness.tempfile, "tempdir", str(file))
    assert None is WorkerLock("w1").path


def test_the_lock_is_private_to_the_user() -> None:
    lock = WorkerLock("w1")
    assert lock.path is not None
    assert 0o600 == Path(lock.path).stat().st_mode & 0o777
    assert 0o700 == Path(lock.path).parent.stat().st_mode & 0o777
    lock.release()


@pytest.mark.slow
def test_a_killed_worker_is_dead_at_once() -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, "w1"], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert child.stdout is not None
    with child, child.stdout as output:
        path = output.readline().strip()
        assert Path(path).exists()
        assert not is_dead(path)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert is_dead(path)
    assert is_dead(path), "looking does not change it: whoever looks next must see it too"
    remove_lock(path)
    assert not Path(path).exists()
    assert not is_dead(path)


def test_the_lock_of_a_living_worker_is_not_removed() -> None:
    lock = WorkerLock("w1")
    assert lock.path is not None
    remove_lock(lock.path)
    remove_lock(None)
    assert Path(lock.path).exists()
    lock.release()

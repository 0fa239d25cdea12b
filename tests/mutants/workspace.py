"""A copy of the tree in which bugs are planted one after the other, and the tests run in it.

Rules of this file:
- the tree that was copied is never written to, and nothing of it is imported by the tests that run in the copy;
- every text that a file ever has in the copy has a time of its own: Python takes compiled code for fresh by the whole
  second of its source's time and the source's size;
- what a run starts ends with it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

COPIED = ("stent", "tests", "pyproject.toml")
TEST_TIMEOUT_S = 8  # what hangs under a bug has failed; without one the slowest of these tests takes a second
ONE_ORDER = ("-p", "no:randomly", "--hypothesis-seed=0")  # a bug is to be seen every time, or it counts as not seen
QUIET = ("-p", "no:cacheprovider", "-q", "--tb=short", "-rfE")


@dataclass(frozen=True, slots=True)
class Run:
    """How a run of tests went: `exit_code` is pytest's, None if it had to be ended."""

    exit_code: int | None
    output: str
    duration_s: float


class Workspace:
    """A folder with the tree in it."""

    def __init__(self, root: Path, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self._variables = {**_inherited(root, folder), **variables}
        self._stamps = itertools.count(1)
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(root / name, folder / name)

    @contextlib.contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """The tree with a bug in it, until the end of the block."""
        file = self.folder / mutant.file
        whole = file.read_text(encoding="utf-8")
        self._write(file, mutant.planted(whole))
        try:
            yield
        finally:
            self._write(file, whole)

    def run(self, tests: Sequence[str], timeout_s: float, *, until_first: bool) -> Run:
        """Run tests, all of them or until the first that fails."""
        started_at_s = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            command = [sys.executable, "-m", "pytest", *QUIET, *ONE_ORDER, f"--timeout={TEST_TIMEOUT_S}"]
            command += [f"--basetemp={scratch}/tests", *(("-x",) if until_first else ()), *tests]
            exit_code, output = self._call(command, {"HYPOTHESIS_STORAGE_DIRECTORY": scratch}, timeout_s)
        return Run(exit_code, output, time.monotonic() - started_at_s)

    def _call(self, command: Sequence[str], more: Mapping[str, str], timeout_s: float) -> tuple[int | None, str]:
        variables = {**self._variables, **more}
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            process = subprocess.Popen(
                command, cwd=self.folder, env=variables, stdout=said, stderr=said, start_new_session=True
            )
            try:
                exit_code: int | None = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                exit_code = None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # also what the tests have left behind
                process.wait()
            said.seek(0)
            return exit_code, said.read()

    def _write(self, file: Path, text: str) -> None:
        time_s = int(file.stat().st_mtime) + next(self._stamps)
        file.write_text(text, encoding="utf-8")
        os.utime(file, (time_s, time_s))


@contextlib.contextmanager
def workspaces(root: Path, count: int, variables: Mapping[str, str]) -> Iterator[list[Workspace]]:
    """So many copies of the tree; gone at the end, with the code that was compiled of them."""
    with tempfile.TemporaryDirectory(prefix="stent-mutants-") as name:
        folders = [Path(name).resolve() / str(number) for number in range(1, count + 1)]
        try:
            for folder in folders:
                folder.mkdir()
            yield [Workspace(root, folder, variables) for folder in folders]
        finally:
            if sys.pycache_prefix is not None:
                shutil.rmtree(sys.pycache_prefix + os.path.realpath(name), ignore_errors=True)


def _inherited(root: Path, folder: Path) -> dict[str, str]:
    """The surroundings of this process, with the copy in the place of the tree, and of no other pytest."""
    path = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and Path(part) != root]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(folder), *path])}

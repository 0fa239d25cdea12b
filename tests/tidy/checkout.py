"""Reads the repository from disk: what git tracks or would track; without git, all but caches."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.source import Repository

PASSED_OVER = {".git", ".dev", ".venv", "__pycache__", "build", "dist"}
GIT_LIST = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def read_repository(root: Path) -> Repository:
    """Every text file under the root, by its path from there."""
    texts = {}
    for path in paths_in_git(root) or paths_on_disk(root):
        content = (root / path).read_bytes() if (root / path).is_file() else b"\0"
        if b"\0" not in content[:1024]:
            texts[path] = content.decode("utf-8", errors="replace")
    return Repository.of(texts)


def paths_in_git(root: Path) -> list[str]:
    if not (root / ".git").exists():
        return []
    try:
        answer = subprocess.run(GIT_LIST, cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git here, or a checkout that git does not trust
        return []
    return os.fsdecode(answer.stdout).split("\0")[:-1]


def paths_on_disk(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in PASSED_OVER and not name.endswith("_cache")]
        for name in files:
            yield (Path(folder) / name).relative_to(root).as_posix()

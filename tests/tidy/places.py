"""No file of the repository names a package index or a folder of the machine it was written on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.tidy.source import Breach, Repository

HOST = re.compile(
    r"""https?://\S*/simple\b | file:/{2}\S*/simple\b          # an index, by the path that all of them have
      | files\.pythonhosted\.org | pypi\.org/simple
      | "resolved"\s*:\s*"https?://                          # package-lock.json
      | ^\s*(?:-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)(?:[ =]|$)   # a requirements file
    """,
    re.VERBOSE | re.MULTILINE,
)

# A path of its own, not the end of a longer one: https://example.com/work/ and ./work/ are none.
MACHINE_PATH = re.compile(
    r"""(?<![\w.~})-])(?: /(?:work|farm|root)/ | /opt/(?:pypi|wheels) | /(?:home|Users)/[a-z]\w* )
      | \b[A-Z]:\\Users\\
    """,
    re.VERBOSE,
)


def check_hosts(repository: Repository) -> Iterator[Breach]:
    """A lock with hashes needs no host, and a host binds whoever clones to it."""
    yield from matches(repository, HOST, "hosts", "names a package index")


def check_paths(repository: Repository) -> Iterator[Breach]:
    """A path of one machine means nothing on the next."""
    yield from matches(repository, MACHINE_PATH, "paths", "names a folder of one machine")


def matches(repository: Repository, pattern: re.Pattern[str], rule: str, message: str) -> Iterator[Breach]:
    for path, text in sorted(repository.files.items()):
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Breach(path, line, rule, f"{match.group().strip()} {message}")

"""The tests mirror the tree: stent/a/b.py is tested by tests/a/test_b.py, or by tests/a/test_b_<aspect>.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.tidy.source import PACKAGE, Breach, Repository, is_under

# Tests of more than one module. A folder is written with a slash at its end.
UNMIRRORED = (
    "tests/test_tidy.py",
    "tests/test_exports.py",  # the public names as a whole
    "tests/tidy/",
    "tests/corpus/",
    "tests/crash/",
    "tests/chaos/",
    "tests/mutants/",
    "tests/simulation/",
    "tests/histories/",
    "tests/docs/",
    "tests/typing/",
)
UNMIRRORED_PREFIX = "tests/test_mission"


def check_mirror(repository: Repository) -> Iterator[Breach]:
    """Each test file belongs to a module that exists, or is on the short list."""
    for path in sorted(repository.files):
        is_test = path.startswith("tests/") and path.endswith(".py") and PurePosixPath(path).name.startswith("test_")
        is_listed = is_under(path, UNMIRRORED) or path.startswith(UNMIRRORED_PREFIX)
        if is_test and not is_listed and not mirrored_modules(path) & repository.modules:
            wanted = min(mirrored_modules(path), key=len).replace(".", "/")
            message = f"it mirrors no module: there is no {wanted}.py (short list: tests/tidy/mirror.py)"
            yield Breach(path, 1, "mirror", message)


def mirrored_modules(path: str) -> set[str]:
    """The modules that a test file may be for: test_fold_laws.py is for fold_laws, or for an aspect of fold."""
    place = PurePosixPath(path)
    words = place.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    return {".".join([PACKAGE, *place.parent.parts[1:], name]) for name in names}

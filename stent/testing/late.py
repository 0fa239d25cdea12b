"""What is found after a test has been reported: told as an error of that test, and under xdist by the controller.

Rules of this file:
- a finding is one more report of its test, at its teardown, so that the session fails and every reporter shows it;
- a worker of xdist may only report the test that it runs: it keeps its findings for its end, as plain data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stent.testing.asking import Finding

OUTPUT = "stent_found"
"""Where a worker of xdist keeps its findings: (node id, location, text) each."""
FOUND: pytest.StashKey[list[Any]] = pytest.StashKey()
"""Of the controller's session: what its workers have found."""


def report(config: pytest.Config, findings: Iterable[Finding]) -> None:
    """Tell findings as errors of their tests, or keep them for the controller."""
    for finding in findings:
        from stent.testing.shadow import told_of

        (nodeid, location), text = finding.test, told_of(finding)
        if is_worker(config):
            config.workeroutput.setdefault(OUTPUT, []).append((nodeid, list(location), text))  # type: ignore[attr-defined]  # xdist's
        else:
            _tell(config, nodeid, location, text)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of xdist."""
    return hasattr(config, "workeroutput")


def keep(config: pytest.Config, output: dict[str, Any] | None) -> None:
    """What a worker has left behind."""
    config.stash.setdefault(FOUND, []).extend((output or {}).get(OUTPUT, ()))


def report_of_workers(config: pytest.Config) -> None:
    """Tell what all workers have found."""
    found = config.stash.get(FOUND, [])
    config.stash[FOUND] = []
    for nodeid, location, text in found:
        _tell(config, nodeid, tuple(location), text)


def _tell(config: pytest.Config, nodeid: str, location: Any, text: str) -> None:
    made = pytest.TestReport(nodeid, location, {}, "failed", text, "teardown")
    config.hook.pytest_runtest_logreport(report=made)

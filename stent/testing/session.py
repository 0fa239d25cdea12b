"""What the parts of the pytest plugin share: where a session keeps its things, and how a test is to be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stent.replay.watch import Watch
    from stent.testing.asking import Helper
    from stent.testing.engines import Engine

ENGINE: pytest.StashKey[Engine] = pytest.StashKey()
"""Of a test: its engine, while it is open."""
HELPER: pytest.StashKey[Helper] = pytest.StashKey()
"""Of a session: the process of the shadow check."""
WATCH: pytest.StashKey[Watch] = pytest.StashKey()
"""Of a session: what watches first executions."""
MODES = ("on", "here", "off")
"""Of the shadow check: also in another process, in this process only, not at all."""
IS_NOT = " is not idempotent: "
"""In what is told of a body that ran twice and gave something else the second time."""
REPEATED = "stent_repeated"
"""The user property of a report that tells what ran twice; it travels from the workers of xdist."""


def marked(item: pytest.Item, name: str) -> Any:
    """What `@pytest.mark.stent(name=...)` says, nearest first; None where it says nothing."""
    return next((mark.kwargs[name] for mark in item.iter_markers("stent") if name in mark.kwargs), None)


def shadow_mode(item: pytest.Item) -> str:
    """How the runs of a test are to be replayed."""
    mode: str = marked(item, "shadow") or item.config.getoption("--stent-shadow")
    if mode not in MODES:
        raise pytest.UsageError(f"@pytest.mark.stent(shadow={mode!r}): there are {', '.join(MODES)}")
    return mode


def helper_of(config: pytest.Config) -> Helper:
    """The one process of the session for the shadow check."""
    if HELPER not in config.stash:
        from stent.testing.asking import Helper

        config.stash[HELPER] = Helper()
    return config.stash[HELPER]


def watch_of(item: pytest.Item) -> Watch | bool:
    """The one watch of the session for first executions; False where a test is to do without."""
    if marked(item, "watch") is False or item.config.getoption("--stent-watch") == "off":
        return False
    if WATCH not in item.config.stash:
        from stent.replay.watch import Watch

        item.config.stash[WATCH] = Watch()
    return item.config.stash[WATCH]

"""The hash seed of our own processes."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from stent.cli.entry import Settings
from stent.cli.seed import fix_hash_seed


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """What the process would be replaced by: its arguments and its seed."""
    seen: list[tuple[list[str], str]] = []

    def execve(_path: str, arguments: list[str], environment: dict[str, Any]) -> None:
        seen.append((arguments, environment["PYTHONHASHSEED"]))

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "-m", "stent", "worker", "app"])
    return seen


@pytest.mark.parametrize("seed", [None, "random"])
def test_a_process_of_ours_begins_again_with_the_same_arguments(
    restarts: list[Any], monkeypatch: pytest.MonkeyPatch, seed: str | None
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    if seed is not None:
        monkeypatch.setenv("PYTHONHASHSEED", seed)
    fix_hash_seed(Settings(may_restart=True))
    assert [([sys.executable, "-X", "dev", "-m", "stent", "worker", "app"], "0")] == restarts


def test_a_seed_that_somebody_chose_is_kept(restarts: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    fix_hash_seed(Settings(may_restart=True))
    assert [] == restarts


def test_a_callers_process_is_never_replaced(restarts: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    fix_hash_seed(Settings())
    assert [] == restarts

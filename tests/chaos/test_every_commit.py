"""A process is killed right before and right after every single commit that a flow makes, each flow by itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.crash.rounds import ALL, killed_and_gone_on, unsure_and_gone_on
from tests.crash.watched_store import Fault, Side

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("flow", [*ALL, "all"])
async def test_a_kill_at_any_commit_loses_nothing_and_repeats_nothing(tmp_path: Path, flow: str, side: Side) -> None:
    names = ALL if flow == "all" else (flow,)
    for commit in itertools.count(1):
        folder = tmp_path / str(commit)
        folder.mkdir()
        if not await killed_and_gone_on(folder, names, Fault(side, commit)):
            break
    assert commit > 5, "a flow of several commits"


@pytest.mark.parametrize("flow", [*ALL, "all"])
async def test_an_answer_lost_at_any_commit_changes_nothing(tmp_path: Path, flow: str) -> None:
    names = ALL if flow == "all" else (flow,)
    for commit in itertools.count(1):
        folder = tmp_path / str(commit)
        folder.mkdir()
        if await unsure_and_gone_on(folder, names, commit) < commit:
            break
    assert commit > 5, "a flow of several commits"

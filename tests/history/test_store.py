"""The conformance suite on every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stent.clock import ManualClock
from tests.history.conformance import TestAppending, TestCommit, TestMessages, TestReleasing, TestStarting
from tests.history.conformance_children import TestLateCancels, TestTakenIds
from tests.history.conformance_claims import TestClaimingCalls, TestClaimingRuns, TestLimits, TestWorkers
from tests.history.conformance_endings import TestGoingOnAsNew, TestKeysForLife, TestUnreadCancels
from tests.history.conformance_reads import TestListing, TestLooking, TestReadingHistories, TestTwoProcesses
from tests.history.rig import Rig
from tests.history.stores import STORES, Opener, opened

__all__ = [
    "TestAppending",
    "TestClaimingCalls",
    "TestClaimingRuns",
    "TestCommit",
    "TestGoingOnAsNew",
    "TestKeysForLife",
    "TestLateCancels",
    "TestLimits",
    "TestListing",
    "TestLooking",
    "TestMessages",
    "TestReadingHistories",
    "TestReleasing",
    "TestStarting",
    "TestTakenIds",
    "TestTwoProcesses",
    "TestUnreadCancels",
    "TestWorkers",
]


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Opener:
    return STORES[request.param](tmp_path, clock)


@pytest.fixture
def rig(opener: Opener, clock: ManualClock) -> Iterator[Rig]:
    with opened(opener) as (store,):
        yield Rig(store, clock)


@pytest.fixture
def rigs(opener: Opener, clock: ManualClock) -> Iterator[list[Rig]]:
    """Two processes on one store."""
    with opened(opener, 2) as stores:
        yield [Rig(store, clock) for store in stores]

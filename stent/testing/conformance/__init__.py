"""The conformance suite: what Stent relies on of a store, as tests for one of your own. It needs pytest.

    from stent.testing.conformance import *

    @pytest.fixture
    def opener(tmp_path, clock):
        return lambda: MyStore(tmp_path / "my.db", clock)

Rules of this package:
- the stores of Stent pass it through this door and no other;
- a test uses the fixture `rig` (one process) or `rigs` (two on the same data), never a store of a certain kind;
- time is the `clock` of the test: a store that takes its own from elsewhere cannot be tested.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stent.clock import ManualClock

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{part}"
        for part in ("rigging", "runs", "children", "claims", "limits", "workers", "endings", "reads")
    )
)  # before they are imported: else a failed comparison would show no values

from stent.testing.conformance.children import TestLateCancels, TestTakenIds
from stent.testing.conformance.claims import TestClaimingCalls, TestClaimingRuns
from stent.testing.conformance.endings import TestGoingOnAsNew, TestKeysForLife, TestUnreadCancels
from stent.testing.conformance.limits import TestLimits
from stent.testing.conformance.opening import Opener, opened
from stent.testing.conformance.reads import TestListing, TestLooking, TestReadingHistories, TestTwoProcesses
from stent.testing.conformance.rigging import Rig
from stent.testing.conformance.runs import TestAppending, TestCommit, TestMessages, TestReleasing, TestStarting
from stent.testing.conformance.workers import TestWorkers


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def rig(opener: Opener, clock: ManualClock) -> Iterator[Rig]:
    """One process on a store."""
    with opened(opener) as (store,):
        yield Rig(store, clock)


@pytest.fixture
def rigs(opener: Opener, clock: ManualClock) -> Iterator[list[Rig]]:
    """Two processes on one store."""
    with opened(opener, 2) as stores:
        yield [Rig(store, clock) for store in stores]


__all__ = [
    "Opener",
    "Rig",
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
    "clock",
    "opened",
    "rig",
    "rigs",
]

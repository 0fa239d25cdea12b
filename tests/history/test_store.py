"""The conformance suite on every store of ours, through the door that third parties use."""

from __future__ import annotations

from pathlib import Path

import pytest

from stent.clock import ManualClock
from stent.testing.conformance import *  # noqa: F403 - the tests, and the fixtures that they use
from stent.testing.conformance import Opener
from tests.history.stores import STORES


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Opener:
    return STORES[request.param](tmp_path, clock)

"""Fixtures for the tests of stores."""

from __future__ import annotations

import pytest

from stent.clock import ManualClock

pytest.register_assert_rewrite(
    "tests.history.rig",
    "tests.history.conformance",
    "tests.history.conformance_children",
    "tests.history.conformance_claims",
    "tests.history.conformance_endings",
    "tests.history.conformance_reads",
)


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    return ManualClock()

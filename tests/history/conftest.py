"""Fixtures for the tests of stores."""

from __future__ import annotations

from stent.testing.conformance import clock

__all__ = ["clock"]

"""Hypothesis strategies: values and what is stored of them, histories, programs. They need hypothesis.

from stent.testing.strategies import recordings

@given(recordings(order, st.integers(1, 9)))
def test_our_report_takes_any_history(history): ...
"""

from __future__ import annotations

from stent.testing.strategies.histories import histories
from stent.testing.strategies.programs import programs, run_program
from stent.testing.strategies.recordings import recordings
from stent.testing.strategies.values import json_values, payloads, scalars, values

__all__ = ["histories", "json_values", "payloads", "programs", "recordings", "run_program", "scalars", "values"]

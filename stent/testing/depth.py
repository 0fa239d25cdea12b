"""How many schedules an exploration plays where it does not say: the wish of the command line, if there is one."""

from __future__ import annotations

from contextvars import ContextVar

wanted_schedules: ContextVar[int | None] = ContextVar("stent_wanted_schedules", default=None)
"""What `pytest --stent-explore N` asks for."""

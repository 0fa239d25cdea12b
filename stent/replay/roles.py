"""Which role a durable function has: replayed, or run for its effect.

Rules of this file (the theory is in docs/concepts/roles.md):
- a declared role is obeyed;
- else the static walk predicts, at first use: whoever refers to something durable is an orchestrator;
- the first execution is the truth: it corrects a wrong prediction while nothing has happened yet.
"""

from __future__ import annotations

from typing import Any, TypeVar

from stent.history.options import Role
from stent.registry import Function
from stent.replay.walker import Reference, contents, durable_record, references

DURABLE_CALL_MARK = "__stent_durable_call__"
"""Attribute of library functions that only an orchestrator calls (`Stent.map`, `Stent.sleep` ...)."""


F = TypeVar("F")


def durable_call(function: F) -> F:
    """Mark a library function as one that only an orchestrator calls."""
    setattr(function, DURABLE_CALL_MARK, True)
    return function


def predict_role(function: Function) -> Role:
    """The role to begin with. Remembered on the function, so that a correction is remembered too."""
    if function.role_hint is None:
        function.role_hint = "orchestrator" if first_durable_reference(function) is not None else "activity"
    return function.role_hint


def first_durable_reference(function: Function) -> Reference | None:
    """Where the code first refers to something durable, if it does."""
    if not function.is_async:
        return None
    return next((found for found in references(function.body) if is_durable(found.value)), None)


def is_durable(value: Any) -> bool:
    """Whether using this value may be a durable call."""
    if durable_record(value) is not None or _is_marked(value):
        return True
    return any(durable_record(entry) is not None for entry in contents(value))


def _is_marked(value: Any) -> bool:
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    marks = getattr(value, "__dict__", None)
    return isinstance(marks, dict) and DURABLE_CALL_MARK in marks

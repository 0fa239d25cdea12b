"""What a run begins with: its first event and its row. Pure builders, for clients as well as for planning."""

from __future__ import annotations

from typing import TypeAlias

from stent.codec import Payload
from stent.history import wire
from stent.history.events import CallOptions, Role, RunStarted
from stent.history.records import NewRun
from stent.registry import Function

Parent: TypeAlias = tuple[str, int, int | None]
"""Who waits for a run: run id, call, and item if the call is a batch."""


def first_event(
    run_id: str,
    function: Function,
    arguments: Payload,
    options: CallOptions,
    role: Role,
    at_us: int,
    *,
    parent: Parent | None = None,
    deadline_us: int | None = None,
    max_duration_us: int | None = None,
) -> RunStarted:
    """What a run begins with."""
    parent_run, parent_call, parent_item = parent or (None, None, None)
    return RunStarted(
        1,
        at_us,
        run_id,
        function.name,
        arguments,
        role,
        options,
        function.options.version,
        parent_run,
        parent_call,
        parent_item,
        deadline_us,
        max_duration_us if max_duration_us is not None else _duration_of(options, role),
    )


def new_run(started: RunStarted, function: Function, token: bytes, *, due_us: int | None = None) -> NewRun:
    """The row of a run that begins with `started`; it wakes at `due_us`, or at once."""
    options = started.options
    return NewRun(
        started.run_id,
        function.name,
        started.role,
        wire.encode(started, started.run_id, 0, wire.first_hash(started.run_id), token),
        options.queue,
        options.priority,
        options.tags,
        function.limit_key,
        started.parent_run,
        started.parent_call,
        started.parent_item,
        due_us,
    )


def next_run_id(run_id: str) -> str:
    """run~2, run~3 ...: the chain of one run that continues as new."""
    base, _, number = run_id.rpartition("~")
    return f"{base}~{int(number) + 1}" if base and number.isdigit() else f"{run_id}~2"


def _duration_of(options: CallOptions, role: str) -> int | None:
    """`timeout=` of an orchestrator bounds its whole run; of an activity, each attempt."""
    return options.timeout_us if role == "orchestrator" else None

"""How a run is started, beside its function and its arguments."""

from __future__ import annotations

from dataclasses import dataclass

from stent.history.options import CallOptions


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a run is started. `call` replaces the options of the function; durations in microseconds.

    `connection` is the caller's own: the run begins when the caller commits there.
    """

    call: CallOptions | None = None
    run_id: str | None = None
    expiry_us: int | None = None
    max_duration_us: int | None = None
    delay_us: int | None = None
    connection: object | None = None


DEFAULT_START = StartOptions()

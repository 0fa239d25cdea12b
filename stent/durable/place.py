"""Where the running code is: in an orchestrator, in an activity, beside a configured executor, or nowhere special.

A durable call means the same in all four places; this file only tells them apart. The order matters: an orchestrator
or an activity runs inside a worker, and a worker may run where an executor is configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from stent.errors import PlaceError
from stent.replay.loop import running_replay_loop
from stent.worker.current import RunningBody, current_body

if TYPE_CHECKING:
    from stent.replay.execution import Execution


def running_orchestrator() -> Execution | None:
    """The orchestrator that the running code belongs to."""
    loop = running_replay_loop()
    return cast("Execution", loop.host) if loop is not None else None


def running_activity() -> RunningBody | None:
    """The activity that the running code belongs to."""
    return current_body.get()


def require_orchestrator(what: str) -> Execution:
    """The running orchestrator; PlaceError where there is none."""
    execution = running_orchestrator()
    if execution is None:
        raise PlaceError(
            f"{what} only makes sense in an orchestrator that runs on a worker",
            fix="call it in a durable function, and run that under Stent.bootstrap(...) or with executor.dispatch(...)",
        )
    return execution

"""`Stent.context()`: what running durable code may know about itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from stent.durable.place import running_activity, running_orchestrator
from stent.errors import PlaceError
from stent.worker.slots import SINGLE, Attempt


@dataclass(frozen=True, slots=True)
class RunContext:
    """The run that the code belongs to.

    `attempt` counts from 1 (always 1 in an orchestrator). `idempotency_key` is the same for every attempt of one call,
    and for no other call: hand it to outside systems that can refuse a second request with the same key.
    """

    execution_id: str
    function: str
    attempt: int = 1
    call: int | None = None
    item: int | None = None
    is_replaying: bool = False
    idempotency_key: str | None = None

    @property
    def run_id(self) -> str:
        """The same as `execution_id`."""
        return self.execution_id


def context() -> RunContext:
    """The context of the running orchestrator or activity; PlaceError outside of both."""
    orchestrator = running_orchestrator()
    if orchestrator is not None:
        return RunContext(orchestrator.run_id, orchestrator.function.name, is_replaying=orchestrator.is_replaying)
    body = running_activity()
    if body is None:
        raise PlaceError(
            "Stent.context() is for code that runs in a durable function",
            fix="call it in an orchestrator or an activity that runs on a worker",
        )
    attempt = body.attempt
    item = attempt.item if attempt.item != SINGLE else None
    call = attempt.call or None
    return RunContext(
        attempt.run_id, attempt.function.name, attempt.attempt, call, item, idempotency_key=idempotency_key(attempt)
    )


def idempotency_key(attempt: Attempt) -> str:
    """32 hexadecimal digits that depend on run, call and item alone."""
    text = f"{attempt.run_id}\0{attempt.call}\0{attempt.item}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

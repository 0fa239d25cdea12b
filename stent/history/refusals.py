"""What the caller of a run is told when the id for that run is taken by another one. Pure builders.

Rules of this file:
- the run that a call started is that call's child, also when it is asked for again; any other run under its id, even
  one of the same function and arguments, was started for somebody else, and will tell nobody here how it ended;
- the answer is an event like every other outcome of a call, so a replay sees what the program saw.
"""

from __future__ import annotations

from stent.codec import Payload, TypeRegistry, decode_exception, encode_exception, join, split
from stent.errors import RunConflictError, SerializationError
from stent.history import wire
from stent.history.events import BatchItemsCompleted, CallFailed, Event, RunStarted, indexes_of
from stent.history.records import Message, NewRun
from stent.history.wire import EventRow

_TYPES = TypeRegistry()


def answer_to_taken(child: NewRun, found: EventRow) -> Message | None:
    """The answer to a call that wanted to start `child` where a run with its id began with `found`.

    None if that is the child itself, or if nobody waits for it.
    """
    if (
        child.parent_run is None
        or child.parent_call is None
        or _is_same(wire.decode(child.started), wire.decode(found))
    ):
        return None
    call, item, error = child.parent_call, child.parent_item, _error(child)
    if item is None:
        return Message(child.parent_run, f"taken-{call}", CallFailed(0, 0, call, error))
    answer = BatchItemsCompleted(0, 0, call, ((item, item + 1),), join([error]), (item,))
    return Message(child.parent_run, f"taken-{call}-{item}", answer)


def refused_by(event: Event) -> set[str]:
    """The ids of the runs that an answer says were not started. What cannot be read says nothing."""
    try:
        errors = [decode_exception(payload, _TYPES) for payload in _errors_in(event)]
    except SerializationError:
        return set()
    return {str(error.facts.get("run_id")) for error in errors if isinstance(error, RunConflictError)}


def _errors_in(event: Event) -> list[Payload]:
    if isinstance(event, CallFailed):
        return [event.error]
    if isinstance(event, BatchItemsCompleted) and event.failed:
        results = zip(indexes_of(event.items), split(event.results), strict=False)
        return [payload for item, payload in results if item in event.failed]
    return []


def _is_same(wanted: object, found: object) -> bool:
    assert isinstance(wanted, RunStarted), "a run begins with it"
    return isinstance(found, RunStarted) and _start_of(wanted) == _start_of(found)


def _start_of(started: RunStarted) -> tuple[object, ...]:
    """Who started what."""
    parent = (started.parent_run, started.parent_call, started.parent_item)
    return (started.function, started.arguments, *parent)


def _error(child: NewRun) -> Payload:
    error = RunConflictError(
        f"the id {child.run_id!r} is taken by another run: this call of {child.function} started none",
        fix="choose another id; what must have one id has one caller, which hands on the outcome",
        run_id=child.run_id,
        parent_run=child.parent_run,
        call=child.parent_call,
    )
    return encode_exception(error, _TYPES)

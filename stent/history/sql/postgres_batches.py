"""How a batch of operations becomes few round trips: which of them can be written together. No SQL here.

Rules of this file:
- the outcomes are those of one operation after the other: two that touch the same thing stay in order, in levels;
- operations of a kind in one level are one talk, and all talks of a level share round trips;
- what claims or gives up (and so may touch anything) has a level of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from stent.history.operations import Append, ClaimCalls, ClaimRuns, FinishCall, Operation, PutMessage, StartRun
from stent.history.records import Message, NewRun
from stent.history.sql.postgres_runs import is_one_statement
from stent.history.sql.rows import KIND_ACTIVITY, KIND_CALL, KIND_ORCHESTRATOR

Level = list[tuple[type[Operation], list[int]]]
"""What can be written together: by kind, the places of operations in the batch."""


@dataclass(frozen=True, slots=True)
class Touch:
    """What an operation touches: `alone` nothing else may touch meanwhile, `along` others may touch as well."""

    alone: frozenset[Hashable] = frozenset()
    along: frozenset[Hashable] = frozenset()


@dataclass(slots=True)
class Locks:
    """What a batch locks before it writes anything, so that all transactions lock in one order."""

    runs: set[str] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)
    limit_keys: set[str] = field(default_factory=set)
    """Limits of what the batch itself makes claimable."""
    claimed_runs: set[str] = field(default_factory=set)
    """Runs that are claimed by name: their limits count as well."""
    kinds: set[int] = field(default_factory=set)
    """What is claimed; nothing means that no limit matters."""


def levels_of(operations: Sequence[Operation]) -> list[Level]:
    """The operations in the order in which they can be written."""
    found: dict[int, dict[type[Operation], list[int]]] = {}
    last_alone: dict[Hashable, int] = {}
    last_along: dict[Hashable, int] = {}
    base, highest = 0, -1
    for place, operation in enumerate(operations):
        touch = touched(operation)
        if touch is None:
            level = highest + 1
            base = level + 1
        else:
            after = [last_alone.get(key, -1) + 1 for key in (*touch.alone, *touch.along)]
            after += [last_along.get(key, -1) + 1 for key in touch.alone]
            level = max(base, *after)
            last_alone.update(dict.fromkeys(touch.alone, level))
            last_along.update({key: max(level, last_along.get(key, -1)) for key in touch.along})
        highest = max(highest, level)
        found.setdefault(level, {}).setdefault(type(operation), []).append(place)
    return [list(found[level].items()) for level in sorted(found)]


def touched(operation: Operation) -> Touch | None:
    """What an operation touches; None if that may be anything."""
    match operation:
        case StartRun(run):
            return Touch(alone=frozenset({run.run_id}))
        case PutMessage(message):
            return Touch(alone=frozenset({(message.run_id, message.key)}), along=frozenset({message.run_id}))
        case FinishCall(_, run_id, call, first_item, message, _):
            told = [message] if message is not None else []
            parts = {(run_id, call, first_item), *_keys(told)}
            return Touch(frozenset(parts), frozenset({run_id, *(m.run_id for m in told)}))
        case Append():
            own = {operation.run_id, *(child.run_id for child in operation.children), *_keys(operation.messages)}
            if operation.next_run is not None:
                own.add(operation.next_run)
            told_runs = {message.run_id for message in operation.messages} - own
            return Touch(frozenset(own), frozenset(told_runs))
        case _:
            return None


def _keys(messages: Sequence[Message]) -> set[Hashable]:
    return {(message.run_id, message.key) for message in messages}


def is_written_at_once(operations: Sequence[Operation]) -> bool:
    """Whether one statement writes the whole batch, so that it needs no transaction around it.

    Also when the answer is lost it is known what happened: both kinds carry a token that can be read back.
    """
    run_ids: set[str] = set()
    kind = type(operations[0])
    for operation in operations:
        match operation:
            case StartRun(run):
                run_ids.add(run.run_id)
            case Append() if is_one_statement(operation):
                run_ids.add(operation.run_id)
            case _:
                return False
        if type(operation) is not kind:
            return False
    return len(run_ids) == len(operations)


def at_once(operations: Sequence[Operation]) -> Level:
    """The one level of a batch that is written at once."""
    return [(type(operations[0]), list(range(len(operations))))]


def locks_of(operations: Sequence[Operation]) -> Locks:
    """What must be locked before anything is written."""
    locks = Locks()
    for operation in operations:
        match operation:
            case StartRun(run):
                _begin(locks, [run])
            case PutMessage(message):
                locks.runs.add(message.run_id)
            case FinishCall(_, run_id, _, _, message, _):
                locks.runs |= {run_id} if message is None else {run_id, message.run_id}
            case Append():
                locks.runs |= {operation.run_id, *(message.run_id for message in operation.messages)}
                if operation.next_run is not None:
                    locks.runs.add(operation.next_run)
                locks.limit_keys |= {call.limit_key for call in operation.shared if call.limit_key is not None}
                _begin(locks, operation.children)
            case ClaimRuns():
                locks.workers.add(operation.worker_id)
                locks.kinds |= {KIND_ORCHESTRATOR, KIND_ACTIVITY}
                locks.claimed_runs |= set(operation.only)
            case ClaimCalls():
                locks.workers.add(operation.worker_id)
                locks.kinds.add(KIND_CALL)
            case _:
                continue
    return locks


def _begin(locks: Locks, runs: Sequence[NewRun]) -> None:
    for run in runs:
        if run.owner is not None and run.limit_key is None:
            locks.workers.add(run.owner)
        if run.limit_key is not None:
            locks.limit_keys.add(run.limit_key)

"""The stored form of an event: one row, with the user's data apart and everything else as small JSON.

Rules of this file:
- `encode` then `decode` gives an equal event; `decode` never guesses: what it cannot read is a `CorruptHistoryError`;
- a row carries the schema version of its type; `UPCASTERS` lift old rows step by step, and are never removed;
- rows of a run form a hash chain over all their columns, so that a changed, lost or swapped row is seen when the
  history is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json

from stent.codec import Payload
from stent.errors import CorruptHistoryError
from stent.history.events import (
    EVENT_CODES,
    EVENT_TYPES,
    PAYLOAD_FIELDS,
    CallCompleted,
    CallOptions,
    CallScheduled,
    Event,
    Role,
    Site,
)

Body = dict[str, Any]
Upcaster = Callable[[Body], Body]

SCHEMA_VERSIONS: dict[type[Event], int] = {}
"""Version of a type's body where it is not 1."""

UPCASTERS: dict[tuple[int, int], Upcaster] = {}
"""(event code, version) -> function that lifts a body to the next version."""

HASH_BYTES = 16
_blake2b = hashlib.blake2b
_COLUMNS = frozenset({"seq", "at_us", "call"})


class EventRow(NamedTuple):
    """One event as the stores keep it. A tuple, for two of them are made with every call."""

    run_id: str
    seq: int
    epoch: int
    at_us: int
    code: int
    version: int
    call: int | None
    body: str | None
    payload: Payload | None
    hash: bytes
    token: bytes | None = None


_new_row = tuple.__new__  # a named tuple's own, in Python, takes four times as long


class _Shape:
    """What is known of one event type: which fields go where, and how to validate the body."""

    __slots__ = ("adapter", "code", "defaults", "has_call", "kind", "names", "payload_field", "version")

    def __init__(self, kind: type[Event]) -> None:
        self.kind = kind
        self.code = EVENT_CODES[kind]
        self.version = SCHEMA_VERSIONS.get(kind, 1)
        self.payload_field = PAYLOAD_FIELDS.get(kind)
        described = {field.name: field for field in fields(kind)}
        self.has_call = "call" in described
        self.names = tuple(name for name in described if name not in _COLUMNS and name != self.payload_field)
        self.defaults = {name: _default_of(described[name]) for name in self.names}
        self.adapter: TypeAdapter[Event] | None = None

    def validator(self) -> TypeAdapter[Event]:
        if self.adapter is None:
            self.adapter = TypeAdapter(with_config(ConfigDict(arbitrary_types_allowed=True, extra="forbid"))(self.kind))
        return self.adapter


_BODY_WRITER: TypeAdapter[Body] = TypeAdapter(Body)

_CALL_BODIES_KEPT = 10_000
_call_bodies: dict[tuple[Any, ...], tuple[CallOptions, Site | None, str | None]] = {}
"""What a call's event says beside its number and arguments -> its text. Options and site are kept for their `id`."""
_read_bodies: dict[str | None, tuple[str, Role, str, Site | None, CallOptions]] = {}
"""The same the other way round: the text -> function, role, path, site and options. Never of a call with a child."""


def encode(event: Event, run_id: str, epoch: int, previous_hash: bytes, token: bytes | None = None) -> EventRow:
    """The row for an event that follows the row with `previous_hash` (`first_hash(run_id)` for the first one)."""
    kind = type(event)
    shape = _SHAPES[kind]
    body: str | None
    payload: Payload | None
    call: int | None
    if kind is CallCompleted:  # it and the next are nearly all of them
        body, payload, call = None, event.result, event.call  # type: ignore[attr-defined]  # they are its fields
    elif kind is CallScheduled:
        body, payload, call = _call_body(event, shape), event.arguments, event.call  # type: ignore[attr-defined,arg-type]
    else:
        body = _written_body(event, shape)
        payload = getattr(event, shape.payload_field) if shape.payload_field else None
        call = event.call if shape.has_call else None  # type: ignore[attr-defined]  # has_call says it is there
    digest = _chain(previous_hash, event.seq, epoch, event.at_us, shape.code, shape.version, call, body, payload, token)
    columns = (run_id, event.seq, epoch, event.at_us, shape.code, shape.version, call, body, payload, digest, token)
    return _new_row(EventRow, columns)


def encode_all(
    events: Iterable[Event], run_id: str, epoch: int, previous_hash: bytes, token: bytes
) -> tuple[EventRow, ...]:
    """Rows for events in order; the append token goes on the first of them."""
    rows: list[EventRow] = []
    for event in events:
        row = encode(event, run_id, epoch, previous_hash, None if rows else token)
        previous_hash = row.hash
        rows.append(row)
    return tuple(rows)


def decode(row: EventRow) -> Event:
    """The event in a row."""
    event = _usual_event(row)
    return event if event is not None else _any_event(row)


def _usual_event(row: EventRow) -> Event | None:
    """The event in a row of one of the two kinds that nearly all rows have, read without pydantic; None for any other.

    - An outcome of a call without a body is its columns.
    - A call's body says what calls from one place in the code have in common, so it is read once: what pydantic makes
      of a body depends on nothing else. A column that is not of its very type is left to pydantic.
    """
    _, seq, _, at_us, code, version, call, body, payload, _, _ = row
    if type(seq) is not int or type(at_us) is not int or type(call) is not int or type(payload) is not Payload:
        return None
    if code == _COMPLETED.code and body is None and version == _COMPLETED.version:
        return CallCompleted(seq, at_us, call, payload)
    if code == _SCHEDULED.code and version == _SCHEDULED.version:
        known = _read_bodies.get(body)
        if known is not None:
            function, role, path, site, options = known
            return CallScheduled(seq, at_us, call, function, payload, role, path, site, options)
    return None


def _any_event(row: EventRow) -> Event:
    kind = EVENT_TYPES.get(row.code)
    if kind is None:
        raise CorruptHistoryError(
            f"run {row.run_id}, seq {row.seq}: unknown event type {row.code}",
            fix="a newer version of Stent wrote this history; upgrade here",
            run_id=row.run_id,
            seq=row.seq,
        )
    shape = _SHAPES[kind]
    values = _body_of(row, kind)
    if row.version != shape.version:
        values = _lift(values, row, shape)
    values["seq"] = row.seq
    values["at_us"] = row.at_us
    if shape.has_call:
        values["call"] = row.call
    if shape.payload_field is not None:
        values[shape.payload_field] = row.payload
    try:
        if row.body is None and _fit(row, shape):
            return kind(**values)
        event = shape.validator().validate_python(values)
    except (ValidationError, TypeError) as error:
        raise _unreadable(row, kind, error) from error
    if type(event) is CallScheduled and event.child_run is None and row.version == shape.version:
        if len(_read_bodies) >= _CALL_BODIES_KEPT:
            _read_bodies.clear()
        _read_bodies[row.body] = (event.function, event.role, event.path, event.site, event.options)
    return event


def _fit(row: EventRow, shape: _Shape) -> bool:
    """Whether all columns that the event has are of their very types, so that pydantic need not look at them."""
    return (
        type(row.seq) is int
        and type(row.at_us) is int
        and (not shape.has_call or type(row.call) is int)
        and (shape.payload_field is None or type(row.payload) is Payload)
    )


def _body_of(row: EventRow, kind: type[Event]) -> Body:
    if row.body is None:
        return {}
    try:
        values = from_json(row.body)
    except ValueError as error:
        raise _unreadable(row, kind, error) from error
    if not isinstance(values, dict):
        raise _unreadable(row, kind, "its body is no JSON object")
    return values


def decode_history(rows: Sequence[EventRow], *, after_seq: int = 0, after_hash: bytes | None = None) -> list[Event]:
    """The events of one run in order, with order and hash chain checked from `after_seq` on."""
    if not rows:
        return []
    check_chain(rows, after_seq=after_seq, after_hash=after_hash)
    return [decode(row) for row in rows]


def check_chain(rows: Sequence[EventRow], *, after_seq: int = 0, after_hash: bytes | None = None) -> None:
    """Raise CorruptHistoryError at the first row that is out of order, missing or changed."""
    run_id = rows[0].run_id
    expected_seq = after_seq
    digest = first_hash(run_id) if after_hash is None else after_hash
    for _, seq, epoch, at_us, code, version, call, body, payload, recorded, token in rows:
        expected_seq += 1
        if seq != expected_seq:
            raise _corrupt(run_id, expected_seq, f"found seq {seq} where {expected_seq} must be")
        digest = _chain(digest, seq, epoch, at_us, code, version, call, body, payload, token)
        if digest != recorded:
            raise _corrupt(run_id, seq, "the hash chain is broken: this row or one before it was changed")


def first_hash(run_id: str) -> bytes:
    """What the first row of a run's history is chained to."""
    return hashlib.blake2b(run_id.encode(), digest_size=HASH_BYTES).digest()


def _chain(
    previous: bytes,
    seq: int,
    epoch: int,
    at_us: int,
    code: int,
    version: int,
    call: int | None,
    body: str | None,
    payload: Payload | None,
    token: bytes | None,
) -> bytes:
    # A large payload is copied once here: still cheaper than three updates of a small one, and those are most.
    tail = "" if payload is None else f"{payload[0]},"
    length = 0 if body is None else len(body)
    text = f"{seq},{epoch},{at_us},{code},{version},{call},{length},{body}{tail}".encode()
    if token is not None:
        text = b"%d:%b,%b" % (len(token), token, text)
    if payload is not None:
        text += payload[1]
    return _blake2b(previous + text, digest_size=HASH_BYTES).digest()


def _call_body(event: CallScheduled, shape: _Shape) -> str | None:
    """The body of a call. Those of activities, made at one place in the code, all have the same."""
    if event.child_run is not None:
        return _written_body(event, shape)
    options, site = event.options, event.site
    key = (event.function, event.role, event.path, id(site), id(options))
    known = _call_bodies.get(key)
    if known is not None and known[0] is options and known[1] is site:
        return known[2]
    body = _written_body(event, shape)
    if len(_call_bodies) >= _CALL_BODIES_KEPT:
        _call_bodies.clear()
    _call_bodies[key] = (options, site, body)
    return body


def _written_body(event: Event, shape: _Shape) -> str | None:
    body: Body = {}
    for name in shape.names:
        value = getattr(event, name)
        if value != shape.defaults[name]:
            body[name] = value
    return _BODY_WRITER.dump_json(body).decode() if body else None


def _lift(values: Body, row: EventRow, shape: _Shape) -> Body:
    version = row.version
    while version < shape.version:
        upcaster = UPCASTERS.get((shape.code, version))
        if upcaster is None:
            raise _unreadable(row, shape.kind, f"nothing lifts version {version}")
        values = upcaster(values)
        version += 1
    if version > shape.version:
        raise CorruptHistoryError(
            f"run {row.run_id}, seq {row.seq}: {shape.kind.__name__} has version {row.version}, "
            f"this Stent reads up to {shape.version}",
            fix="upgrade Stent here",
            run_id=row.run_id,
            seq=row.seq,
        )
    return values


def _default_of(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return _NO_DEFAULT


class _NoDefault:
    """Equal to nothing, so that a field without a default is always written."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]  # never a key


_NO_DEFAULT = _NoDefault()


def _unreadable(row: EventRow, kind: type[Event], why: object) -> CorruptHistoryError:
    return CorruptHistoryError(
        f"run {row.run_id}, seq {row.seq}: {kind.__name__} cannot be read: {why}",
        fix="restore the history from a backup; other runs are not affected",
        run_id=row.run_id,
        seq=row.seq,
    )


def _corrupt(run_id: str, seq: int, what: str) -> CorruptHistoryError:
    return CorruptHistoryError(
        f"the history of run {run_id} is damaged at seq {seq}: {what}",
        fix="restore the database from a backup; other runs are not affected",
        run_id=run_id,
        seq=seq,
    )


_SHAPES: dict[type[Event], _Shape] = {kind: _Shape(kind) for kind in EVENT_CODES}
_COMPLETED = _SHAPES[CallCompleted]
_SCHEDULED = _SHAPES[CallScheduled]

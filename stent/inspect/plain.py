"""Runs, events and timelines as plain data, for `--json`: what people and `jq` read, not what is read back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from stent.clock import to_datetime
from stent.codec import Payload, describe, describe_arguments, to_plain
from stent.errors import CorruptPayloadError
from stent.history.events import PAYLOAD_FIELDS, CallOptions, Event, RunContinuedAsNew, Site
from stent.history.records import RunRow
from stent.inspect.entries import Entry
from stent.inspect.timeline import Timeline
from stent.registry import display_name

TEXT_LIMIT = 100
_HEAD = frozenset({"seq", "at_us"})


def run_facts(row: RunRow) -> dict[str, Any]:
    """A run's row; times as ISO 8601 in UTC."""
    return {
        "run_id": row.run_id,
        "function": row.function,
        "state": row.status,
        "role": row.role,
        "queue": row.queue,
        "priority": row.priority,
        "tags": list(row.tags),
        "parent": row.parent_run,
        "created_at": moment(row.created_at_us),
        "started_at": moment(row.started_at_us),
        "finished_at": moment(row.finished_at_us),
        "worker": row.owner,
        "stall_reason": row.stall,
    }


def event_facts(event: Event) -> dict[str, Any]:
    """An event with its payload decoded to plain data; what is as by default is left out."""
    payload_field = PAYLOAD_FIELDS.get(type(event))
    facts: dict[str, Any] = {"seq": event.seq, "at": moment(event.at_us), "type": event.type}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in _HEAD or value == field.default:
            continue
        facts[field.name] = payload_facts(value) if field.name == payload_field else _plain(value)
    return facts


def payload_facts(payload: Payload) -> Any:
    """A payload as plain data; a text that says so where it cannot be read."""
    try:
        return to_plain(payload)
    except CorruptPayloadError:
        return describe(payload)


def event_text(event: Event) -> str:
    """What an event says beside its type, as one line of text."""
    parts: list[str] = []
    payload_field = PAYLOAD_FIELDS.get(type(event))
    function = getattr(event, "function", None)
    for field in fields(event):
        name, value = field.name, getattr(event, field.name)
        if name in _HEAD or name in ("call", "role", "site", "function", "run_id") or value == field.default:
            continue
        if name == payload_field:
            parts.append(_payload_text(event, value, function))
        elif name == "options":
            parts.append(", ".join(f"{key}={each}" for key, each in _plain(value).items()))
        elif name.endswith("_us"):
            parts.append(f"{name.removesuffix('_us')} {moment(value) if _is_time(name) else value}")
        else:
            parts.append(f"{name}={_plain(value)}")
    site = getattr(event, "site", None)
    return "  ".join([*(part for part in parts if part), *([str(site)] if site is not None else [])])


def timeline_facts(timeline: Timeline) -> dict[str, Any]:
    """A timeline as data: what `stent show` draws."""
    return {
        "run_id": timeline.run_id,
        "function": timeline.function,
        "arguments": timeline.arguments,
        "state": timeline.state,
        "role": timeline.role,
        "started_at": moment(timeline.started_us),
        "finished_at": moment(timeline.stopped_us),
        "events": timeline.event_count,
        "outcome": timeline.outcome or None,
        "entries": [_entry_facts(entry) for entry in timeline.entries],
    }


def moment(at_us: int | None) -> str | None:
    """Microseconds since the epoch as ISO 8601 in UTC; what no calendar has as the number it is."""
    if at_us is None:
        return None
    try:
        return to_datetime(at_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError:
        return f"{at_us}us"


def _entry_facts(entry: Entry) -> dict[str, Any]:
    facts = {
        "kind": entry.kind,
        "label": entry.label,
        "state": entry.state,
        "call": entry.call,
        "child_run": entry.child_run,
        "started_at": moment(entry.started_us),
        "finished_at": moment(entry.stopped_us),
        "detail": entry.detail or None,
        "failed_attempts_at": [moment(at_us) for at_us in entry.attempts_us] or None,
        "entries": [_entry_facts(child) for child in entry.children] or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Site):
        return str(value)
    if isinstance(value, CallOptions):
        default = asdict(CallOptions())
        return {name: _plain(each) for name, each in asdict(value).items() if each != default[name]}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _payload_text(event: Event, payload: Payload, function: str | None) -> str:
    if function is not None and hasattr(event, "arguments"):
        return f"{display_name(function)}({describe_arguments(payload, TEXT_LIMIT)})"
    if function is not None:
        return f"{display_name(function)} {describe(payload, TEXT_LIMIT)}"
    if isinstance(event, RunContinuedAsNew):
        return f"({describe_arguments(payload, TEXT_LIMIT)})"
    return describe(payload, TEXT_LIMIT)


def _is_time(name: str) -> bool:
    return name in ("due_us", "deadline_us", "retry_at_us")

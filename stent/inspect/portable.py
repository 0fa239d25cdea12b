"""A history as a JSON file that outlives its database: for a bug report, a test, a replay elsewhere.

    {"format": "stent-history", "version": 1, "run_id": "...", "function": "shop:order", "events": [
      {"seq": 1, "at_us": 1750000000000000, "type": "RunStarted", "version": 1, "body": {...},
       "payload": {"codec": 1, "json": [42]}}, ...]}

Rules of this file:
- lossless: `load(dump(history)) == history`, byte for byte in the payloads;
- a payload is shown as JSON where its bytes can be made from that again, and as base64 where not;
- each event carries the version of its type, as a row of a database does, so that old files are lifted like old rows;
- what comes from a file is checked as what comes from a database: `CorruptHistoryError` says what is wrong.
"""

from __future__ import annotations

import contextlib
import json
from binascii import Error as Base64Error, a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Any, Final

from stent.codec import PLAIN_JSON, TAGGED_JSON, Payload
from stent.errors import CorruptHistoryError
from stent.history import wire
from stent.history.events import EVENT_CODES, EVENT_TYPES_BY_NAME, Event, RunStarted
from stent.history.fold import fold

FORMAT: Final = "stent-history"
VERSION: Final = 1
_SHOWN_CODECS: Final = (PLAIN_JSON, TAGGED_JSON)


def dump(history: Sequence[Event]) -> dict[str, Any]:
    """A history as data for `json.dumps`."""
    started = history[0] if history else None
    if not isinstance(started, RunStarted):
        raise _damaged("it does not begin with RunStarted")
    return {
        "format": FORMAT,
        "version": VERSION,
        "run_id": started.run_id,
        "function": started.function,
        "events": [_dump_event(event, started.run_id) for event in history],
    }


def dumps(history: Sequence[Event]) -> str:
    """The text of the file: one event a line, so that two files can be compared by line."""
    document = dump(history)
    events = ",\n  ".join(_text(event) for event in document.pop("events"))
    return f'{_text(document)[:-1]}, "events": [\n  {events}\n]}}\n'


def load(document: Any) -> list[Event]:
    """The history in the data of a file; CorruptHistoryError if it is none, or a newer one than is known here."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _damaged(f'it is no JSON object with "format": "{FORMAT}"')
    if document.get("version") != VERSION:
        raise CorruptHistoryError(
            f"the history file has version {document.get('version')!r}, this Stent reads {VERSION}",
            fix="upgrade Stent here",
        )
    events = document.get("events")
    if not isinstance(events, list) or not events:
        raise _damaged("it has no events")
    history = [_load_event(event, str(document.get("run_id"))) for event in events]
    if not isinstance(history[0], RunStarted) or history[0].run_id != document.get("run_id"):
        raise _damaged("its first event does not start the run that it names")
    fold(history)  # the order is possible, and nothing is missing
    return history


def loads(text: str | bytes) -> list[Event]:
    """The history in the text of a file."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"it is no JSON: {error}") from error
    return load(document)


def _dump_event(event: Event, run_id: str) -> dict[str, Any]:
    row = wire.encode(event, run_id, 0, b"")
    dumped: dict[str, Any] = {"seq": row.seq, "at_us": row.at_us, "type": event.type, "version": row.version}
    if row.call is not None:
        dumped["call"] = row.call
    if row.body is not None:
        dumped["body"] = json.loads(row.body)
    if row.payload is not None:
        dumped["payload"] = _dump_payload(row.payload)
    return dumped


def _dump_payload(payload: Payload) -> dict[str, Any]:
    codec, data = payload
    if codec in _SHOWN_CODECS:
        with contextlib.suppress(ValueError, RecursionError):  # then it is shown as bytes
            document = json.loads(data, parse_constant=_no_json)
            if _compact(document) == data:
                return {"codec": codec, "json": document}
    return {"codec": codec, "base64": b2a_base64(data, newline=False).decode("ascii")}


def _no_json(constant: str) -> Any:
    """NaN and the infinities: Python reads and writes them, other readers of JSON do not."""
    raise ValueError(constant)


def _load_event(dumped: Any, run_id: str) -> Event:
    if not isinstance(dumped, dict):
        raise _damaged("an event is no JSON object")
    kind = EVENT_TYPES_BY_NAME.get(dumped.get("type", ""))
    seq, at_us, call, version = (dumped.get(name) for name in ("seq", "at_us", "call", "version"))
    if kind is None:
        raise _damaged(f"seq {seq}: unknown event type {dumped.get('type')!r}")
    numbers = (seq, at_us, version, 0 if call is None else call)
    if not all(type(number) is int for number in numbers):
        raise _damaged(f"seq {seq}: seq, at_us, version and call must be whole numbers")
    body = json.dumps(dumped["body"]) if "body" in dumped else None
    payload = _load_payload(dumped["payload"], seq) if "payload" in dumped else None
    row = wire.EventRow(run_id, seq, 0, at_us, EVENT_CODES[kind], version, call, body, payload, b"")  # type: ignore[arg-type]  # checked above
    return wire.decode(row)


def _load_payload(dumped: Any, seq: object) -> Payload:
    match dumped:
        case {"codec": int(codec), "json": document}:
            return Payload(codec, _compact(document))
        case {"codec": int(codec), "base64": str(text)}:
            try:
                return Payload(codec, a2b_base64(text, strict_mode=True))
            except (Base64Error, ValueError) as error:
                raise _damaged(f"seq {seq}: the payload is no base64: {error}") from error
    raise _damaged(f'seq {seq}: a payload needs "codec" and either "json" or "base64"')


def _compact(document: Any) -> bytes:
    """JSON in the way that payloads are written."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _text(document: Any) -> str:
    return json.dumps(document, separators=(", ", ": "), ensure_ascii=True)


def _damaged(what: str) -> CorruptHistoryError:
    return CorruptHistoryError(f"this is no usable history file: {what}", fix="write it with `stent export RUN`")


__all__ = ["FORMAT", "VERSION", "dump", "dumps", "load", "loads"]

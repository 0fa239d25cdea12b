"""Events for the tests of what is shown of histories, in few words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from stent.codec import Payload, TypeRegistry, encode_exception
from stent.history.events import CallScheduled, Event, RunStarted, Site

SECOND_US = 1_000_000
START_US = 1_750_000_000 * SECOND_US
SITE = Site("shop.py", 7, "order")


def payload(value: Any) -> Payload:
    return Payload(1, json.dumps(value, separators=(",", ":")).encode())


def error(text: str) -> Payload:
    return encode_exception(ValueError(text), TypeRegistry())


def at(second: float, event: Event) -> Event:
    """The event, recorded so many seconds after the start; `history` gives it its place."""
    return replace(event, at_us=START_US + round(second * SECOND_US))


def history(*events: Event) -> list[Event]:
    """The events in their order, with a start in front if there is none; without a time they are as old as that."""
    all_events = events if isinstance(events[0], RunStarted) else (start(), *events)
    return [replace(event, seq=seq, at_us=event.at_us or START_US) for seq, event in enumerate(all_events, 1)]


def start(role: Any = "orchestrator", **more: Any) -> RunStarted:
    return RunStarted(1, START_US, "order-1", "shop:order", payload([42]), role, **more)


def call(number: int, name: str = "pay", *args: Any, path: str = "0", child: str | None = None) -> CallScheduled:
    return CallScheduled(0, 0, number, f"shop:{name}", payload(list(args)), "activity", path, SITE, child_run=child)

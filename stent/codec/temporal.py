"""Dates, times and time zones, both ways.

    {"$":"datetime","v":"2025-03-30T02:30:00.000001","zone":["zone","Europe/Berlin"],"fold":1}
    {"$":"date","v":"2025-03-30"}   {"$":"timedelta","v":[days,seconds,microseconds]}
    {"$":"time","v":"02:30:00"}     with "zone" and "fold" as above, if it has them
    {"$":"timezone","v":["utc"]}    ["offset",microseconds]  ["offset",microseconds,name]  ["zone",key]  ["pydantic",s]

- The wall clock and the zone are stored, not the instant alone: a value in Europe/Berlin comes back in Europe/Berlin.
- A naive datetime is refused: it names another instant on each machine that reads it. A naive time of day, as in
  "every day at 9", is fine.
- A zone is looked up by its key in the zone data of this process; a key is checked first, for it becomes a file name.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stent.codec.scalars import read_str, text_of, write_str
from stent.codec.walk import Refusal, quote, type_label

if TYPE_CHECKING:
    from collections.abc import Callable

_MICROSECOND: Final = timedelta(microseconds=1)
_is_zone_key: Final = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", re.ASCII).fullmatch


def is_pydantic_zone(cls: type) -> bool:
    """Whether a class is that of the time zones in what pydantic has read, in a program that has imported pydantic."""
    core = sys.modules.get("pydantic_core")
    return core is not None and cls is getattr(core, "TzInfo", None)


def _zone_text(zone: tzinfo) -> str:
    kind = type(zone)
    if zone is UTC:
        return '["utc"]'
    if kind is ZoneInfo:
        key = zone.key  # type: ignore[attr-defined]  # narrowed by exact type
        if key is None or _is_zone_key(key) is None:
            raise Refusal(
                "is in a ZoneInfo without a key, which cannot be found again",
                type_name="zoneinfo.ZoneInfo",
                fix='make the zone with ZoneInfo("Area/City")',
            )
        return f'["zone",{quote(key)}]'
    if kind is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # what copy and pickle call
        shown = f",{write_str(name[0])}" if name else ""
        return f'["offset",{offset // _MICROSECOND}{shown}]'
    if is_pydantic_zone(kind):
        offset = zone.utcoffset(None)
        return f'["pydantic",{(offset or timedelta()) // timedelta(seconds=1)}]'
    raise Refusal(
        f"has a time zone of class {type_label(kind)}, which cannot be stored",
        type_name=type_label(kind),
        fix="use datetime.timezone.utc or zoneinfo.ZoneInfo",
    )


def _zone_of(parts: Any) -> tzinfo:
    match parts:
        case ["utc"]:
            return UTC
        case ["offset", int(offset)]:
            return timezone(timedelta(microseconds=offset))
        case ["offset", int(offset), name]:
            return timezone(timedelta(microseconds=offset), read_str(name))
        case ["pydantic", int(seconds)]:
            from pydantic_core import TzInfo

            return TzInfo(seconds)
        case ["zone", str(key)] if _is_zone_key(key):
            try:
                return ZoneInfo(key)
            except (ZoneInfoNotFoundError, OSError) as error:
                raise Refusal(
                    f"needs the time zone {key!r}, which this machine does not know",
                    type_name="zoneinfo.ZoneInfo",
                    fix="install the zone data: pip install tzdata",
                    kind="type",
                ) from error
    raise ValueError("no time zone")


def _with_zone(tag: str, wall: str, value: datetime | time) -> str:
    zone = "" if value.tzinfo is None else f',"zone":{_zone_text(value.tzinfo)}'
    fold = ',"fold":1' if value.fold else ""
    return f'{{"$":"{tag}","v":"{wall}"{zone}{fold}}}'


def _write_datetime(value: datetime) -> str:
    if value.tzinfo is None:
        raise Refusal(
            "is a datetime without a time zone: it means another instant on each machine",
            type_name="datetime.datetime",
            fix="make it aware: datetime.now(timezone.utc), or value.replace(tzinfo=...)",
        )
    return _with_zone("datetime", value.replace(tzinfo=None).isoformat(), value)


def _read_datetime(node: dict[str, Any]) -> datetime:
    wall = datetime.fromisoformat(text_of(node))
    return wall.replace(tzinfo=_zone_of(node["zone"]), fold=node.get("fold", 0))


def _write_time(value: time) -> str:
    return _with_zone("time", value.replace(tzinfo=None).isoformat(), value)


def _read_time(node: dict[str, Any]) -> time:
    zone = _zone_of(node["zone"]) if "zone" in node else None
    return time.fromisoformat(text_of(node)).replace(tzinfo=zone, fold=node.get("fold", 0))


def _write_timedelta(value: timedelta) -> str:
    return f'{{"$":"timedelta","v":[{value.days},{value.seconds},{value.microseconds}]}}'


def _read_timedelta(node: dict[str, Any]) -> timedelta:
    days, seconds, microseconds = node["v"]
    return timedelta(days, seconds, microseconds)


def write_zone(value: tzinfo) -> str:
    return f'{{"$":"timezone","v":{_zone_text(value)}}}'


TEMPORAL_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    datetime: _write_datetime,
    date: lambda value: f'{{"$":"date","v":"{value.isoformat()}"}}',
    time: _write_time,
    timedelta: _write_timedelta,
    timezone: write_zone,
    ZoneInfo: write_zone,
}

TEMPORAL_READERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "datetime": _read_datetime,
    "date": lambda node: date.fromisoformat(text_of(node)),
    "time": _read_time,
    "timedelta": _read_timedelta,
    "timezone": lambda node: _zone_of(node["v"]),
}

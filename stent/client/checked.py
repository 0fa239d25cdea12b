"""What callers give as names, ids and numbers, checked where it is given: an OptionError says what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stent.errors import OptionError

MAX_PRIORITY = 1_000_000  # far inside of what both databases keep in a 32-bit integer
MAX_NAME_CHARS = 200
MAX_REASON_CHARS = 2_000
_OF_A_CHAIN = re.compile(r"~[0-9]+$")  # see `next_run_id`
_LONE = re.compile("[\ud800-\udfff]")


def checked_name(option: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS or not value.isprintable():
        raise OptionError(
            f"{option}={value!r}", fix=f"use a printable text of 1 to {MAX_NAME_CHARS} characters", option=option
        )
    return value


def checked_id(value: object) -> str:
    """An id of the caller's own choice."""
    run_id = checked_name("id", value)
    if _OF_A_CHAIN.search(run_id):
        raise OptionError(
            f"id={run_id!r} ends like the id of a run that goes on for another, with ~ and a number",
            fix="choose another ending",
            option="id",
        )
    return run_id


def checked_reason(value: object) -> str:
    """What a person says. Half a character pair alone is no text that a database keeps."""
    if not isinstance(value, str) or len(value) > MAX_REASON_CHARS or (not value.isascii() and _LONE.search(value)):
        raise OptionError(
            f"reason={value!r:.100}", fix=f"use a text of up to {MAX_REASON_CHARS} characters", option="reason"
        )
    return value


def checked_priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_PRIORITY:
        raise OptionError(
            f"priority={value!r} is no whole number within {MAX_PRIORITY}",
            fix="0 is the default, more is sooner",
            option="priority",
        )
    return value


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise OptionError(f"tags={tags!r} is one text", fix=f"tags=({tags!r},)", option="tags")
    return tuple(checked_name("tags", tag) for tag in tags)

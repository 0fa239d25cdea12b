"""Names, ids and reasons are checked where they are given, with an error that says what would be right."""

from __future__ import annotations

import pytest

from stent.client.checked import (
    MAX_NAME_CHARS,
    MAX_REASON_CHARS,
    checked_id,
    checked_name,
    checked_priority,
    checked_reason,
    checked_tags,
)
from stent.errors import OptionError
from stent.worker.starting import next_run_id


@pytest.mark.parametrize("value", ["a", "order 7", "bücher", "x" * MAX_NAME_CHARS, "~", "a~b", "~2x"])
def test_what_can_be_printed_is_a_name_and_an_id(value: str) -> None:
    assert [value, value] == [checked_name("key", value), checked_id(value)]


@pytest.mark.parametrize("value", ["", "a\nb", "a\x00", "\ud800", "x" * (MAX_NAME_CHARS + 1), 5, None, b"a"])
def test_anything_else_is_neither(value: object) -> None:
    for check in (lambda: checked_name("key", value), lambda: checked_id(value)):
        with pytest.raises(OptionError, match="printable text"):
            check()


@pytest.mark.parametrize("run_id", ["a", "order~x", "a~2", "a.3"])
def test_an_id_that_a_chain_will_want_is_nobodys(run_id: str) -> None:
    """Else a run that continues as new finds that id taken, and its callers wait for ever."""
    with pytest.raises(OptionError, match="goes on for another"):
        checked_id(next_run_id(run_id))


@pytest.mark.parametrize("reason", ["", "too\nlate", "\x00", "🙂", "x" * MAX_REASON_CHARS])
def test_a_reason_is_any_text(reason: str) -> None:
    assert reason == checked_reason(reason)


@pytest.mark.parametrize("reason", ["\ud83d", "x" * (MAX_REASON_CHARS + 1), None, 5])
def test_but_no_half_of_a_character(reason: object) -> None:
    with pytest.raises(OptionError, match="reason=") as refused:
        checked_reason(reason)
    assert "reason" == refused.value.facts["option"]


@pytest.mark.parametrize("value", [True, 1.0, "1", 1_000_001, -1_000_001])
def test_a_priority_is_a_whole_number_within_bounds(value: object) -> None:
    with pytest.raises(OptionError, match="priority="):
        checked_priority(value)


def test_tags_are_several_texts() -> None:
    assert ("a", "b") == checked_tags(["a", "b"])
    with pytest.raises(OptionError, match="is one text"):
        checked_tags("ab")

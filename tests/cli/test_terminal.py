"""What reaches a terminal or a pipe: data on stdout, nothing that acts, and JSON that any reader accepts."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given, strategies as st

from stent.cli import terminal
from stent.errors import UnknownRunError

ESCAPES = ["\x1b[31m", "\x07", "\r", "\x9b2J", "\u202e", "\x00", "\x7f", "\u2028"]


@pytest.mark.parametrize("escape", ESCAPES)
def test_control_characters_are_shown_not_sent(escape: str) -> None:
    shown = terminal.printable(f"a{escape}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")


def test_line_ends_stay_where_lines_are_wanted_and_go_where_not() -> None:
    assert "a\nb" == terminal.printable("a\nb")
    assert "a\\nb" == terminal.one_line("a\nb")
    assert "naïve 漢字 🙂" == terminal.printable("naïve 漢字 🙂")


@given(st.text(st.characters(), max_size=10))
def test_no_text_acts_on_a_terminal(text: str) -> None:
    assert terminal.printable(text).replace("\n", "").isprintable() or "\n" in text
    assert all(each.isprintable() or each == "\n" for each in terminal.json_text([text]))


@given(st.recursive(st.none() | st.integers() | st.text(st.characters()), lambda inner: st.lists(inner, max_size=3)))
def test_json_is_read_back_as_it_was(value: Any) -> None:
    assert value == json.loads(terminal.json_text(value))
    assert value == json.loads(terminal.json_text(value, indent=2))


def test_json_is_readable_where_the_stream_can_carry_it_and_still_json_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for encoding, shown in (("utf-8", '"ä🙂"\n'), ("ascii", '"\\u00e4\\ud83d\\ude42"\n')):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        terminal.write_json("ä🙂")
        stream.flush()
        text = stream.buffer.getvalue().decode(encoding)
        assert (shown, "ä🙂") == (text, json.loads(text))


def test_an_error_is_its_code_what_happened_and_the_fix(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.report(UnknownRunError("there is no run 'a\x1bb'", fix="look at `stent ls`"))
    out, err = capsys.readouterr()
    assert ("", "UnknownRunError [STN401] there is no run 'a\\x1bb'\n  fix: look at `stent ls`\n") == (out, err)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "is_coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_and_no_color_is_honoured(
    monkeypatch: pytest.MonkeyPatch, no_color: str, is_coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    terminal.note("hello", style="red")
    terminal.report(UnknownRunError("no"))
    terminal.console(stderr=True).print("hello", style="red")
    assert is_coloured == ("\x1b[31m" in stream.getvalue())
    assert is_coloured == ("\x1b[" in stream.getvalue())

"""The bar: what it says at a terminal, and that it says nothing elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from stent.cli.bar import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "is_told"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_terminal_is_told_how_far_it_is(stream: io.StringIO, is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress() as show:
        assert [1, 2, 3] == show("comparing", [[1, 2], [3]], 3)
        assert [4] == show("replaying", [[4]], 2)
    said = stream.getvalue()
    assert [is_told] * 4 == [part in said for part in ("comparing", "3/3", "replaying", "1/2")]
    assert is_told or "" == said

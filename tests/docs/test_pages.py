"""Every block of Python in the README and in docs/ does what its page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.runner import ROOT, blocks_of, run_page

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, block after block."""
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)


def test_python_is_left_out_for_a_reason_only() -> None:
    """And rarely: each reason stands in the page."""
    left_out = {
        (name_of(page), block.value)
        for page in PAGES
        for block in blocks_of(page.read_text(encoding="utf-8"))
        if block.language == "python" and block.verb == "not run"
    }
    assert [] == [name for name, reason in left_out if len(reason) < 10]
    assert len(left_out) < 15


def test_there_are_pages() -> None:
    """An empty list of pages would pass everything above."""
    assert len(PAGES) > 40

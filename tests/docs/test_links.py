"""Links between the pages, and into the repository, lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.runner import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<title>.+?) *$", re.MULTILINE)


def prose_of(page: Path) -> str:
    return CODE.sub("", page.read_text(encoding="utf-8"))


def targets_of(page: Path) -> list[str]:
    return [match["target"] for match in LINK.finditer(INLINE_CODE.sub("", prose_of(page)))]


def anchors_of(page: Path) -> set[str]:
    """As the usual renderers make them from headings."""
    titles = [match["title"].lower() for match in HEADING.finditer(prose_of(page))]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    found = []
    for target in targets_of(page):
        if re.match(r"[a-z]+:", target):
            continue  # a place outside of the repository
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        if not place.exists() or (anchor and anchor not in anchors_of(place)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert [] == broken(page)


def test_every_page_can_be_reached_from_the_index() -> None:
    """By links alone, so that no page is forgotten."""
    index = ROOT / "docs" / "index.md"
    reached, waiting = {index}, [index]
    while waiting:
        page = waiting.pop()
        for target in targets_of(page):
            place = (page.parent / target.partition("#")[0]).resolve()
            if place.suffix == ".md" and place.exists() and place not in reached:
                reached.add(place)
                waiting.append(place)
    assert set() == {page.relative_to(ROOT).as_posix() for page in set(PAGES) - reached if "docs" in page.parts}


def test_a_link_into_nothing_is_found(tmp_path: Path) -> None:
    """The checks above can fail: a missing file, a missing heading; and what is fine is not reported."""
    page = tmp_path / "page.md"
    text = (
        "# One two\n[a](gone.md) [b](#one-two) [c](#three) [d](https://example.org) `[e](gone.md)`\n```\n[f](g)\n```\n"
    )
    page.write_text(text, encoding="utf-8")
    assert ["gone.md", "#three"] == broken(page)

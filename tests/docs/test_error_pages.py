"""Every error code has a page under docs/errors/, and every page its error."""

from __future__ import annotations

import re

import pytest

from stent import errors
from stent.errors import StentError
from tests.docs.runner import ROOT

CLASSES = [
    item
    for item in vars(errors).values()
    if isinstance(item, type) and issubclass(item, StentError) and "code" in vars(item) and item is not StentError
]
FOLDER = ROOT / "docs" / "errors"
HEADINGS = ["What happened", "Why", "Example", "Fix"]


def test_there_is_a_page_for_each_code_and_no_other() -> None:
    assert sorted(cls.code for cls in CLASSES) == sorted(page.stem for page in FOLDER.glob("STN*.md"))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.code)
def test_a_page_names_its_class_and_says_what_why_and_how(cls: type[StentError]) -> None:
    """The title is code and class, then four headings, always the same."""
    text = (FOLDER / f"{cls.code}.md").read_text(encoding="utf-8")
    assert f"# {cls.code}: {cls.__name__}" == text.splitlines()[0]
    assert HEADINGS == re.findall(r"^## (.+)$", text, re.MULTILINE)


def test_the_index_of_errors_lists_them_all() -> None:
    text = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert [] == [cls.code for cls in CLASSES if f"[{cls.code}]({cls.code}.md) | `{cls.__name__}`" not in text]

"""The runner finds what is wrong with a page; without that the tests of the pages would mean nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from stent.registry import default_registry
from tests.docs import runner
from tests.docs.runner import Block, PageError, blocks_of, run_page


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Run a page that is given as text, with `~~~` for the fences."""
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)

    def run_text(text: str) -> int:
        page = tmp_path / "page.md"
        page.write_text(textwrap.dedent(text).replace("~~~", "```"), encoding="utf-8")
        return run_page(page, tmp_path)

    return run_text


def test_blocks_are_found_with_their_comments_and_lines() -> None:
    text = "# Title\n\n<!-- not run: it takes a week -->\n\n```python\na = 1\n```\n\n    ```sh\n    ls\n    ```\n"
    assert [
        Block("python", "a = 1\n", 6, "not run", "it takes a week"),
        Block("sh", "ls\n", 10),
    ] == list(blocks_of(text))


def test_blocks_share_their_names_and_may_await(run: Callable[[str], int]) -> None:
    count = run(
        """
        ~~~python
        import asyncio
        async def f(): return 1
        ~~~
        ~~~python
        assert await f() == 1
        ~~~
        ~~~python
        assert asyncio.run(f()) == 1
        ~~~
        """
    )
    assert 3 == count


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("~~~python\n1 / 0\n~~~", ZeroDivisionError),
        ("~~~python\nasync def f(): return 1\n~~~\n~~~python\nassert await f() == 2\n~~~", AssertionError),
        ("<!-- raises: ValueError -->\n~~~python\n1 / 0\n~~~", ZeroDivisionError),
        ("<!-- raises: ValueError -->\n~~~python\npass\n~~~", PageError),
        ("~~~python\nprint(1)\n~~~\n<!-- prints -->\n~~~text\n2\n~~~", PageError),
        ("<!-- run -->\n~~~sh\nexit 3\n~~~", PageError),
        ("~~~python\npass", PageError),
    ],
)
def test_what_does_not_do_as_it_says_is_an_error(run: Callable[[str], int], text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(text)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- not run: it would fail -->\n~~~python\n1 / 0\n~~~",
        "<!-- raises: ZeroDivisionError -->\n~~~python\n1 / 0\n~~~\n<!-- prints -->\n~~~text\ndivision ... zero\n~~~",
        "~~~python\nprint('a', 17, 'b')\n~~~\n<!-- prints -->\n~~~text\na ... b\n~~~",
        "<!-- run: 3 -->\n~~~sh\nexit 3\n~~~",
        "<!-- run: 137 -->\n~~~sh\nkill -9 $$\n~~~",
        "<!-- file: a.py -->\n~~~python\nprint('here')\n~~~\n<!-- run -->\n~~~sh\npython a.py\n~~~\n"
        "<!-- prints -->\n~~~text\nhere\n~~~",
    ],
)
def test_what_does_as_it_says_passes(run: Callable[[str], int], text: str) -> None:
    run(text)


def test_durable_functions_of_a_page_are_gone_afterwards(run: Callable[[str], int]) -> None:
    before = default_registry.names()
    run("~~~python\nfrom stent import Stent\n@Stent.durable\nasync def f(): return 1\n~~~")
    assert before == default_registry.names()

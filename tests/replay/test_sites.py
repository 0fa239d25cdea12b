"""A site is the user's line, in a file as its package knows it."""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any

import pytest

from stent.history.events import Site
from stent.replay.sites import PROGRAM_MARK, calling_site, file_of, is_ours, site_of


def code_in(file: str) -> CodeType:
    return compile("pass", file, "exec")


@pytest.mark.parametrize(
    ("file", "module", "expected"),
    [
        ("/srv/app/shop/orders.py", "shop.orders", "shop/orders.py"),
        ("/srv/app/shop/__init__.py", "shop", "shop/__init__.py"),
        ("/srv/app/orders.py", "orders", "orders.py"),
        ("/srv/app/orders.py", "__main__", "orders.py"),
        ("/srv/app/orders.py", None, "orders.py"),
        ("C:\\app\\shop\\orders.py", "shop.orders", "shop/orders.py"),
        ("<stdin>", "__main__", "<stdin>"),
    ],
)
def test_no_folder_of_a_machine_gets_into_a_history(file: str, module: str | None, expected: str) -> None:
    assert expected == file_of(code_in(file), module)


def test_the_site_of_a_frame_is_its_line_and_function() -> None:
    frame = sys._getframe()
    line = frame.f_lineno + 1
    site = site_of(frame)
    expected = "test_the_site_of_a_frame_is_its_line_and_function"
    assert Site("tests/replay/test_sites.py", line, expected) == site
    assert f"tests/replay/test_sites.py:{line} in {expected}()" == str(site)


def test_each_line_has_a_site_of_its_own() -> None:
    sites = [calling_site(0), calling_site(0)]
    other = calling_site(0)
    assert sites[0] is not None
    assert other is not None
    assert (sites[0].line, sites[0].line + 1) == (sites[1].line if sites[1] else None, other.line)


def test_frames_of_asyncio_and_of_ours_are_passed_over() -> None:
    source = "def call(inner):\n    return inner()\n"
    for module in ("asyncio.tasks", "stent.durable.function", "stent", "contextlib"):
        names: dict[str, object] = {"__name__": module}
        exec(compile(source, f"library/{module}.py", "exec"), names)  # its own file: what is ours is known by it
        site = names["call"](lambda: calling_site(1))  # type: ignore[operator]
        assert "tests/replay/test_sites.py" == site.file


def frame_of(module: str) -> FrameType:
    """A frame of code that has no file."""
    names: dict[str, Any] = {"__name__": module}
    exec("import sys\nframe = sys._getframe()", names)
    frame: FrameType = names["frame"]
    return frame


@pytest.mark.parametrize("module", ["stentorian.orders", "contextlib2"])
def test_a_module_that_only_begins_like_ours_is_the_users(module: str) -> None:
    assert not is_ours(frame_of(module))


def test_code_without_a_file_is_whosever_module_it_is_in() -> None:
    assert [True, False] == [is_ours(frame_of(module)) for module in ("stent.orders", "shop.orders")]


@pytest.mark.parametrize(("is_marked", "expected"), [(True, False), (False, True)])
def test_a_module_of_ours_that_holds_programs_is_not_ours(is_marked: bool, expected: bool) -> None:
    """It says so by a name; what is called there is called by a program."""
    file = f"/site-packages/stent/testing/marked_{is_marked}.py"
    known: dict[str, Any] = {"sys": sys, "__name__": "stent.testing.marked"}
    if is_marked:
        known[PROGRAM_MARK] = True
    exec(compile("frame = sys._getframe()", file, "exec"), known)
    assert expected == is_ours(known["frame"])

"""Where in the user's code something happens: the innermost frame that is neither ours nor asyncio's."""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from stent.history.options import Site

_CACHE_LIMIT = 50_000  # places in code, not calls: reached only by programs that keep generating code

PROGRAM_MARK = "__stent_program__"
"""A module of Stent that has this name among its globals holds programs, in the place of a user's."""
_OURS = frozenset({"stent", "asyncio", "contextlib"})

_our_files: set[str] = set()
_cache: dict[tuple[int, int], tuple[CodeType, Site]] = {}


def calling_site(depth: int = 1) -> Site | None:
    """The site of the user's line that is being executed; `depth` frames are skipped unseen."""
    frame: FrameType | None = sys._getframe(depth + 1)
    while frame is not None and (frame.f_code.co_filename in _our_files or is_ours(frame)):
        frame = frame.f_back
    return site_of(frame) if frame is not None else None


def site_of(frame: FrameType) -> Site:
    """The site of a frame. Cached by the instruction: computing a line number is slow."""
    code = frame.f_code
    key = (id(code), frame.f_lasti)
    known = _cache.get(key)
    if known is not None and known[0] is code:
        return known[1]
    site = Site(file_of(code, frame.f_globals.get("__name__")), frame.f_lineno, code.co_qualname)
    if len(_cache) >= _CACHE_LIMIT:
        _cache.clear()
    _cache[key] = (code, site)
    return site


def file_of(code: CodeType, module: str | None) -> str:
    """The file as its package knows it ("shop/orders.py"), so that no machine's folders get into a history."""
    parts = code.co_filename.replace("\\", "/").split("/")
    if module is None or module == "__main__":
        return parts[-1]
    depth = module.count(".") + (2 if parts[-1] == "__init__.py" else 1)
    return "/".join(parts[-depth:])


def is_ours(frame: FrameType) -> bool:
    """Whether a frame belongs to Stent or to what asyncio programs are made with. Known by the file after the first."""
    file = frame.f_code.co_filename
    if file in _our_files:
        return True
    module = frame.f_globals.get("__name__") or ""
    if module.partition(".")[0] not in _OURS or PROGRAM_MARK in frame.f_globals:
        return False
    if not file.startswith("<"):  # code without a file may be anybody's under the same name
        _our_files.add(file)
    return True

"""What a traceback of a user's error shows: the frames of the user, not those of the engine that called them.

Rules of this file:
- only the ends are cut: what a user's code called, and where that broke, stays whole. At the start is what led to that
  code, at the end of a cancellation where the engine was waiting for it;
- errors that others were raised from are shown with it, so they are cut as well.
"""

from __future__ import annotations

import concurrent.futures
import inspect
import os
from types import TracebackType

from stent import codec

_WORKER = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LEADING = (_WORKER, *(os.path.dirname(inspect.getfile(each)) + os.sep for each in (codec, concurrent.futures)))
_CHAIN_AT_MOST = 20


def cut_to_users(error: BaseException) -> BaseException:
    """The same error, its traceback and those of its chain without the frames of the engine that led to it."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _CHAIN_AT_MOST:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            BaseException.with_traceback(link, _from_user(link.__traceback__))  # runs no code of a user's class
            waiting += [link.__cause__, link.__context__]
    return error


def _from_user(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and _file_of(traceback).startswith(_LEADING):
        traceback = traceback.tb_next
    last, frame = traceback, traceback
    while frame is not None:
        if not _file_of(frame).startswith(_WORKER):
            last = frame
        frame = frame.tb_next
    if last is not None:
        last.tb_next = None
    return traceback


def _file_of(traceback: TracebackType) -> str:
    return traceback.tb_frame.f_code.co_filename

"""Judging stored histories, in this process or in several.

Rules of this file:
- chunks of runs go out and their answers come back in order, so that the outcome does not depend on the processes;
- another process opens the database and imports the user's modules by itself: all that goes to it are ids and all that
  comes back is plain data;
- one history that cannot be read must not hide what is wrong with the others.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from stent.cli.apps import load
from stent.cli.entry import Settings
from stent.cli.session import named_backend
from stent.errors import StentError
from stent.history import wire
from stent.history.store import Store
from stent.inspect.shapes import shape_of
from stent.inspect.verdict import Verdict, judge
from stent.registry import default_registry

if TYPE_CHECKING:
    from concurrent.futures import Executor

SHAPES_A_CHUNK = 50
VERDICTS_A_CHUNK = 25

T = TypeVar("T")
Work: TypeAlias = Callable[[Store, Sequence[str]], list[T]]
"""What is done with a chunk of runs: one answer each, in order."""


class Judges(Protocol):
    """Who does it."""

    def each(self, work: Work[T], run_ids: Sequence[str], chunk: int) -> Iterator[list[T]]:
        """The answers for all runs, chunk by chunk and in order."""
        ...


def shapes(store: Store, run_ids: Sequence[str]) -> list[bytes | None]:
    """Shapes of histories; None where there is none to tell, which only replaying can explain."""
    try:
        outlines = store.read_outlines(run_ids)
    except StentError:
        return [None] * len(run_ids)
    return [shape_of(outlines[run_id]) if run_id in outlines else None for run_id in run_ids]


def verdicts(store: Store, run_ids: Sequence[str]) -> list[Verdict]:
    """Whether histories fit the code that is registered here."""
    return [_judge_stored(store, run_id).portable() for run_id in run_ids]


def _judge_stored(store: Store, run_id: str) -> Verdict:
    try:
        history = wire.decode_history(store.read_rows(run_id))
    except StentError as error:
        return Verdict(run_id, "?", "unreadable", error=error)
    return judge(history, default_registry)


@dataclass(frozen=True, slots=True)
class Here:
    """This process, with the database that it has open."""

    store: Store

    def each(self, work: Work[T], run_ids: Sequence[str], chunk: int) -> Iterator[list[T]]:
        return (work(self.store, some) for some in _chunks(run_ids, chunk))


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Processes of a pool."""

    pool: Executor

    def each(self, work: Work[T], run_ids: Sequence[str], chunk: int) -> Iterator[list[T]]:
        return self.pool.map(partial(_work, work), _chunks(run_ids, chunk))


@contextlib.contextmanager
def judges(store: Store, settings: Settings, apps: Sequence[str], processes: int) -> Iterator[Judges]:
    """Those who judge the runs of a database that is open here, and that `settings` names."""
    if processes == 1:
        yield Here(store)
        return
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
    from multiprocessing import get_context

    # Spawned, not forked: a process must not inherit connections and the threads that hold their locks.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (settings, tuple(apps)))
    try:
        yield Elsewhere(pool)
    except BrokenProcessPool as error:
        raise StentError("a process that replays histories has ended", fix="-j 1 replays in this process") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_store: ContextVar[Store] = ContextVar("_store")
"""The database of a process of the pool."""


def _begin(settings: Settings, apps: Sequence[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the one in front ends it
    load(apps)
    _store.set(named_backend(settings).open().store)


def _work(work: Work[T], run_ids: Sequence[str]) -> list[T]:
    return work(_store.get(), run_ids)


def _chunks(run_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (run_ids[start : start + size] for start in range(0, len(run_ids), size))

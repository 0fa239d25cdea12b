"""Runs as users see them: `ExecutionInfo`, `ExecutionState`, and pages of a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from stent.clock import SECOND_US, to_datetime
from stent.errors import OptionError
from stent.history.fold import Status
from stent.history.records import RunFilter, RunRow
from stent.registry import display_name

STATES: tuple[Status, ...] = get_args(Status)
MAX_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """What is known of a run without reading its history. Times are aware, UTC."""

    execution_id: str
    function: str
    state: Status
    role: str
    queue: str | None
    priority: int
    tags: tuple[str, ...]
    parent_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    stall_reason: str | None
    worker_id: str | None

    @property
    def name(self) -> str:
        """The function without its module."""
        return display_name(self.function)


class ExecutionState(str):
    """The state of a run: equal to its name ("pending", "running", "completed", "failed", "timed_out", "cancelled",
    "stalled"), with all that is known of the run in `info`.
    """

    info: ExecutionInfo

    @classmethod
    def of(cls, info: ExecutionInfo) -> ExecutionState:
        state = cls(info.state)
        state.info = info
        return state

    @property
    def state(self) -> str:
        """The plain text."""
        return str.__str__(self)

    @property
    def is_ended(self) -> bool:
        """Whether the run has an outcome."""
        return self.info.finished_at is not None


class Page(list[ExecutionInfo]):
    """One page of a list; `next_page` goes into `after=` for the page behind it, None on the last one."""

    def __init__(self, infos: Iterable[ExecutionInfo], next_page: str | None) -> None:
        super().__init__(infos)
        self.next_page = next_page


def info_of(row: RunRow) -> ExecutionInfo:
    return ExecutionInfo(
        row.run_id,
        row.function,
        row.status,
        row.role,
        row.queue,
        row.priority,
        row.tags,
        row.parent_run,
        to_datetime(row.created_at_us),
        _time(row.started_at_us),
        _time(row.finished_at_us),
        row.stall,
        row.owner,
    )


def page_of(rows: list[RunRow], limit: int) -> Page:
    """A page of at most `limit`, from one row more than that if there is one."""
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    return Page([info_of(row) for row in shown], f"{last.created_at_us}:{last.run_id}" if last is not None else None)


def _time(at_us: int | None) -> datetime | None:
    return to_datetime(at_us) if at_us is not None else None


def run_filter(
    *,
    state: Status | Iterable[Status] | None,
    function: str | None,
    parent: str | None,
    roots_only: bool,
    tags: Iterable[str],
    queue: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
    id_prefix: str | None,
    limit: int,
    after: str | None,
) -> RunFilter:
    """What to ask the store for: one row more than a page, to know whether another follows. OptionError."""
    return RunFilter(
        statuses=_states(state),
        function=function,
        parent_run=parent,
        roots_only=roots_only,
        tags=(tags,) if isinstance(tags, str) else tuple(tags),
        queue=queue,
        created_after_us=_microseconds("created_after", created_after),
        created_before_us=_microseconds("created_before", created_before),
        id_prefix=id_prefix,
        before=_place(after),
        limit=_page_size(limit) + 1,
    )


def _states(state: Status | Iterable[Status] | None) -> tuple[Status, ...]:
    if state is None:
        return ()
    states: tuple[Any, ...] = (state,) if isinstance(state, str) else tuple(state)
    for each in states:
        if each not in STATES:
            raise OptionError(f"state={each!r}", fix=f"there are: {', '.join(STATES)}", option="state")
    return tuple(str(each) for each in states)  # type: ignore[misc]  # checked above


def _microseconds(option: str, at: datetime | None) -> int | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise OptionError(f"{option}={at!r} has no time zone", fix="datetime(..., tzinfo=UTC)", option=option)
    return round(at.timestamp() * SECOND_US)


def _place(after: str | None) -> tuple[int, str] | None:
    if after is None:
        return None
    at_us, colon, run_id = after.partition(":")
    if not colon or not at_us.isdigit():
        raise OptionError(f"after={after!r}", fix="pass the next_page of the page before", option="after")
    return int(at_us), run_id


def _page_size(limit: object) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise OptionError(f"limit={limit!r} is no whole number from 1 to {MAX_PAGE}", option="limit")
    return limit

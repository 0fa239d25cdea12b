"""Asking about runs: `wait_for`, `state_of`, `result_of`, `history_of`, `list_executions`, through the public API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stent import ExpiryError, Result, Stent, UnknownRunError
from stent.backends import SQLiteBackend
from stent.errors import OptionError, RunFinishedError, RunStateError

PATIENCE_S = 10


class RefusedError(Exception):
    """An error of the user's own, with a code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)


@Stent.durable
async def double(number: int) -> int:
    return number * 2


@Stent.durable
async def refuse(code: int) -> None:
    raise RefusedError(code)


@Stent.durable
async def wait_long() -> None:
    await Stent.sleep("1h")


@Stent.durable
async def call_double(number: int) -> int:
    return await double(number)


# -- waiting -----------------------------------------------------------------------------------------------------------


async def test_wait_for_gives_the_value_as_a_result(executor: Stent) -> None:
    assert Result.success(6) == await executor.wait_for(await executor.dispatch(double, 3), expiry=PATIENCE_S)


async def test_wait_for_gives_the_error_as_a_result_with_its_class(executor: Stent) -> None:
    result = await executor.wait_for(await executor.dispatch(refuse, 7), expiry=PATIENCE_S)
    assert Result.failure(RefusedError(7)) == result
    with pytest.raises(RefusedError, match="7"):
        result.unwrap()


async def test_waiting_longer_than_asked_for_is_an_error_and_the_run_goes_on(executor: Stent) -> None:
    run_id = await executor.dispatch(wait_long)
    with pytest.raises(ExpiryError, match=run_id) as caught:
        await executor.wait_for(run_id, expiry=0.02)
    assert isinstance(caught.value, TimeoutError)
    assert "running" == await executor.state_of(run_id)


async def test_a_run_that_has_ended_is_waited_for_in_no_time(executor: Stent) -> None:
    run_id = await executor.dispatch(double, 3)
    await executor.wait_for(run_id, expiry=PATIENCE_S)
    assert Result.success(6) == await executor.wait_for(run_id, expiry=timedelta(seconds=PATIENCE_S))


async def test_many_may_wait_for_one_run(executor: Stent) -> None:
    run_id = await executor.dispatch(call_double, 3)
    results = await asyncio.gather(*[executor.wait_for(run_id, expiry=PATIENCE_S) for _ in range(10)])
    assert [Result.success(6)] * 10 == results


async def test_somebody_else_s_end_of_a_run_is_noticed(backend: SQLiteBackend, tmp_path: Any) -> None:
    other = Stent(SQLiteBackend(tmp_path / "stent.db"))
    async with Stent.bootstrap(backend) as executor:
        assert Result.success(6) == await other.wait_for(await executor.dispatch(call_double, 3), expiry=PATIENCE_S)
        assert Result.success(8) == await other.wait_for(await other.dispatch(call_double, 4), expiry=PATIENCE_S)
    await other.shutdown()


# -- what is not there -------------------------------------------------------------------------------------------------


async def test_an_unknown_run_is_an_error_of_its_own_everywhere(executor: Stent) -> None:
    for asked in (
        executor.wait_for("nobody"),
        executor.state_of("nobody"),
        executor.result_of("nobody"),
        executor.history_of("nobody"),
        executor.cancel("nobody"),
        executor.send_signal("nobody", "hello"),
    ):
        with pytest.raises(UnknownRunError, match="nobody") as caught:
            await asked
        assert isinstance(caught.value, LookupError)
        assert "nobody" == caught.value.run_id


async def test_a_run_that_goes_on_has_no_result_yet(executor: Stent) -> None:
    run_id = await executor.dispatch(wait_long)
    with pytest.raises(RunStateError, match="no result yet"):
        await executor.result_of(run_id)


async def test_a_run_that_has_ended_takes_no_signal_and_no_cancel(executor: Stent) -> None:
    run_id = await executor.dispatch(double, 1)
    await executor.wait_for(run_id, expiry=PATIENCE_S)
    with pytest.raises(RunFinishedError, match=run_id):
        await executor.send_signal(run_id, "hello")
    assert await executor.cancel(run_id) is False
    assert "completed" == await executor.state_of(run_id)


# -- states and histories ----------------------------------------------------------------------------------------------


async def test_the_state_of_a_run_says_when_and_what(executor: Stent) -> None:
    before = datetime.now(UTC)
    run_id = await executor.dispatch(call_double, 3, tags=["a"], priority=2)
    await executor.wait_for(run_id, expiry=PATIENCE_S)
    state = await executor.state_of(run_id)
    info = state.info
    assert "completed" == state
    assert state.is_ended
    assert (run_id, "call_double", "orchestrator", ("a",), 2) == (
        info.execution_id,
        info.name,
        info.role,
        info.tags,
        info.priority,
    )
    assert info.started_at is not None
    assert info.finished_at is not None
    assert before <= info.created_at <= info.started_at <= info.finished_at <= datetime.now(UTC)


async def test_each_end_has_its_state(executor: Stent) -> None:
    runs = {
        "completed": await executor.dispatch(double, 1),
        "failed": await executor.dispatch(refuse, 1),
        "timed_out": await executor.dispatch(wait_long, expiry="1ms"),
        "cancelled": await executor.dispatch(wait_long),
    }
    await executor.cancel(runs["cancelled"], "enough")
    for run_id in runs.values():
        await executor.wait_for(run_id, expiry=PATIENCE_S)
    assert list(runs) == [await executor.state_of(run_id) for run_id in runs.values()]
    assert Result.success(2) == await executor.result_of(runs["completed"])
    assert Result.failure(RefusedError(1)) == await executor.result_of(runs["failed"])


async def test_a_history_is_whole_and_in_order(executor: Stent) -> None:
    run_id = await executor.dispatch(call_double, 3)
    await executor.wait_for(run_id, expiry=PATIENCE_S)
    history = await executor.history_of(run_id)
    assert ["RunStarted", "CallScheduled", "CallCompleted", "RunCompleted"] == [event.type for event in history]
    assert [1, 2, 3, 4] == [event.seq for event in history]


# -- lists -------------------------------------------------------------------------------------------------------------


async def test_pages_show_every_run_once_newest_first(executor: Stent) -> None:
    runs = [await executor.dispatch(double, number) for number in range(25)]
    found: list[str] = []
    after, pages = None, 0
    while True:
        page = await executor.list_executions(limit=10, after=after)
        assert len(page) <= 10
        found += [info.execution_id for info in page]
        pages += 1
        after = page.next_page
        if after is None:
            break
    assert 3 == pages
    assert sorted(runs) == sorted(found)
    listed = await executor.list_executions()
    assert sorted((info.created_at for info in listed), reverse=True) == [info.created_at for info in listed]


async def test_a_new_run_does_not_shift_the_pages_behind_it(executor: Stent) -> None:
    runs = {await executor.dispatch(double, number) for number in range(6)}
    first = await executor.list_executions(limit=3)
    await executor.dispatch(double, 99)
    second = await executor.list_executions(limit=3, after=first.next_page)
    assert runs == {info.execution_id for info in [*first, *second]}
    assert second.next_page is None


async def test_a_page_that_is_just_full_is_the_last_one(executor: Stent) -> None:
    for number in range(3):
        await executor.dispatch(double, number)
    assert (await executor.list_executions(limit=3)).next_page is None


async def test_every_filter_narrows(executor: Stent) -> None:
    parent = await executor.dispatch(call_parent, id="parent-1")
    other = await executor.dispatch(double, 1, tags=["t", "u"], queue="default", id="other-1")
    failed = await executor.dispatch(refuse, 1, id="failed-1")
    for run_id in (parent, other, failed):
        await executor.wait_for(run_id, expiry=PATIENCE_S)
    created = (await executor.state_of(failed)).info.created_at

    async def found(**filters: Any) -> set[str]:
        return {info.execution_id for info in await executor.list_executions(**filters)}

    assert {failed} == await found(state="failed")
    assert {failed, other, parent} == await found(state=["failed", "completed"], roots_only=True)
    assert {other} == await found(function=double)
    assert {failed} == await found(function=refuse.__stent_function__.name)
    assert {other} == await found(tags=["t", "u"])
    assert set() == await found(tags=["t", "x"])
    assert {other} == await found(queue="default", id_prefix="other")
    assert 1 == len(await found(parent=parent))
    assert {parent} == await found(id_prefix="parent-", roots_only=True)
    assert {failed} == await found(created_after=created, id_prefix="failed")
    assert failed not in await found(created_before=created)


@Stent.durable
async def call_parent() -> int:
    return await call_double(1)


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # the point


@pytest.mark.parametrize(
    "bad", [{"limit": 0}, {"limit": True}, {"state": "done"}, {"after": "x"}, {"created_after": NAIVE}]
)
async def test_a_filter_that_means_nothing_is_an_error(executor: Stent, bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(bad))):
        await executor.list_executions(**bad)

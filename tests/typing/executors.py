"""What type checkers know of executors, results and the tools of orchestrators. Checked by mypy, never run."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any, assert_type
from uuid import UUID

from stent import ExecutionInfo, ExecutionState, Result, Stent


@Stent.durable
async def double(number: int) -> int:
    return 2 * number


async def an_executor_starts_waits_and_asks() -> None:
    backend = Stent.backends.SQLiteBackend("app.db", durability="relaxed")
    async with Stent.bootstrap(backend, serve=True, max_concurrency=3) as executor:
        assert_type(executor, Stent)
        assert_type(await executor.dispatch(double, 2, tags=["a"]), str)
        assert_type(await executor.schedule("1h", double, 2), str)
        assert_type(await executor.wait_for("id", expiry=3.0), Result[Any])
        assert_type(await executor.state_of("id"), ExecutionState)
        assert_type(await executor.send_signal("id", "name", {"any": "value"}), bool)
        assert_type(await executor.cancel("id"), bool)
        for info in await executor.list_executions(state="failed"):
            assert_type(info, ExecutionInfo)
    assert_type(Stent.open("sqlite:///app.db"), Stent)


async def an_orchestrator_has_tools() -> None:
    assert_type(Stent.now(), datetime)
    assert_type(Stent.random(), random.Random)
    assert_type(Stent.uuid4(), UUID)
    assert_type(Stent.patched("change"), bool)
    assert_type(await Stent.wait_for_signal("name", timeout="1h"), Any)
    await Stent.sleep("1h30m")


def a_result_is_of_its_type() -> None:
    result: Result[int] = Result.success(3)
    assert_type(result.unwrap(), int)
    assert_type(result.unwrap_or("none"), int | str)
    assert_type(result.map(str), Result[str])
    assert_type(result.flat_map(lambda value: Result.success([value])), Result[list[int]])
    assert_type(result.value, int | None)
    assert_type(result.error, BaseException | None)
    failed: Result[int] = Result.failure(ValueError("no"))
    wrong: Result[str] = result  # type: ignore[assignment]  # another type
    del failed, wrong


def wrong_values_are_errors() -> None:
    Stent.backends.SQLiteBackend("app.db", durability="never")  # type: ignore[arg-type]  # one of two words
    Stent.open(3)  # type: ignore[arg-type]  # a text is asked for

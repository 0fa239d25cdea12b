"""A client that waits for a run whose outcome is damaged is told which one it is."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from stent import Stent
from stent.backends import SQLiteBackend
from stent.errors import CorruptHistoryError


@Stent.durable
async def greet(name: str) -> str:
    return f"hello {name}"


@pytest.mark.parametrize("value", [7, "text", b"{", b"\xff", None])
async def test_a_damaged_outcome_is_named_by_run_and_seq(backend: SQLiteBackend, value: object) -> None:
    async with Stent.bootstrap(backend) as executor:
        run_id = await executor.dispatch(greet, "ada", id="greeting")
        await executor.wait_for(run_id)
    with contextlib.closing(sqlite3.connect(backend.path)) as connection, connection:
        connection.execute("UPDATE stent_events SET payload = ? WHERE code = 4", (value,))
    reader = Stent(backend)
    with pytest.raises(CorruptHistoryError) as caught:
        await reader.wait_for(run_id, expiry=5)
    await reader.shutdown()
    assert ("greeting", True) == (caught.value.run_id, f"seq {caught.value.seq}" in caught.value.message)
    assert caught.value.seq > 1

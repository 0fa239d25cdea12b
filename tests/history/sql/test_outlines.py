"""Outlines come from the driver itself, and its errors are ours all the same. What they say: the conformance suite."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from stent.clock import ManualClock
from stent.errors import StoreError
from stent.history.sql.sqlite import SQLiteStore
from stent.testing.conformance.rigging import Rig, scheduled

PAGE_BYTES = 4096


def test_a_page_that_is_damaged_in_the_middle_of_the_answer_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "stent.db"
    rig = Rig(SQLiteStore(path, durability="relaxed"), ManualClock())
    rig.store.initialise()
    rig.hold("a")
    rig.append("a", *(scheduled(number) for number in range(1, 2_000)))
    rig.store.close()
    damage_last_page_with(path, b"shop.pay")
    store = SQLiteStore(path)
    with pytest.raises(StoreError) as caught:
        store.read_outlines(["a"])
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    store.close()


def damage_last_page_with(path: Path, text: bytes) -> None:
    """The table is filled in the order of its key, so its last events are where such a text is found last."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    start = data.rindex(text) // PAGE_BYTES * PAGE_BYTES
    data[start : start + PAGE_BYTES] = b"\xff" * PAGE_BYTES
    path.write_bytes(data)

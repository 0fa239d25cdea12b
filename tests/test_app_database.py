"""Databases that are missing, foreign, damaged or not ours: clear errors, and no harm done."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from stent import Stent, StentError
from stent.backends import SQLiteBackend
from stent.errors import CorruptHistoryError, NotConfiguredError, OptionError, SchemaVersionError, StoreUnavailableError
from tests.crash.processes import until_state

PATIENCE_S = 10


@Stent.durable
async def double(number: int) -> int:
    return number * 2


@Stent.durable
async def call_double(number: int) -> int:
    return await double(await double(number))


async def start(place: str | Path) -> None:
    async with Stent.bootstrap(SQLiteBackend(place)):
        pytest.fail("it should not have started")


async def test_init_db_makes_the_tables_and_does_no_harm_twice(backend: SQLiteBackend, tmp_path: Path) -> None:
    await backend.init_db()
    executor = Stent(backend=backend)
    run_id = await executor.dispatch(double, 2)
    await backend.init_db()
    assert "pending" == await executor.state_of(run_id)
    await executor.shutdown()
    assert (tmp_path / "stent.db").exists()


async def test_an_executor_is_opened_by_url_by_file_name_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'by-url.db'}"
    first = Stent.open(url)
    run_id = await first.dispatch(double, 2)
    await first.shutdown()
    monkeypatch.setenv("STENT_DATABASE_URL", url)
    for same in (Stent.open(), Stent.open(str(tmp_path / "by-url.db"))):
        assert "pending" == await same.state_of(run_id)
        await same.shutdown()


async def test_no_database_named_is_an_error_that_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STENT_DATABASE_URL", raising=False)
    with pytest.raises(NotConfiguredError, match="STENT_DATABASE_URL"):
        Stent.open()
    with pytest.raises(OptionError, match="memory"):
        SQLiteBackend(":memory:")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes\n" * 100)
    with pytest.raises(StoreUnavailableError, match=r"notes\.txt.*\n.*no SQLite database"):
        await start(file)
    assert "these are my notes\n" * 100 == file.read_text()


async def test_a_damaged_database_is_refused(backend: SQLiteBackend, tmp_path: Path) -> None:
    async with Stent.bootstrap(backend):
        await call_double(1)
    file = tmp_path / "stent.db"
    assert not (tmp_path / "stent.db-wal").exists(), "the last one to close leaves one file behind"
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    with pytest.raises(StoreUnavailableError, match=r"damaged|backup"):
        await start(file)


async def test_a_database_of_a_newer_version_is_refused(backend: SQLiteBackend, tmp_path: Path) -> None:
    await backend.init_db()
    connection = sqlite3.connect(tmp_path / "stent.db")
    connection.execute("UPDATE stent_schema_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaVersionError, match="9999") as caught:
        await start(tmp_path / "stent.db")
    assert "upgrade Stent" in str(caught.value)


async def test_a_database_of_another_program_is_not_touched_but_by_tables_of_our_own(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.execute("CREATE TABLE runs (id INTEGER)")
    connection.execute("INSERT INTO runs VALUES (7)")
    connection.commit()
    connection.close()
    async with Stent.bootstrap(str(tmp_path / "app.db")):
        assert 4 == await double(2)
    connection = sqlite3.connect(tmp_path / "app.db")
    assert [(7,)] == connection.execute("SELECT * FROM runs").fetchall()
    connection.close()


async def test_a_folder_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="folder exists"):
        await start(tmp_path / "nowhere" / "stent.db")


async def test_a_place_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    place = tmp_path / "stent.db"
    place.mkdir()  # even root cannot write a file there
    with pytest.raises(StoreUnavailableError, match="write into it"):
        await start(place)


@pytest.mark.parametrize("damage", ["payload = X'5B395D'", "payload = 9", "hash = 'text'"])
async def test_a_damaged_history_stops_its_run_and_no_other(
    backend: SQLiteBackend, tmp_path: Path, damage: str
) -> None:
    async with Stent.bootstrap(backend) as executor:
        damaged = await executor.dispatch(sleep_then_double, 1)
        healthy = await executor.dispatch(sleep_then_double, 2)
    connection = sqlite3.connect(tmp_path / "stent.db")
    changed = connection.execute(f"UPDATE stent_events SET {damage} WHERE run_id = ? AND seq = 1", (damaged,)).rowcount
    connection.commit()
    connection.close()
    assert 1 == changed
    async with Stent.bootstrap(backend) as executor:
        await executor.send_signal(damaged, "go")
        await executor.send_signal(healthy, "go")
        assert 4 == (await executor.wait_for(healthy, expiry=PATIENCE_S)).unwrap()
        await until_state(executor, damaged, "stalled")
        assert CorruptHistoryError.code in ((await executor.state_of(damaged)).info.stall_reason or "")
        with pytest.raises(CorruptHistoryError):
            await executor.history_of(damaged)


@pytest.mark.parametrize("cell", ["tags = '{'", "status = 'lost'", "priority = 'high'", "created_at_us = 'x'"])
async def test_a_damaged_row_stops_its_run_and_no_other(backend: SQLiteBackend, tmp_path: Path, cell: str) -> None:
    """It is stalled, the reason names the cell, and lists show it beside the others."""
    async with Stent.bootstrap(backend) as executor:
        damaged = await executor.dispatch(sleep_then_double, 1)
        healthy = await executor.dispatch(sleep_then_double, 2)
    change(tmp_path, f"UPDATE stent_runs SET {cell} WHERE run_id = ?", damaged)
    async with Stent.bootstrap(backend) as executor:
        for run_id in (damaged, healthy):
            await executor.send_signal(run_id, "go")
        assert 4 == (await executor.wait_for(healthy, expiry=PATIENCE_S)).unwrap()
        await until_state(executor, damaged, "stalled")
        reason = (await executor.state_of(damaged)).info.stall_reason or ""
        assert f"run {damaged}: its row in stent_runs is damaged, column '{cell.split()[0]}'" in reason
        listed = {execution.execution_id: execution.state for execution in await executor.list_executions()}
        assert ("stalled", "completed") == (listed[damaged], listed[healthy])
        assert 6 == await double(3), "the worker goes on"


async def test_damaged_tags_stop_no_worker_that_asks_for_tags(backend: SQLiteBackend, tmp_path: Path) -> None:
    executor = Stent(backend)
    run_ids = [await executor.dispatch(double, number, tags=("t",)) for number in (1, 2, 3)]
    lost, damaged, healthy = run_ids
    change(tmp_path, "UPDATE stent_ready SET tags = '{' WHERE run_id IN (?, ?)", lost, damaged)
    change(tmp_path, "UPDATE stent_runs SET tags = '{' WHERE run_id = ?", damaged)
    await executor.serve(tags=["t"], until_idle=True)
    assert ["completed", "stalled", "completed"] == [str(await executor.state_of(run_id)) for run_id in run_ids]
    assert sorted([healthy, lost]) == sorted(found.execution_id for found in await executor.list_executions(tags=["t"]))
    await executor.shutdown()


async def test_a_damaged_call_stops_its_run_and_no_other(backend: SQLiteBackend, tmp_path: Path) -> None:
    executor = Stent(backend)
    damaged, healthy = [await executor.dispatch(call_far_double, number) for number in (1, 2)]
    await executor.serve(queues=["default"], until_idle=True)
    change(tmp_path, "UPDATE stent_ready SET tags = '{' WHERE run_id = ? AND call = 1", damaged)
    await executor.shutdown()
    async with Stent.bootstrap(backend) as executor:
        assert 4 == (await executor.wait_for(healthy, expiry=PATIENCE_S)).unwrap()
        await until_state(executor, damaged, "stalled")
        reason = (await executor.state_of(damaged)).info.stall_reason or ""
        assert f"run {damaged}: its row in stent_ready is damaged, column 'tags'" in reason


def change(folder: Path, statement: str, *run_ids: str) -> None:
    """Damage rows behind the store's back."""
    connection = sqlite3.connect(folder / "stent.db")
    assert len(run_ids) == connection.execute(statement, run_ids).rowcount
    connection.commit()
    connection.close()


@Stent.durable(queue="far")
async def far_double(number: int) -> int:
    return number * 2


@Stent.durable
async def call_far_double(number: int) -> int:
    return await far_double(number)


@Stent.durable
async def sleep_then_double(number: int) -> int:
    await Stent.wait_for_signal("go")
    return await double(number)


async def test_an_executor_is_opened_again_when_it_is_used_after_its_shutdown(backend: SQLiteBackend) -> None:
    executor = Stent(backend)
    run_id = await executor.dispatch(double, 1)
    await executor.shutdown()
    assert "pending" == await executor.state_of(run_id)
    await executor.shutdown()


async def test_every_error_has_a_code_and_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(StentError, match=r"^\[STN301\].*(?s:.*)fix: ") as caught:
        await start(tmp_path / "nowhere" / "stent.db")
    assert caught.value.fix

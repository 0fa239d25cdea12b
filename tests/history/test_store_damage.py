"""One damaged row stops nobody but its own run: claims go on, lists show it, and it says what is damaged.

The store in memory has no cells that could be damaged.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from stent.clock import ManualClock
from stent.errors import CorruptHistoryError
from stent.history import wire
from stent.history.operations import Append, Capabilities, ClaimedRuns, ClaimRuns, Fenced, Release
from stent.history.records import RunFilter
from stent.history.sql.postgres_tags import LIST_OF_TEXTS
from stent.testing.conformance.opening import opened
from stent.testing.conformance.rigging import ALL, FUNCTIONS, Rig, call, part, scheduled, signal
from tests.history.stores import open_sqlite
from tests.postgres.server import emptied_database

WITH_TAG = Capabilities(FUNCTIONS, tags=frozenset({"t"}))
NO_LISTS = ["", "{", "7", '"t"', '{"t":"t"}', "[1]", '["t"', '["t" "u"]', '["t",]', '["\\x"]', '["\t"]', "[" * 5_000]

Damage = Callable[[str], None]
"""Executes a statement on the tables behind the store's back."""


@contextlib.contextmanager
def tables_on(kind: str, folder: Path, clock: ManualClock) -> Iterator[tuple[Rig, Damage]]:
    """A store, and a way to damage it."""
    if kind == "sqlite":
        opener, connect = open_sqlite(folder, clock), lambda: sqlite3.connect(folder / "stent.db")
    else:
        from stent.history.sql.postgres import PostgresStore

        url = emptied_database()
        opener, connect = lambda: PostgresStore(url, clock=clock), lambda: psycopg.connect(url)

    def damage(statement: str) -> None:
        with contextlib.closing(connect()) as connection, connection:
            assert connection.execute(statement).rowcount > 0

    with opened(opener) as (store,):
        yield Rig(store, clock), damage


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[tuple[Rig, Damage]]:
    given = request.node.callspec.params
    cell, call_cell = [tuple(map(given.get, names)) for names in (("column", "value"), ("statement", "said"))]
    if request.param == "postgres" and (cell in ROWS_OF_SQLITE or call_cell in CALLS_OF_SQLITE):
        pytest.skip("the column holds nothing else there")
    with tables_on(request.param, tmp_path, clock) as table:
        yield table


@pytest.fixture
def on_sqlite(tmp_path: Path, clock: ManualClock) -> Iterator[tuple[Rig, Damage]]:
    """Its columns take any type."""
    with tables_on("sqlite", tmp_path, clock) as table:
        yield table


@pytest.fixture
def rig(table: tuple[Rig, Damage]) -> Rig:
    return table[0]


@pytest.fixture
def damage(table: tuple[Rig, Damage]) -> Damage:
    return table[1]


def is_sqlite(rig: Rig) -> bool:
    return rig.store.url.startswith("sqlite")


def ids(runs: Sequence[Any]) -> list[str]:
    return sorted(run.run_id for run in runs)


# -- runs ------------------------------------------------------------------------------------------------------------

ROWS = [("tags", "'{'"), ("tags", "'[1]'"), ("status", "'lost'"), ("role", "'king'")]
ROWS_OF_SQLITE = [
    *(("tags", "X'00'"), ("function", "X'00'"), ("priority", "'high'"), ("epoch", "2.5"), ("crashes", "'many'")),
    *(("created_at_us", "'x'"), ("created_at_us", "1.5"), ("created_at_us", "9e999"), ("queue", "X'00'")),
    *(("parent_call", "'x'"), ("started_at_us", "'x'"), ("stall", "X'00'"), ("limit_key", "X'00'")),
]


@pytest.mark.parametrize(("column", "value"), [*ROWS, *ROWS_OF_SQLITE])
def test_a_damaged_run_is_claimed_with_the_others_and_can_be_stalled(
    rig: Rig, damage: Damage, column: str, value: str
) -> None:
    """Whoever reads it finds the damage, named by table, run and column; and then it waits for a person."""
    rig.register()
    rig.start("bad", tags=("t",))
    rig.start("good", tags=("t",))
    damage(f"UPDATE stent_runs SET {column} = {value} WHERE run_id = 'bad'")
    claimed = rig.do(ClaimRuns("w1", ALL, 100, 100))
    assert isinstance(claimed, ClaimedRuns)
    assert ["bad", "good"] == ids(claimed.runs)
    with pytest.raises(
        CorruptHistoryError, match=rf"run bad: its row in stent_runs is damaged, column '{column}'"
    ) as e:
        rig.store.load_runs(["bad"])
    assert ["good"] == ids([loaded.run for loaded in rig.store.load_runs(["good"])])
    epoch = next(run.epoch for run in claimed.runs if run.run_id == "bad")
    rig.do(Append("bad", epoch, status="stalled", stall=str(e.value), release=Release()))
    assert ("stalled", str(e.value)) == (rig.run("bad").status, rig.run("bad").stall)
    assert ["bad"] == ids(rig.store.stalled_runs(10))
    assert [] == rig.store.stalled_runs(10, {"bad"})
    assert ["bad"] == ids(rig.store.list_runs(RunFilter(statuses=("stalled",))))
    assert 1 == len(rig.seqs("bad")), "nothing of it is lost"


@pytest.mark.parametrize(("column", "value"), [*ROWS, *ROWS_OF_SQLITE])
def test_a_list_shows_a_damaged_run_among_the_others(rig: Rig, damage: Damage, column: str, value: str) -> None:
    for number in range(5):
        rig.clock.advance(1)
        rig.start(f"run-{number}")
    whole = rig.run("run-2")
    damage(f"UPDATE stent_runs SET {column} = {value} WHERE run_id = 'run-2'")
    shown = rig.run("run-2")
    assert f"column {column!r}" in (shown.stall or "")
    same = {"run_id", "owner", "finished_at_us", "parent_run", "limit_key", "queue", "parent_call", "started_at_us"}
    assert [getattr(whole, name) for name in same] == [getattr(shown, name) for name in same]
    assert ("stalled" if column == "status" else "pending") == shown.status
    assert [f"run-{number}" for number in range(5)] == sorted(paged(rig)), (
        "page by page, also right behind it, each once"
    )


def paged(rig: Rig) -> list[str]:
    found: list[str] = []
    page = rig.store.list_runs(RunFilter(limit=1))
    while page and len(found) < 20:
        found += [run.run_id for run in page]
        page = rig.store.list_runs(RunFilter(limit=1, before=(page[-1].created_at_us, page[-1].run_id)))
    return found


# -- tags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", NO_LISTS)
def test_damaged_tags_fail_no_question_about_tags(rig: Rig, damage: Damage, tags: str) -> None:
    rig.register()
    for run_id, names in (("bad", ("u",)), ("good", ("t",)), ("other", ("u",)), ("none", ())):
        rig.start(run_id, tags=names)
    damage(f"UPDATE stent_runs SET tags = '{tags}' WHERE run_id = 'bad'")
    assert ["good"] == ids(rig.store.list_runs(RunFilter(tags=("t",))))
    assert rig.store.glance("w1", WITH_TAG).has_ready
    damage(f"UPDATE stent_ready SET tags = '{tags}' WHERE run_id = 'bad'")
    assert rig.store.glance("w1", WITH_TAG).has_ready
    assert ["bad", "good"] == rig.claim_ids(can=WITH_TAG)
    assert ["none", "other"] == rig.claim_ids(can=Capabilities(FUNCTIONS, tags=None), limit=2)


def test_whoever_asks_for_a_tag_may_take_a_run_whose_tags_are_damaged(rig: Rig, damage: Damage) -> None:
    """Else nobody might ever take it, where all workers ask for tags, and nobody would hear of the damage."""
    rig.register()
    rig.start("bad", tags=("u",))
    rig.start("later", tags=("u",), due_us=rig.clock.now_us() + 5)
    for table in ("stent_ready", "stent_runs"):
        assert not rig.store.glance("w1", WITH_TAG).has_ready
        assert not rig.store.has_sleepers(WITH_TAG)
        damage(f"UPDATE {table} SET tags = '{{' WHERE run_id IN ('bad', 'later')")
        if table == "stent_ready":
            assert rig.store.glance("w1", WITH_TAG).has_ready
            assert ["bad"] == rig.claim_ids(can=WITH_TAG)
    assert rig.store.has_sleepers(WITH_TAG)
    rig.clock.advance(5)
    assert ["later"] == rig.claim_ids(can=WITH_TAG)


@pytest.mark.parametrize("tags", ['["t"]', ' [ "u" ,"t" ] ', '[\n"\\u0074"\n]', "[]", "[ ]"])
def test_tags_in_another_spelling_are_whole(rig: Rig, damage: Damage, tags: str) -> None:
    rig.register()
    rig.start("a", tags=("u",))
    damage(f"UPDATE stent_ready SET tags = '{tags}'")
    is_escaped = "\\u" in tags and not is_sqlite(rig)  # there a tag is compared by the text that Stent writes
    assert (["a"] if "t" in json.loads(tags) and not is_escaped else []) == rig.claim_ids(can=WITH_TAG)


@pytest.mark.slow
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(), max_size=4) | st.lists(st.characters(max_codepoint=160), max_size=4))
@example(["\x7f", "\x00", "\\", '"', "/", "\U0010ffff", "\ud800"])
def test_every_list_of_tags_is_known_to_be_whole(pattern_server: psycopg.Connection, tags: list[str]) -> None:
    found = pattern_server.execute("SELECT %s::text ~ %s", (json.dumps(tags), LIST_OF_TEXTS)).fetchone()
    assert (True,) == found


@pytest.mark.slow
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from('[]", \\ut0d1\n\t{:x'), max_size=14).map(lambda text: f'["{text}"]'))
def test_what_is_said_to_be_whole_is_json(pattern_server: psycopg.Connection, text: str) -> None:
    """A cast of anything else would fail the claims of all workers."""
    (is_whole,) = pattern_server.execute("SELECT %s::text ~ %s", (text, LIST_OF_TEXTS)).fetchone() or (None,)
    if is_whole:
        (found,) = pattern_server.execute("SELECT json_typeof(%s::json)", (text,)).fetchone() or (None,)
        assert "array" == found
    with contextlib.suppress(ValueError):
        whole = json.loads(text)
        assert is_whole == all(type(tag) is str for tag in whole)


@pytest.fixture
def pattern_server() -> Iterator[psycopg.Connection]:
    with contextlib.closing(psycopg.connect(emptied_database(), autocommit=True)) as connection:
        yield connection


# -- calls -----------------------------------------------------------------------------------------------------------

CALLS = [
    ("UPDATE stent_ready SET items = '{{' WHERE {place}", "stent_ready is damaged, column 'items'"),
    ("UPDATE stent_ready SET items = '[[1]]' WHERE {place}", "stent_ready is damaged, column 'items'"),
    ("UPDATE stent_ready SET tags = '{{' WHERE {place}", "stent_ready is damaged, column 'tags'"),
    ("UPDATE stent_ready SET seq = 77 WHERE {place}", "stent_ready is damaged, column 'seq'"),
    ("UPDATE stent_events SET body = '{{' WHERE run_id = 'bad' AND call = 1", "run bad, seq 2"),
    (
        "UPDATE stent_events SET payload = NULL WHERE run_id = 'bad' AND call = 1",
        "run bad, seq 2: its payload is missing",
    ),
]
CALLS_OF_SQLITE = [
    ("UPDATE stent_ready SET priority = 'x' WHERE {place}", "stent_ready is damaged, column 'priority'"),
    ("UPDATE stent_ready SET ready_at_us = 'x' WHERE {place}", "stent_ready is damaged, column 'ready_at_us'"),
    ("UPDATE stent_ready SET size = 'x' WHERE {place}", "stent_ready is damaged, column 'size'"),
    ("UPDATE stent_events SET hash = 'x' WHERE run_id = 'bad' AND call = 1", "run bad, seq 2: its event is damaged"),
]


@pytest.mark.parametrize(("statement", "said"), [*CALLS, *CALLS_OF_SQLITE])
def test_a_damaged_call_is_set_aside_and_its_run_stalled(rig: Rig, damage: Damage, statement: str, said: str) -> None:
    """Its row stays as it is but for who has it; everybody else's calls are carried out."""
    for run_id in ("bad", "good"):
        rig.hold(run_id)
        rig.share(run_id, call(run_id, 1), part(run_id, 2, (0, 2)))
    rig.put(signal("bad", "k"))
    damage(statement.format(place="run_id = 'bad' AND call = 1"))
    assert [("bad", 2, 0), ("good", 1, -1), ("good", 2, 0)] == sorted(rig.claim_places())
    run = rig.run("bad")
    assert (2, None, "stalled") == (run.epoch, run.owner, run.status)
    assert said in (run.stall or "")
    assert Fenced() == rig.append("bad", scheduled(3), epoch=1), "who held it learns of it at the next append"
    assert [] == rig.claim_places()
    assert not rig.store.glance("w1", ALL).has_ready
    assert ["bad"] == ids(rig.store.stalled_runs(10))
    assert [("running", None)] == [(good.status, good.stall) for good in (rig.run("good"),)]
    assert ["bad"] == [claimed.run_id for claimed in rig.claim_runs(only=("bad",))], "for another try"
    if "'seq'" not in said:  # a number in place of another is none that a reader of the run could know
        with pytest.raises(CorruptHistoryError, match=said if "column" in said else "seq 2"):
            [wire.decode_history(loaded.rows) for loaded in rig.store.load_runs(["bad"])]


def test_damaged_rows_take_nobodys_room_for_long(rig: Rig, damage: Damage) -> None:
    """More of them than a claim takes, and better placed than what is whole."""
    rig.register()
    for number in range(5):
        rig.hold(f"bad-{number}")
        rig.share(f"bad-{number}", call(f"bad-{number}", 1, priority=9, limit_key="slow" if number % 2 else None))
    rig.hold("good")
    rig.share("good", call("good", 1))
    damage("UPDATE stent_ready SET items = '{' WHERE priority = 9")
    claims = [place for _ in range(6) for place in rig.claim_places(slots=1)]
    assert [("good", 1, -1)] == claims
    assert 5 == len(rig.store.stalled_runs(10))
    assert 0 == rig.store.queue_depth()


def test_what_is_set_aside_counts_for_no_limit(rig: Rig, damage: Damage) -> None:
    rig.register("w1", slow=1)
    rig.hold("bad")
    rig.share("bad", call("bad", 1, limit_key="slow"))
    damage("UPDATE stent_ready SET items = '{'")
    assert [] == rig.claim_places()
    rig.hold("good")
    rig.share("good", call("good", 1, limit_key="slow"))
    assert [("good", 1, -1)] == rig.claim_places()


@pytest.mark.parametrize("column", ["priority", "ready_at_us", "size", "seq", "attempt"])
def test_a_run_whose_row_among_the_ready_ones_is_damaged_is_taken(on_sqlite: tuple[Rig, Damage], column: str) -> None:
    """That row says nothing that the run's own does not."""
    rig, damage = on_sqlite
    rig.register()
    for run_id in ("bad", "good"):
        rig.start(run_id)
    damage(f"UPDATE stent_ready SET {column} = 'x' WHERE run_id = 'bad'")
    assert ["bad", "good"] == rig.claim_ids()
    assert 0 == rig.store.queue_depth()


def test_a_limit_holds_for_a_run_whose_row_among_the_ready_ones_is_damaged(on_sqlite: tuple[Rig, Damage]) -> None:
    rig, damage = on_sqlite
    rig.register("w1", slow=1)
    for run_id in ("bad", "first"):
        rig.start(run_id, limit_key="slow")
    assert ["first"] == rig.claim_ids(only=("first",))
    damage("UPDATE stent_ready SET limit_key = NULL, size = 'x' WHERE run_id = 'bad'")
    assert [] == rig.claim_ids()
    rig.end("first")
    assert ["bad"] == rig.claim_ids(), "its row was written anew"

"""How PostgreSQL carries out the hot statements on full tables: by index, whatever it knows of the tables.

The plans are asked for with the planner's own settings, not with those of the store, which forbid reading whole tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from stent.clock import SystemClock
from stent.history.events import EVENT_CODES, CallCompleted
from stent.history.operations import (
    Append,
    Capabilities,
    ClaimCalls,
    ClaimRuns,
    FinishCall,
    Operation,
    PutMessage,
    ReapWorkers,
    RegisterWorker,
    Release,
    RenewWorker,
    StartRun,
)
from stent.history.records import RunFilter
from stent.history.sql.postgres import PostgresStore
from stent.history.sql.postgres_connection import SETTINGS
from stent.history.sql.postgres_talk import Statement
from stent.testing.conformance.rigging import ALL, FUNCTIONS, Rig, call, new_run, part, scheduled, signal
from tests.postgres.server import fresh_database

pytestmark = pytest.mark.slow

RUNS = 20_000
CLOCK: Any = SystemClock()

# Besides ours, which are small: a hundred workers, a thousand limits.
FILL = f"""
INSERT INTO stent_runs
    (run_id, function, role, status, priority, epoch, created_at_us, started_at_us, finished_at_us, crashes)
SELECT 'run-' || n, 'shop.order', 'orchestrator', CASE WHEN n % 50 = 0 THEN 'running' ELSE 'completed' END, 0, 1, n,
    n, CASE WHEN n % 50 <> 0 THEN n END, 0 FROM generate_series(1, {RUNS}) n;
INSERT INTO stent_events (run_id, seq, epoch, at_us, code, version, body, hash, token)
SELECT 'run-' || n, s, 1, n, 1, 1, '{{}}', '\\x00', '\\x01' FROM generate_series(1, {RUNS}) n, generate_series(1, 4) s;
INSERT INTO stent_ready
    (run_id, call, first_item, seq, function, kind, size, attempt, priority, limit_key, ready_at_us, is_cancelled)
SELECT 'run-' || n, n % 3, -1, 1, 'shop.order', CASE WHEN n % 3 = 0 THEN n % 2 ELSE 2 END, 1, 1, 0,
    CASE WHEN n % 100 = 0 THEN 'slow' END, n, 0 FROM generate_series(1, {RUNS}) n;
INSERT INTO stent_inbox (run_id, key, code, version, call, put_at_us, codec, payload)
SELECT 'run-' || n, 'key', {EVENT_CODES[CallCompleted]}, 1, 1, n, 1, 'null' FROM generate_series(1, {RUNS}) n;
INSERT INTO stent_sleeping (run_id, due_at_us)
SELECT 'run-' || n, 9000000000000000 + n FROM generate_series(1, {RUNS}) n;
INSERT INTO stent_payloads (run_id, seq, data) SELECT 'run-' || n, 1, '\\x00' FROM generate_series(1, {RUNS}) n;
ANALYZE
"""

# What may be read whole, and why that is little.
SMALL = {
    "stent_workers": "a row a process",
    "stent_limits": "a row a limited function",
    "stent_schema_version": "one row",
    "stent_ready_claimed": "as many rows as all workers have slots",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fresh_database() as url:
        yield url


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(url, listen_dsn="")
    store.initialise()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL)
    rig = Rig(store, CLOCK)
    rig.register("w1", slow=2)
    rig.register("w2")
    for name in ("a", "b"):
        rig.hold(name)
    rig.put(signal("a", "k"))
    rig.share("a", call("a", 1), part("a", 2, (0, 9), limit_key="slow"))
    yield store
    store.close()


def operations(rig: Rig) -> list[Operation]:
    can = Capabilities(FUNCTIONS, frozenset({"default"}), frozenset({"t"}))
    rows = rig.rows("a", *(scheduled(number) for number in range(3, 6)))
    return [
        StartRun(new_run("c", owner="w1")),
        PutMessage(signal("b", "x")),
        Append(
            "a", 1, rows, ("k",), (new_run("e"),), (signal("b", "m"),), (), (1,), "running", 5, None, Release(9, False)
        ),
        ClaimRuns("w1", ALL, 10, 10),
        ClaimRuns("w1", can, 10, 10),
        ClaimRuns("w1", can, 10, 10, ("a", "b")),
        ClaimCalls("w1", ALL, 10),
        ClaimCalls("w1", can, 10),
        FinishCall("w1", "a", 1, -1, signal("a", "x")),
        RegisterWorker("w3", "host", 1, 5, None, (("slow", 2),)),
        RenewWorker("w1", 5_000_000),
        ReapWorkers(("w3",)),
    ]


def plan(connection: psycopg.Connection[Any], sql: str, values: Any) -> list[str]:
    return [row[0] for row in connection.execute(f"EXPLAIN {sql}", values)]


def whole_tables(lines: Sequence[str]) -> list[str]:
    """Lines of a plan that read a whole table or index of ours."""
    found = []
    for place, line in enumerate(lines):
        scan = re.search(r"(Seq Scan|Index(?: Only)? Scan|Bitmap Index Scan)(?: Backward)?.* on (stent_\w+)", line)
        if scan is None or any(re.search(rf"\b{small}\b", line) for small in SMALL):
            continue
        has_condition = place + 1 < len(lines) and "Index Cond" in lines[place + 1]
        if scan[1] == "Seq Scan" or not has_condition:
            found.append(line.strip())
    return found


@pytest.fixture
def said(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """What the store asks while the test runs."""
    statements: list[Statement] = []
    whole = PostgresStore._send

    def keep(self: PostgresStore, asked: Sequence[Statement]) -> Any:
        statements.extend(asked)
        return whole(self, asked)

    monkeypatch.setattr(PostgresStore, "_send", keep)
    return statements


def test_writing_never_reads_a_whole_table(url: str, store: PostgresStore, said: list[Statement]) -> None:
    for operation in operations(Rig(store, CLOCK)):
        store.commit([operation])
    asked = {s.sql: s for s in said if not s.sql.startswith(("BEGIN", "COMMIT", "SELECT pg_current"))}
    assert len(asked) >= 25
    with psycopg.connect(url) as connection:
        plans = {sql: plan(connection, store._text(sql), s.values) for sql, s in asked.items()}
    slow = {sql.strip(): lines for sql, found in plans.items() if (lines := whole_tables(found))}
    assert {} == slow


def test_claims_are_in_order_without_sorting_all_that_is_ready(
    url: str, store: PostgresStore, said: list[Statement]
) -> None:
    """A million ready rows must not be sorted to take ten of them."""
    store.commit([ClaimRuns("w1", ALL, 10, 10), ClaimCalls("w1", ALL, 10)])
    picks = [statement for statement in said if "picked" in statement.sql]
    assert len(picks) == 3
    with psycopg.connect(url) as connection:
        for statement in picks:
            lines = plan(connection, store._text(statement.sql), statement.values)
            (place,) = [n for n, line in enumerate(lines) if "CTE plain" in line]
            assert ["Limit", "LockRows", "Incremental Sort"] == [
                re.sub(r"^[ >-]*|  \(.*", "", line) for line in lines[place + 1 : place + 4]
            ]
            assert any("stent_ready_open" in line for line in lines[place + 4 : place + 8]), lines


def test_time_in_conditions_can_be_looked_up(url: str, store: PostgresStore, said: list[Statement]) -> None:
    """With clock_timestamp() each poll would read all timers: 118 ms instead of 0.8 for a million of them."""
    store.commit([ClaimRuns("w1", ALL, 10, 10)])
    (due,) = [statement for statement in said if "WITH due" in statement.sql]
    with psycopg.connect(url) as connection:
        lines = plan(connection, store._text(due.sql), due.values)
    assert any("Index Cond: (due_at_us <=" in line for line in lines)


def test_questions_never_read_a_whole_table(url: str, store: PostgresStore) -> None:
    asked: dict[str, Any] = {}

    @event.listens_for(store._engine, "before_cursor_execute")
    def keep(_connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked[sql] = parameters

    questions: list[Callable[[], object]] = [
        lambda: store.get_run("run-5"),
        lambda: store.read_rows("run-5"),
        lambda: store.read_rows("run-5", 1, 10),
        lambda: store.read_outlines(["run-5", "run-6"]),
        lambda: store.last_row("run-5"),
        lambda: store.terminal_row("run-5"),
        lambda: store.ended_among(["run-1", "run-2", "run-50"]),
        lambda: store.load_runs(["a", "b"]),
        lambda: store.read_inbox("w1"),
        lambda: store.cancelled_calls("w1"),
        lambda: store.possessions("w1"),
        lambda: store.stalled_runs(5),
        lambda: store.list_runs(RunFilter(before=(5, "a"))),
        lambda: store.list_runs(RunFilter(parent_run="a")),
        lambda: store.find_runs("run-19", 5),
    ]
    for ask in questions:
        ask()
    event.remove(store._engine, "before_cursor_execute", keep)
    assert len(asked) > 12
    with psycopg.connect(url) as connection:
        plans = {sql: plan(connection, sql, values) for sql, values in asked.items() if sql.startswith("SELECT")}
    slow = {sql: lines for sql, found in plans.items() if (lines := whole_tables(found))}
    assert {} == slow


def test_a_glance_looks_at_the_edges_only(url: str, store: PostgresStore) -> None:
    asked: list[tuple[str, Any]] = []

    @event.listens_for(store._engine, "before_cursor_execute")
    def keep(_connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((sql, parameters))

    store.glance("w1", ALL)
    event.remove(store._engine, "before_cursor_execute", keep)
    (sql, values) = asked[-1]
    with psycopg.connect(url) as connection:
        lines = [row[0] for row in connection.execute(f"EXPLAIN (ANALYZE, TIMING off) {sql}", values)]
    read = [int(float(count)) for line in lines for count in re.findall(r"actual.* rows=([\d.]+) loops", line)]
    assert max(read) <= 10, lines


def test_the_store_itself_forbids_reading_whole_tables(store: PostgresStore) -> None:
    """A young database has no statistics, and a plan made while a table was small would be kept."""
    assert ("off", "off", "off") == tuple(SETTINGS[f"enable_{way}"] for way in ("seqscan", "hashjoin", "mergejoin"))
    assert store._writer is not None
    assert ("off",) == store._writer.execute("SHOW enable_seqscan").fetchone()

"""The checker of invariants, for any test that has written a database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from stent.inspect.facts import Violation
from stent.inspect.invariants import Body, Ledger, check

__all__ = ["Body", "Ledger", "Violation", "assert_holds", "check", "check_file"]


def check_file(path: Path, ledger: Ledger | None = None) -> list[Violation]:
    """All violations in an SQLite file, seen in one state even while others write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        return check(connection, ledger)


def assert_holds(path: Path, ledger: Ledger | None = None) -> None:
    """Fail with everything that is wrong."""
    assert [] == [str(violation) for violation in check_file(path, ledger)]

"""The folder of a test's processes: a database, and a ledger beside it. Each process enters one before it works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.crash.ledger import Ledger

DATABASE = "stent.db"


@dataclass(slots=True)
class _Entered:
    folder: Path = Path()


_entered = _Entered()


def enter(folder: Path) -> Path:
    """Work in a folder from here on; the path of its database."""
    _entered.folder = folder
    return folder / DATABASE


def ledger() -> Ledger:
    """The ledger of the folder that this process works in."""
    return Ledger(_entered.folder / "ledger")

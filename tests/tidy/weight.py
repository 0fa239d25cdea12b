"""`from stent import Stent` and `stent --help` stay cheap: what is heavy is imported when it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = (
    *("sqlalchemy", "alembic", "psycopg"),  # opening a store
    *("pydantic", "pydantic_core"),  # histories; a value whose check or form needs it
    *("click", "rich", "textual"),  # the command line
    *("starlette", "uvicorn", "jinja2"),  # the dashboard
    *("structlog", "hypothesis", "pytest", "dask", "distributed"),
)
ENGINE = (
    *("stent.client.client", "stent.client.serving", "stent.worker.worker", "stent.worker.link"),
    *("stent.history.events", "stent.history.wire", "stent.history.store", "stent.replay.execution"),
)
"""What running durable functions needs, and defining them does not."""


def heavy_modules_loaded_by(program: str, root: Path) -> list[str]:
    """Run lines of Python in a fresh interpreter, with ``root`` first on its path; what they brought along of these."""
    lines = ["import sys", "sys.path.insert(0, sys.argv[1])", program, "print()", "print(*sys.modules)"]
    command = [sys.executable, "-c", "\n".join(lines), str(root)]
    answer = subprocess.run(command, text=True, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return sorted({*HEAVY, *ENGINE} & set(answer.stdout.splitlines()[-1].split()))

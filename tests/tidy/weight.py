"""`from stent import Stent` stays cheap: what is heavy is imported when it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = (
    *("sqlalchemy", "alembic", "psycopg"),  # opening a store
    *("click", "rich", "textual"),  # the command line
    *("starlette", "uvicorn", "jinja2"),  # the dashboard
    *("structlog", "hypothesis", "pytest", "dask", "distributed"),
)


def heavy_modules_loaded_by(module: str, root: Path) -> list[str]:
    """Import the module in a fresh interpreter, with ``root`` first on its path; the heavy ones it brought along."""
    program = f"import sys; sys.path.insert(0, sys.argv[1]); import {module}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program, str(root)], text=True, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return sorted(set(HEAVY) & set(answer.stdout.split()))

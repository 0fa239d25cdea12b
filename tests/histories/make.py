"""Records golden histories that are not there yet: `./dev python -m tests.histories.make`.

Rules of this file:
- what is there is never written again. A history says what a released Stent recorded, and a new Stent has to replay it;
  a file that was made anew would say what the new one records, and prove nothing;
- `digests.txt` has a line for each file, so that a change to one is seen;
- where the repository and Python are on the machine that recorded them (in tracebacks of errors) is left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stent.inspect.portable import dumps, loads
from stent.testing import engine

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
DIGESTS = "digests.txt"
VERSION = "v0_1"
"""The folder that new histories go to. A release that changes what is recorded begins another one."""


def main() -> None:
    programs = importlib.import_module(f"tests.histories.{VERSION}.programs")
    for path in make(programs.RECORDED, FOLDER / VERSION):
        sys.stdout.write(f"recorded {path.relative_to(ROOT)}\n")


def make(recorded: Mapping[str, Any], folder: Path) -> list[Path]:
    """Record what has no file in the folder; the files that were written."""
    missing = [record for name, record in recorded.items() if not (folder / f"{name}.json").exists()]
    texts = asyncio.run(_record(missing))
    for name, text in texts.items():
        with (folder / name).open("x", encoding="ascii") as file:  # "x": an error if it is there
            file.write(text)
        with (folder / DIGESTS).open("a", encoding="ascii") as digests:
            digests.write(f"{digest_of(text.encode())}  {name}\n")
    return [folder / name for name in texts]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _record(missing: list[Any]) -> dict[str, str]:
    """Texts of files, by their names: of each run of each program."""
    texts = {}
    for record in missing:
        async with engine() as opened:
            await record(opened)
            for run_id in opened.runs():
                text = dumps(opened.history(run_id)).replace(f"{ROOT}/", "").replace(f"{sys.base_prefix}/", "")
                loads(text)  # it is one
                texts[f"{run_id}.json"] = text
    return texts


if __name__ == "__main__":
    main()

"""One side of the corpus: a process with its own hash seed that records every program, or replays what was recorded.

Run as `python -m tests.corpus.process record|replay FOLDER`. The first execution is watched; a program that is refused
there has no history to replay. A program is run twice and the second run is the one to be replayed: what a first run
leaves behind in the process is not there in the next one.
"""

from __future__ import annotations

import importlib
import pickle
import random
import sys
from pathlib import Path
from typing import Any, NamedTuple

from stent.errors import ForbiddenInOrchestratorError
from stent.history.events import Event
from stent.registry import Function
from stent.replay import guard
from stent.replay.commands import FailRun
from stent.replay.replayer import fits
from stent.replay.watch import strict
from tests.corpus.writing import LIBRARIES
from tests.replay.driver import Drive, finish


class Outcome(NamedTuple):
    """What became of a program: who caught it and what was said; or its history."""

    caught: str
    said: str
    history: list[Event]


def record(name: str) -> Outcome:
    """Run a program for the first time, under guard and watch."""
    program: Any = importlib.import_module(name).program
    found = guard.findings(program.__stent_function__)
    if found:
        return Outcome("guard", str(found[0]), [])
    history: list[Event] = []
    for _ in range(2):
        with strict():
            drive = Drive(program, run_id=name)
            drive.start()
            finish(drive)
        drive.execution.close()
        history = drive.history
        said = _refusal(drive)
        if said:
            return Outcome("watch", said, [])
        if not drive.is_ended:
            return Outcome("", "did not end", history)
    return Outcome("", "", history)


def _refusal(drive: Drive) -> str:
    last = drive.commands[-1]
    if not isinstance(last, FailRun):
        return ""
    try:
        _ = drive.result
    except ForbiddenInOrchestratorError as error:
        return str(error)
    except Exception as error:  # a program may end with any error: that is no refusal
        return "" if name_of(error) == "ValueError" else f"failed: {error!r}"
    return ""


def name_of(error: BaseException) -> str:
    return type(error).__name__


def again(name: str, history: list[Event]) -> str:
    """Re-execute a program from the top against its history: the divergence, or nothing."""
    function: Function = importlib.import_module(name).program.__stent_function__
    error = fits(function, history)
    return str(error) if error is not None else ""


def main(verb: str, folder: Path) -> None:
    sys.path[:0] = [str(folder), str(folder / LIBRARIES)]
    if verb == "record":
        names = sorted(path.stem for path in folder.glob("*.py"))
        outcomes = {name: record(name) for name in names}
        (folder / "recorded").write_bytes(pickle.dumps(outcomes))
    else:
        random.seed(7)
        recorded: dict[str, Outcome] = pickle.loads((folder / "recorded").read_bytes())
        differing = {name: again(name, each.history) for name, each in recorded.items() if each.history}
        (folder / "replayed").write_bytes(pickle.dumps(differing))


if __name__ == "__main__":
    # Under its own name: what is pickled here is read by a process that imports this file.
    importlib.import_module("tests.corpus.process").main(sys.argv[1], Path(sys.argv[2]))

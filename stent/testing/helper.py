"""The other process of the shadow check: reads histories from its input, replays them, answers with verdicts.

Rules of this file:
- one JSON text a line: `{"path": [...], "histories": [{"module": ..., "file": ..., "rows": [...]}]}`, and for it
  `[{"finding": ..., "message": ...}]`;
- a module is imported under its own name from the path of the asking process, or else from its file;
- what user code prints goes to the standard error, so that it cannot be taken for an answer.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import sys
from binascii import a2b_base64
from typing import Any, NoReturn

from stent.codec import Payload
from stent.history import wire
from stent.history.wire import EventRow
from stent.inspect.verdict import judge
from stent.registry import default_registry


def main() -> NoReturn:
    """Answer until the input ends."""
    gc.freeze()
    gc.enable()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    known: dict[str, str] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        sys.path[:] = asked["path"]
        verdicts = [answer(each, known) for each in asked["histories"]]
        answers.write(json.dumps(verdicts) + "\n")
        answers.flush()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to be done, and to take everything apart would be another tenth of its time


def answer(asked: dict[str, Any], known: dict[str, str]) -> dict[str, str]:
    """The verdict on one history. `known` keeps why a module could not be imported, or an empty text."""
    module = asked["module"]
    if module not in known:
        known[module] = bring(module, asked["file"])
    if known[module]:
        return {"finding": "unknown", "message": f"{module} cannot be imported alone: {known[module]}"}
    verdict = judge([wire.decode(row_of(row)) for row in asked["rows"]], default_registry)
    return {"finding": verdict.finding, "message": verdict.error.message if verdict.error is not None else ""}


def row_of(plain: list[Any]) -> EventRow:
    """A row as it was before `asking` made JSON of it; its place in the chain of hashes is not needed."""
    run_id, seq, at_us, code, version, call, body, packed = plain
    payload = Payload(packed[0], a2b_base64(packed[1])) if packed is not None else None
    return EventRow(run_id, seq, 0, at_us, code, version, call, body, payload, b"")


def bring(module: str, file: str) -> str:
    """Import a module; why that cannot be, or an empty text."""
    try:
        importlib.import_module(module)
    except ImportError:
        return _bring_file(module, file)
    except Exception as error:  # border: user code, which may ask for what only its tests set up
        return repr(error)
    return ""


def _bring_file(module: str, file: str) -> str:
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        return f"{file} is no module"
    made = importlib.util.module_from_spec(spec)
    sys.modules[module] = made
    try:
        spec.loader.exec_module(made)
    except Exception as error:  # border: likewise
        del sys.modules[module]
        return repr(error)
    return ""

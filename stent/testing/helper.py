"""The other process of the shadow check: reads histories from its input, replays them, answers with verdicts.

Rules of this file:
- one JSON text a line: `{"path": [...], "histories": [{"module": ..., "file": ..., "history": {...}}]}`, and for it
  `[{"finding": ..., "message": ...}]`;
- a module is imported under its own name from the path of the asking process, or else from its file;
- what user code prints goes to the standard error, so that it cannot be taken for an answer.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from typing import Any

from stent.inspect.portable import load
from stent.inspect.verdict import judge
from stent.registry import default_registry


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    known: dict[str, str] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        sys.path[:] = asked["path"]
        verdicts = [answer(each, known) for each in asked["histories"]]
        answers.write(json.dumps(verdicts) + "\n")
        answers.flush()


def answer(asked: dict[str, Any], known: dict[str, str]) -> dict[str, str]:
    """The verdict on one history. `known` keeps why a module could not be imported, or an empty text."""
    module = asked["module"]
    if module not in known:
        known[module] = bring(module, asked["file"])
    if known[module]:
        return {"finding": "unknown", "message": f"{module} cannot be imported alone: {known[module]}"}
    verdict = judge(load(asked["history"]), default_registry)
    return {"finding": verdict.finding, "message": verdict.error.message if verdict.error is not None else ""}


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


if __name__ == "__main__":
    main()

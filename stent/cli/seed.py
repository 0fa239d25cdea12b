"""One hash seed for every process of ours that replays: the order of sets of strings is then the same in all."""

from __future__ import annotations

import os
import sys

from stent.cli.entry import Settings

VARIABLE = "PYTHONHASHSEED"
SEED = "0"


def fix_hash_seed(settings: Settings) -> None:
    """Begin this process again under the fixed seed, if it has a random one. What the user has set is kept."""
    if not settings.may_restart or os.environ.get(VARIABLE, "random") != "random":
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, VARIABLE: SEED})

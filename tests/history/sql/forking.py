"""A process that forks with a store open."""

from __future__ import annotations

import os

from stent.errors import StoreUnavailableError
from stent.testing.conformance.rigging import Rig


def refusals_after_a_fork(rig: Rig) -> list[str]:
    """What the child is told to do instead when it writes, reads and looks for news by the store of its parent."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        refusals = []
        for attempt in (lambda: rig.start("b"), lambda: rig.store.get_run("a"), lambda: rig.store.changed()):
            try:
                attempt()
            except StoreUnavailableError as error:
                refusals.append(error.fix)
        rig.store.close()
        os.write(writes, "\n".join(refusals).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writes)
    with os.fdopen(reads) as said:
        return said.read().split("\n")

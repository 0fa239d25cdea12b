"""All mutants."""

from __future__ import annotations

from tests.mutants.leases import LEASE, WRITING
from tests.mutants.mutant import Mutant
from tests.mutants.postgres import POSTGRES
from tests.mutants.programs import HISTORY, REPLAY
from tests.mutants.stores import IN_MEMORY, SQLITE
from tests.mutants.turns import TURNS
from tests.mutants.work import WORK

MUTANTS: tuple[Mutant, ...] = (*SQLITE, *IN_MEMORY, *POSTGRES, *WRITING, *LEASE, *TURNS, *WORK, *REPLAY, *HISTORY)

"""All rules by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from tests.tidy.bans import BANS, check_ban, check_seeds
from tests.tidy.floors import check_cycles, check_floors, check_testing
from tests.tidy.handling import check_borders, check_raises
from tests.tidy.mirror import check_mirror
from tests.tidy.patching import check_patching
from tests.tidy.places import check_hosts, check_paths
from tests.tidy.shape import check_docstrings, check_sizes, check_words
from tests.tidy.source import Breach, Repository

Rule: TypeAlias = Callable[[Repository], Iterable[Breach]]

RULES: Mapping[str, Rule] = {
    "syntax": lambda repository: repository.unparsed,
    "floors": check_floors,
    "testing": check_testing,
    "cycles": check_cycles,
    **{ban.rule: partial(check_ban, ban) for ban in BANS},
    "seeds": check_seeds,
    "borders": check_borders,
    "raises": check_raises,
    "patching": check_patching,
    "sizes": check_sizes,
    "docstrings": check_docstrings,
    "words": check_words,
    "mirror": check_mirror,
    "hosts": check_hosts,
    "paths": check_paths,
}

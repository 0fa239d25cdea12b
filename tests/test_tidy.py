"""The house rules, applied to this repository. The rules and their own tests are in tests/tidy/."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tidy.checkout import read_repository
from tests.tidy.rules import RULES
from tests.tidy.source import Repository
from tests.tidy.weight import ENGINE, heavy_modules_loaded_by

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Repository:
    return read_repository(ROOT)


@pytest.mark.parametrize("rule", RULES)
def test_nothing_in_the_repository_breaks_the_rule(rule: str, repository: Repository) -> None:
    breaches = sorted(RULES[rule](repository))
    if breaches:
        pytest.fail("\n".join(map(str, breaches)), pytrace=False)


DEFINING = """
import stent
@stent.Stent.durable
async def double(number: int, *, of: dict[str, list[int]] | None = None) -> int: ...
@stent.Stent.durable(max_concurrent=3, timeout="30s", retry_policy=stent.RetryPolicy(max_attempts=3))
def plain(text: str) -> bytes: ...
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", ["import stent", "from stent import Stent", DEFINING])
def test_importing_stent_and_defining_functions_loads_nothing_heavy(program: str) -> None:
    assert [] == heavy_modules_loaded_by(program, ROOT)


@pytest.mark.slow
def test_what_running_needs_is_loaded_when_it_is_used() -> None:
    """So that the names above are names of modules that there are."""
    assert set(ENGINE) <= set(heavy_modules_loaded_by("from stent import Stent; Stent('app.db')", ROOT))

"""The house rules, applied to this repository. The rules and their own tests are in tests/tidy/."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tidy.checkout import read_repository
from tests.tidy.rules import RULES
from tests.tidy.source import Repository
from tests.tidy.weight import heavy_modules_loaded_by

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Repository:
    return read_repository(ROOT)


@pytest.mark.parametrize("rule", RULES)
def test_nothing_in_the_repository_breaks_the_rule(rule: str, repository: Repository) -> None:
    breaches = sorted(RULES[rule](repository))
    if breaches:
        pytest.fail("\n".join(map(str, breaches)), pytrace=False)


@pytest.mark.slow
def test_importing_stent_loads_nothing_heavy() -> None:
    if not (ROOT / "stent" / "__init__.py").exists():
        pytest.skip("stent/__init__.py is not written yet")
    assert [] == heavy_modules_loaded_by("stent.app", ROOT)

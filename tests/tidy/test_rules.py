"""Every rule catches what is planted, at its line and nowhere else, and lets the near miss pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tidy import samples_bans, samples_floors, samples_handling, samples_places, samples_shape
from tests.tidy.planted import Sample
from tests.tidy.rules import RULES
from tests.tidy.source import Breach
from tests.tidy.weight import heavy_modules_loaded_by

SAMPLES = [
    sample
    for subject in (samples_floors, samples_bans, samples_handling, samples_shape, samples_places)
    for sample in subject.SAMPLES
]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_rule_finds_the_marked_lines_and_no_other(sample: Sample) -> None:
    breaches = list(RULES[sample.rule](sample.repository))
    assert sample.expected == sorted({(breach.path, breach.line) for breach in breaches})
    assert {sample.rule} >= {breach.rule for breach in breaches}


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.rule != "syntax"], ids=str)
def test_the_files_of_a_sample_parse(sample: Sample) -> None:
    assert () == sample.repository.unparsed


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_planted_breach_and_a_near_miss(rule: str) -> None:
    assert {True, False} == {bool(sample.expected) for sample in SAMPLES if sample.rule == rule}


def test_a_breach_is_printed_so_that_an_editor_can_jump_to_it() -> None:
    assert "stent/app.py:7 floors: no" == str(Breach("stent/app.py", 7, "floors", "no"))


@pytest.mark.slow
def test_a_heavy_import_is_seen_at_any_depth_and_a_lazy_one_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "sqlalchemy.py").write_text("")
    (tmp_path / "rich.py").write_text("")
    (tmp_path / "richer.py").write_text("")
    (tmp_path / "heavy_one.py").write_text("import heavy_part\n")
    (tmp_path / "heavy_part.py").write_text("import sqlalchemy\n")
    (tmp_path / "light_one.py").write_text("import richer\ndef show():\n    import rich\n")
    assert ["sqlalchemy"] == heavy_modules_loaded_by("import heavy_one", tmp_path)
    assert [] == heavy_modules_loaded_by("import light_one", tmp_path)

"""`stent check`: what it prints, as text and as JSON, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stent.cli.entry import commands
from stent.replay.rules import RULES
from tests.docs.runner import ROOT

CLEAN = "from stent import Stent\n@Stent.durable\nasync def pay(): ...\n@Stent.durable\nasync def flow(): await pay()\n"
DIRTY = CLEAN.replace("await pay()", "\n    import time\n    await pay(time.time())")


@pytest.fixture(autouse=True)
def _in_a_folder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["check", *arguments])


def test_a_finding_is_shown_by_its_line_with_a_caret_and_the_fix() -> None:
    Path("shop.py").write_text(DIRTY)
    result = run("shop")
    assert (
        """\
shop.py:7:15: DET101 time.time reads the clock
    in flow()
    await pay(time.time())
              ^^^^^^^^^
    fix: use Stent.now(): the same on every replay

1 orchestrator: 1 finding
"""
        == result.stdout
    )
    assert 1 == result.exit_code


def test_nothing_found_is_said_and_ends_with_0() -> None:
    Path("shop.py").write_text(CLEAN)
    result = run("shop.py")
    assert ("1 orchestrator: nothing found\n", 0) == (result.stdout, result.exit_code)


def test_json_has_the_same_facts() -> None:
    Path("shop.py").write_text(DIRTY)
    result = run("shop:flow", "--json")
    (facts,) = json.loads(result.stdout)
    assert {
        "code": "DET101",
        "title": "wall clock",
        "what": "time.time",
        "why": "reads the clock",
        "fix": "use Stent.now(): the same on every replay",
        "path": "shop.py",
        "line": 7,
        "column": 15,
        "end_column": 24,
        "function": "flow",
        "orchestrator": "flow",
        "source": "await pay(time.time())",
    } == facts
    assert 1 == result.exit_code


def test_nothing_is_imported() -> None:
    Path("shop.py").write_text(f"raise SystemExit(9)\n{CLEAN}")
    assert 0 == run("shop").exit_code


def test_a_folder_is_checked_as_a_whole_and_two_targets_together() -> None:
    Path("one").mkdir()
    Path("one/__init__.py").touch()
    Path("one/shop.py").write_text(DIRTY)
    Path("two.py").write_text(DIRTY)
    result = run("one", "two")
    assert "one/shop.py:7:15" in result.stdout
    assert "2 orchestrators: 2 findings" in result.stdout


def test_an_environment_in_the_folder_is_not_the_programs() -> None:
    for place in (".venv/shop.py", "env/lib/site-packages/shop.py", "shop.py"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text(DIRTY)
    result = run(".")
    assert result.stdout.startswith("shop.py:7:15")
    assert "1 orchestrator: 1 finding" in result.stdout


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["nowhere"], 3), (["shop:nothing"], 3), (["broken"], 2)])
def test_what_cannot_be_checked(arguments: list[str], code: int) -> None:
    Path("shop.py").write_text(CLEAN)
    Path("broken.py").write_text("def (:\n")
    result = run(*arguments)
    assert code == result.exit_code


def test_every_code_has_a_section_in_the_docs_and_every_section_a_code() -> None:
    text = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    sections = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## DET")]
    assert [f"{rule.code}: {rule.title}" for rule in RULES] == sections

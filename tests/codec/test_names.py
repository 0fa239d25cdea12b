"""Names of classes in bytes: the same whether a file is run or imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stent.codec import class_name, main_name, stored_module
from stent.codec.names import find_class
from tests.codec import samples

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
from dataclasses import dataclass
from stent.codec import class_name

@dataclass
class Order:
    id: int

if __name__ == "__main__":
    print(class_name(Order))
"""


def test_a_class_is_called_by_its_module_and_its_place() -> None:
    """Nested ones by the whole path."""
    assert "tests.codec.samples:Outer.Inner" == class_name(samples.Outer.Inner)
    assert "builtins:ValueError" == class_name(ValueError)
    assert "shop.flow" == stored_module("shop.flow")
    assert main_name() == stored_module("__main__")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "expected"), [(["shop/flow.py"], "flow:Order"), (["-m", "shop.flow"], "shop.flow:Order")]
)
def test_a_file_that_is_run_has_the_name_under_which_it_would_be_imported(
    tmp_path: Path, command: list[str], expected: str
) -> None:
    """So a worker that imports it finds the classes of the script that started the run."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "flow.py").write_text(PROGRAM, encoding="utf-8")
    settings = {"PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}"}
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=settings, capture_output=True, text=True, check=True
    )
    assert expected == done.stdout.strip()


@pytest.mark.parametrize(
    "name", ["Stranger.x", "json", "Item.__class__", "", ".", "Item.", "Color.RED", "new_registry", "no\0thing"]
)
def test_what_is_no_class_of_the_module_is_not_found(name: str) -> None:
    """Nothing but plain dictionaries of classes is looked into."""
    assert find_class("tests.codec.samples", name) is None
    assert find_class("tests.codec.no_such_module", "Item") is None

"""The user's modules: found in the current folder, and blamed by the user's line when they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stent.cli.apps import find_function, load, load_module
from stent.errors import OptionError, UnregisteredFunctionError, UsageError

APP = "tests.cli.shop"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder of its own; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_modules_are_found_in_the_current_folder(folder: Path) -> None:
    (folder / "orders_app.py").write_text("found = True\n")
    assert load_module("orders_app").found
    assert load_module("orders_app.py").found


def test_a_module_that_is_not_there_may_have_been_another(folder: Path) -> None:
    (folder / "orders_app.py").write_text("")
    with pytest.raises(UnregisteredFunctionError, match="did you mean orders_app"):
        load(["order_app"])


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("x = 1\nraise ValueError('no')\n", r"importing broken_app failed at .*broken_app.py:2: ValueError: no"),
        ("x = (\n", r"importing broken_app failed at .*broken_app.py:1: SyntaxError"),
        ("import no_such_thing\n", r"importing broken_app failed at .*broken_app.py:1: ModuleNotFoundError"),
    ],
)
def test_a_module_that_fails_is_blamed_by_its_own_line(folder: Path, code: str, what: str) -> None:
    (folder / "broken_app.py").write_text(code)
    with pytest.raises(UsageError, match=what):
        load(["broken_app"])


def test_a_function_is_found_by_the_name_it_has_in_its_module() -> None:
    assert f"{APP}:order" == find_function(f"{APP}:order").name


def test_a_function_with_a_name_of_its_own_is_found_too(folder: Path) -> None:
    (folder / "named_app.py").write_text(
        "from stent import Stent\n\n@Stent.durable(name='shop/named')\nasync def mine(): ...\n"
    )
    assert "shop/named" == find_function("named_app:mine").name


@pytest.mark.parametrize(
    ("target", "error", "what"),
    [
        ("order", OptionError, "module:function"),
        (":order", OptionError, "module:function"),
        (f"{APP}:ordre", UnregisteredFunctionError, f"did you mean {APP}:order"),
        (f"{APP}:plain", UnregisteredFunctionError, "decorate it"),
        (f"{APP}:zzz", UnregisteredFunctionError, "it has: approval, double, failing, family, order"),
    ],
)
def test_what_is_no_durable_function_says_what_there_is(target: str, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        find_function(target)

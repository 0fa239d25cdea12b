"""The public names as a whole: exported once, sorted, documented, and mentioned in the reference."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import stent
from stent import RetryPolicy, Stent, errors
from stent.backends import Backends, SQLiteBackend
from stent.client.serving import WorkerLifecycle
from stent.client.views import ExecutionInfo, ExecutionState, Page
from stent.durable.context import RunContext
from stent.durable.function import Durable
from stent.errors import StentError
from stent.result import Result

ROOT = Path(__file__).resolve().parent.parent
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ERRORS = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, StentError)]
SHOWN = [
    Stent,
    Durable,
    Result,
    RetryPolicy,
    SQLiteBackend,
    ExecutionInfo,
    ExecutionState,
    Page,
    RunContext,
    WorkerLifecycle,
]
"""The classes whose public members users meet."""
INTERNAL = {
    "SQLiteBackend": {"open", "release"},  # for the executor
    "WorkerLifecycle": {"attach", "follow"},
    "RetryPolicy": {"initial_delay_us", "max_delay_us", "to_record", "from_record"},
    "ExecutionState": {"of"},
}


def members_of(cls: type) -> dict[str, Any]:
    """What a class itself, or a base of ours, makes public: methods, properties and fields."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("stent."):
            found |= {name: item for name, item in vars(base).items() if not name.startswith("_")}
            found |= {name: None for name in vars(base).get("__annotations__", {}) if not name.startswith("_")}
    return {name: item for name, item in found.items() if name not in INTERNAL.get(cls.__name__, set())}


def test_the_package_exports_what_it_says_once_and_sorted() -> None:
    assert sorted(set(stent.__all__)) == stent.__all__
    assert [] == [name for name in stent.__all__ if not hasattr(stent, name)]


def test_nothing_else_is_public_in_the_package() -> None:
    """Modules of the package are found as attributes once they are imported; other names would be leaks."""
    modules = {path.stem for path in (ROOT / "stent").iterdir()}
    leaks = {name for name in vars(stent) if not name.startswith("_")} - set(stent.__all__) - modules - {"annotations"}
    assert set() == leaks


def test_type_checkers_see_the_exports() -> None:
    """`from x import A as A` is how a typed package re-exports; anything else is private to them."""
    tree = ast.parse((ROOT / "stent" / "__init__.py").read_text(encoding="utf-8"))
    exported = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
        if alias.asname == alias.name
    }
    assert set(stent.__all__) == exported
    assert (ROOT / "stent" / "py.typed").exists()


@pytest.mark.parametrize("name", stent.__all__)
def test_exports_are_documented(name: str) -> None:
    """By a docstring of their own, and in the reference."""
    assert inspect.getdoc(getattr(stent, name))
    assert f"`{name}`" in API or re.search(rf"^#+ .*`{name}\b", API, re.MULTILINE)


@pytest.mark.parametrize("cls", SHOWN, ids=lambda cls: cls.__name__)
def test_members_are_documented(cls: type) -> None:
    """Each method and property has a docstring, and each public member a place in the reference."""
    silent = [
        name
        for name, item in members_of(cls).items()
        if (callable(item) or isinstance(item, property | staticmethod | classmethod))
        and not inspect.getdoc(inspect.getattr_static(cls, name) if isinstance(item, property) else getattr(cls, name))
    ]
    assert [] == silent
    missing = [name for name in members_of(cls) if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", API)]
    assert [] == missing


@pytest.mark.parametrize(
    "function",
    [
        Stent.durable,
        Stent.bootstrap,
        Stent.serve,
        Stent.dispatch,
        Stent.wait_for,
        Stent.list_executions,
        Stent.send_signal,
        Stent.map,
        Stent.map_as_completed,
        Stent.wait_for_signal,
        Durable.options,
        Durable.map,
        RetryPolicy,
        SQLiteBackend,
    ],
    ids=lambda function: function.__qualname__,
)
def test_every_option_is_in_the_reference(function: Any) -> None:
    """Keyword-only parameters are options; those of a class are its fields."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [name for name, each in inspect.signature(function).parameters.items() if each.kind in kinds]
    options = [name for name in names if name not in ("self", "cls")]
    assert [] == [name for name in options if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", API)]


def test_every_option_of_the_decorator_is_in_the_reference() -> None:
    """Its signature is `**options`; the overloads say which there are."""
    tree = ast.parse((ROOT / "stent" / "durable" / "decorator.py").read_text(encoding="utf-8"))
    options = {
        argument.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "durable"
        for argument in node.args.kwonlyargs
    }
    assert {"max_concurrent", "retry_policy", "timeout", "queue", "tags", "priority", "name", "role"} <= options
    assert set() == {name for name in options if f"`{name}`" not in API}


def test_every_error_has_its_page_and_its_place_in_the_reference() -> None:
    """Families are named, codes are linked."""
    for cls in ERRORS:
        assert f"`{cls.__name__}`" in API
        if "code" in vars(cls) and cls is not StentError:
            assert (ROOT / "docs" / "errors" / f"{cls.code}.md").exists()
            assert f"(errors/{cls.code}.md)" in API


def test_backends_are_documented() -> None:
    """Each one that `Stent.backends` offers."""
    names = [name for name in vars(Backends) if not name.startswith("_")]
    assert names == [name for name in names if re.search(rf"`Stent\.backends\.{name}\(", API)]
    assert "SQLiteBackend" in names
    assert all(inspect.getdoc(getattr(Backends, name)) for name in names)

"""Errors: one tree as drawn, one code each, and a message that says what to do."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from stent import errors
from stent.codec import TypeRegistry, decode_exception, encode_exception
from stent.errors import ExpiryError, StentError, UnknownRunError

CLASSES = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, StentError)]
CONCRETE = [cls for cls in CLASSES if "code" in vars(cls) and cls is not StentError]
IN_THE_TREE = re.compile(r"(?P<indent>[ |]*)(?:\+-- )?(?P<name>\w+Error) *(?P<code>STN\d{3})? *(?:\((?P<base>\w+)\))?")


def drawn() -> dict[str, tuple[str, str, str]]:
    """Name to (parent, code, builtin base) of every class in the tree of the module docstring."""
    found: dict[str, tuple[str, str, str]] = {}
    above: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]  # it has one
        match = IN_THE_TREE.match(line) if line.startswith("    ") else None
        if match is None:
            continue
        indent = line.index(match["name"])
        while above and above[-1][0] >= indent:
            above.pop()
        found[match["name"]] = (above[-1][1] if above else "Exception", match["code"] or "", match["base"] or "")
        above.append((indent, match["name"]))
    return found


def made(cls: type[StentError]) -> tuple[str, str, str]:
    """The same of a class."""
    parent, *others = [base.__name__ for base in cls.__bases__]
    code = vars(cls).get("code", "") if cls is not StentError else ""
    return parent, code, others[0] if others else ""


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """Names, parents, codes and builtin bases, in both directions."""
    assert {cls.__name__: made(cls) for cls in CLASSES} == drawn()
    assert len(CLASSES) > 30


def test_codes_are_unique_well_formed_and_only_on_what_is_raised() -> None:
    """They are in documents and in dashboards: never two errors under one code, never a code that is inherited."""
    codes = [cls.code for cls in CONCRETE]
    assert sorted(set(codes)) == sorted(codes)
    assert all(re.fullmatch(r"STN[1-9]\d\d|STN00[1-9]", code) for code in codes)
    assert {"StentError", "UsageError", "DeterminismError", "StoreError", "RunError"} == {
        cls.__name__ for cls in CLASSES if cls not in CONCRETE
    }


def test_codes_of_one_family_share_their_first_digit() -> None:
    """So that a reader of a log knows the family by the code."""
    families = {
        "UsageError": "0",
        "DeterminismError": "1",
        "SerializationError": "2",
        "StoreError": "3",
        "RunError": "4",
    }
    for cls in CONCRETE:
        (family,) = [name for name in families if issubclass(cls, getattr(errors, name))]
        assert families[family] == cls.code[3], cls


def test_nothing_else_is_defined_in_the_file() -> None:
    """Only errors, all under StentError, each with a docstring of its own."""
    tree = ast.parse(inspect.getsource(errors))
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert {cls.__name__ for cls in CLASSES} == names
    assert all(vars(cls).get("__doc__") for cls in CLASSES)


@pytest.mark.parametrize("cls", CONCRETE)
def test_the_text_shows_code_message_and_fix(cls: type[StentError]) -> None:
    """What happened, and what to do."""
    assert f"[{cls.code}] It broke.\n  fix: mend it" == str(cls("It broke.", fix="mend it"))
    assert f"[{cls.code}] It broke." == str(cls("It broke."))
    assert ("It broke.",) == cls("It broke.", fix="mend it", run_id="r1").args


def test_facts_are_data_and_attributes() -> None:
    """Readable without parsing a message; what is no fact is an AttributeError as ever."""
    error = StentError("gone", run_id="r1", seq=4)
    assert {"run_id": "r1", "seq": 4} == error.facts
    assert ("r1", 4) == (error.run_id, error.seq)
    with pytest.raises(AttributeError, match="'StentError' has no attribute 'call'"):
        _ = error.call
    assert not hasattr(StentError.__new__(StentError), "run_id")  # also before `__init__`, as when it is rebuilt


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [(UnknownRunError, LookupError), (ExpiryError, TimeoutError), (errors.RunTimedOutError, TimeoutError)],
)
def test_a_handler_that_does_not_know_stent_catches_them(cls: type[StentError], builtin: type[Exception]) -> None:
    """`except TimeoutError` works, and the text is still ours."""
    with pytest.raises(builtin, match=rf"\[{cls.code}\] late"):
        raise cls("late")


@pytest.mark.parametrize("cls", CONCRETE)
def test_an_error_of_ours_survives_a_history(cls: type[StentError]) -> None:
    """Class, text, fix and facts, in any process."""
    registry = TypeRegistry()
    found = decode_exception(encode_exception(cls("It broke.", fix="mend it", run_id="r1"), registry), registry)
    assert type(found) is cls
    assert ("[" + cls.code + "] It broke.\n  fix: mend it", "r1") == (str(found), found.run_id)

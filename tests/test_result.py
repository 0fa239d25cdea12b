"""Results: a value or an error, never both, never neither."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from stent.result import Result

BAD = ValueError("bad")


def test_a_success_has_its_value() -> None:
    """By each of the ways to ask."""
    result = Result.success(5)
    assert (True, 5, None) == (result.ok, result.value, result.error)
    assert (5, 5, True) == (result.unwrap(), result.unwrap_or(0), bool(result))


def test_a_failure_raises_the_very_error() -> None:
    """Not a copy: its traceback and its cause are those of the run."""
    result: Result[int] = Result.failure(BAD)
    assert (False, None, BAD) == (result.ok, result.value, result.error)
    assert (7, False) == (result.unwrap_or(7), bool(result))
    with pytest.raises(ValueError, match="bad") as caught:
        result.unwrap()
    assert BAD is caught.value


@pytest.mark.parametrize("value", [None, 0, "", False, []])
def test_a_success_with_a_value_that_is_false_is_a_success(value: Any) -> None:
    """Truth is about the outcome; None is a value."""
    result = Result.success(value)
    assert result
    assert value == result.unwrap()
    assert value == result.unwrap_or("other")


def test_map_changes_a_value_and_leaves_an_error() -> None:
    """What the function raises is raised, not wrapped."""
    failed: Result[int] = Result.failure(BAD)
    assert Result.success("5") == Result.success(5).map(str)
    assert failed is failed.map(str)
    with pytest.raises(ZeroDivisionError):
        Result.success(0).map(lambda value: 1 // value)


def test_flat_map_does_not_nest() -> None:
    """A function that gives a Result itself; it is not called for a failure."""

    def half(value: int) -> Result[int]:
        return Result.success(value // 2) if value % 2 == 0 else Result.failure(BAD)

    assert Result.success(2) == Result.success(4).flat_map(half)
    assert Result.failure(BAD) == Result.success(6).flat_map(half).flat_map(half)
    calls: list[int] = []

    def counted(value: int) -> Result[int]:
        calls.append(value)
        return half(value)

    failed: Result[int] = Result.failure(BAD)
    assert failed is failed.flat_map(counted)
    assert [] == calls


@settings(deadline=None)
@given(st.integers())
def test_map_and_flat_map_keep_their_laws(value: int) -> None:
    """Identity and composition."""
    result = Result.success(value)
    assert result == result.map(lambda item: item) == result.flat_map(Result.success)
    assert result.map(lambda item: item + 1).map(str) == result.map(lambda item: str(item + 1))


@pytest.mark.parametrize(
    ("ok", "value", "error"), [(True, 1, BAD), (False, 1, BAD), (False, None, None), (False, 1, None), (1, 1, None)]
)
def test_a_result_with_both_or_neither_cannot_be_made(ok: Any, value: Any, error: Any) -> None:
    """The error names the two doors."""
    with pytest.raises(TypeError, match=r"Result\.success\(value\)"):
        Result(ok, value, error)


def test_equality_is_by_value_or_by_class_and_args_of_the_error() -> None:
    """An error that is read twice from a history is two objects."""
    assert Result.success(1) == Result.success(1)
    assert Result.success(1) != Result.success(2)
    assert Result.failure(ValueError("bad")) == Result.failure(BAD)
    assert hash(Result.failure(ValueError("bad"))) == hash(Result.failure(BAD))
    assert Result.failure(TypeError("bad")) != Result.failure(BAD)
    assert Result.failure(ValueError("worse")) != Result.failure(BAD)
    assert Result.success(None) != Result.failure(BAD)
    assert Result.success(1) != 1


def test_a_result_can_be_matched_and_is_frozen() -> None:
    """As the docstring says."""
    match Result.success(5):
        case Result(True, value):
            assert 5 == value
        case _:
            pytest.fail("a success did not match")
    match Result.failure(BAD):
        case Result(False, _, error):
            assert BAD is error
        case _:
            pytest.fail("a failure did not match")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Result.success(5).value = 6  # type: ignore[misc]


def test_the_older_names_make_the_same() -> None:
    """`Result.Ok` and `Result.Error`, and a repr that can be read as code."""
    assert (Result.success(1), Result.failure(BAD)) == (Result.Ok(1), Result.Error(BAD))
    assert "Result.success(1)" == repr(Result.Ok(1))
    assert "Result.failure(ValueError('bad'))" == repr(Result.Error(BAD))

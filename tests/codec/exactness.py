"""Whether two values are the same: type and value, at every depth, in every detail that a program could see."""

from __future__ import annotations

import dataclasses
import datetime as dt
import struct
from collections import defaultdict, deque
from decimal import Decimal
from typing import Any

from pydantic import BaseModel


def assert_same(expected: Any, actual: Any, path: str = "value") -> None:
    """Fail with the path of the first difference."""
    assert type(expected) is type(actual), f"{path}: {type(expected)} became {type(actual)}"
    if isinstance(expected, BaseException):
        assert expected.args is not actual.args or not expected.args
        assert_same(expected.args, actual.args, f"{path}.args")
        assert str(expected) == str(actual), path
        assert_same(dict(vars(expected)), dict(vars(actual)), f"{path}.__dict__")
    elif isinstance(expected, BaseModel):
        assert_same(expected.__getstate__(), actual.__getstate__(), f"{path}.state")
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            names = [hasattr(value, field.name) for value in (expected, actual)]
            assert names[0] == names[1], f"{path}.{field.name}"
            if names[0]:
                assert_same(getattr(expected, field.name), getattr(actual, field.name), f"{path}.{field.name}")
    elif isinstance(expected, dict):
        _assert_same_dicts(expected, actual, path)
    elif isinstance(expected, list | tuple | deque):
        assert len(expected) == len(actual), path
        assert getattr(expected, "maxlen", None) == getattr(actual, "maxlen", None), path
        for index, pair in enumerate(zip(expected, actual, strict=True)):
            assert_same(*pair, f"{path}[{index}]")
    elif isinstance(expected, set | frozenset):
        assert len(expected) == len(actual), path
        for pair in zip(sorted(expected, key=_order), sorted(actual, key=_order), strict=True):
            assert_same(*pair, f"{path}<member>")
    else:
        assert detail(expected) == detail(actual), f"{path}: {expected!r} became {actual!r}"


def _assert_same_dicts(expected: dict[Any, Any], actual: dict[Any, Any], path: str) -> None:
    assert len(expected) == len(actual), path
    if isinstance(expected, defaultdict):
        assert expected.default_factory is actual.default_factory, path  # type: ignore[attr-defined]  # same type
    for (key, item), (other_key, other) in zip(expected.items(), actual.items(), strict=True):
        assert_same(key, other_key, f"{path}<key>")
        assert_same(item, other, f"{path}[{key!r}]")


def _order(value: Any) -> tuple[str, str]:
    return type(value).__name__, repr(detail(value))


def detail(value: Any) -> Any:
    """What tells two leaves of one type apart."""
    if isinstance(value, float):
        return struct.pack(">d", value)
    if isinstance(value, complex):
        return detail(value.real), detail(value.imag)
    if isinstance(value, Decimal):
        return value.as_tuple()
    if isinstance(value, dt.datetime | dt.time):
        return value.replace(tzinfo=None).isoformat(), value.fold, type(value.tzinfo), repr(value.tzinfo)
    if isinstance(value, dt.tzinfo):
        return type(value), repr(value)
    if isinstance(value, tuple | frozenset):
        return type(value), sorted(map(repr, map(detail, value)))
    return value

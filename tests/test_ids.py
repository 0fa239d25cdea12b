"""Ids: unique, readable, and the same on every run of a test."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings, strategies as st

from stent.ids import Ids, RandomIds, SeededIds, child_run_id, stable_number

is_run_id = re.compile(r"[0-9a-hjkmnp-tv-z]{26}").fullmatch


@pytest.mark.parametrize("ids", [RandomIds(), SeededIds(1)], ids=["random", "seeded"])
def test_ids_are_26_characters_that_cannot_be_misread_and_differ(ids: Ids) -> None:
    """No i, l, o, u; 130 bits, so a thousand of them are a thousand."""
    run_ids = [ids.run_id() for _ in range(1000)]
    assert all(map(is_run_id, run_ids))
    assert 1000 == len(set(run_ids))
    assert "w" == ids.worker_id()[0]
    assert is_run_id(ids.worker_id()[1:])
    assert 16 == len(ids.token())
    assert ids.token() != ids.token()


@pytest.mark.parametrize("ids", [RandomIds(), SeededIds(1)], ids=["random", "seeded"])
def test_every_character_and_every_place_is_used(ids: Ids) -> None:
    """No bit of the 130 is stuck."""
    columns = list(zip(*(ids.run_id() for _ in range(1000)), strict=True))
    assert 26 == len(columns)
    assert all(len(set(column)) == 32 for column in columns)


@pytest.mark.parametrize("ids", [RandomIds(), SeededIds(1)], ids=["random", "seeded"])
def test_a_unit_is_in_zero_to_one(ids: Ids) -> None:
    """One itself is not in it; both halves are."""
    units = [ids.unit() for _ in range(1000)]
    assert all(0.0 <= unit < 1.0 for unit in units)
    assert min(units) < 0.5 < max(units)


def test_a_seed_gives_the_same_ids_again() -> None:
    """And another seed other ones."""
    one, same, other = SeededIds(7), SeededIds(7), SeededIds(8)
    first = [one.run_id(), one.worker_id(), one.token(), one.unit()]
    assert first == [same.run_id(), same.worker_id(), same.token(), same.unit()]
    assert first[0] != other.run_id()


def test_a_child_has_the_id_of_its_place() -> None:
    """Derived, so that starting it twice is starting it once."""
    assert "r1.7" == child_run_id("r1", 7)
    assert "r1.7.0" == child_run_id("r1", 7, 0)
    assert "r1.7.3.2" == child_run_id(child_run_id("r1", 7, 3), 2)


@settings(deadline=None)
@given(st.text(), st.integers(1, 128))
def test_a_stable_number_has_as_many_bits_as_asked_for(text: str, bits: int) -> None:
    """And is the beginning of the longer one."""
    number = stable_number(text, bits)
    assert 0 <= number < 1 << bits
    assert number == stable_number(text, 128) >> (128 - bits)


@pytest.mark.parametrize(("text", "number"), [("", 0xCAE66941D9EFBD40), ("stent", 0xC4AD07825AB4C6AC)])
def test_a_stable_number_is_the_same_for_ever(text: str, number: int) -> None:
    """It is stored, so it is never Python's own hash, and it never changes."""
    assert number == stable_number(text)

"""Checking arguments costs pydantic only where pydantic is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tidy.weight import heavy_modules_loaded_by

ROOT = Path(__file__).resolve().parent.parent.parent
CALLING = """
from dataclasses import dataclass
from datetime import UTC, datetime
from stent.codec import TypeRegistry, decode
from stent.codec.signature import Signature

@dataclass
class Order:
    id: int
    at: datetime

def place(order: Order, tags: list[str], counts: dict[str, int] | None = None, rate: float = 1.0) -> None: ...

types = TypeRegistry()
types.allow_module(__name__)
signature = Signature.of(place, types)
given = (Order(1, datetime.now(UTC)), ["a", "b"])
assert (given, {"rate": 2}) == signature.decode(signature.payload(given, {"rate": 2}))
"""


@pytest.mark.slow
def test_values_of_the_annotated_types_are_checked_and_stored_without_pydantic() -> None:
    assert [] == heavy_modules_loaded_by(CALLING, ROOT)


@pytest.mark.slow
def test_a_value_that_must_be_converted_brings_pydantic() -> None:
    converting = f'{CALLING}\ntext = signature.payload((given[0], ["a"]), {{"rate": "2.5"}})'
    assert ["pydantic", "pydantic_core"] == heavy_modules_loaded_by(converting, ROOT)

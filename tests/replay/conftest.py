"""Each test drops the programs that it leaves waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.replay.driver import close_all


@pytest.fixture(autouse=True)
def no_program_is_left() -> Iterator[None]:
    yield
    close_all()

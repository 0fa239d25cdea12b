"""The exit code of each error."""

from __future__ import annotations

import pytest

from stent import errors
from stent.cli.exits import exit_code_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.OptionError(), 2),
        (errors.ArgumentError(), 2),
        (errors.NotConfiguredError(), 2),
        (errors.RunConflictError(), 2),
        (errors.SerializationError(), 2),
        (errors.UnregisteredFunctionError(), 3),
        (errors.UnknownRunError(), 3),
        (errors.StoreUnavailableError(), 4),
        (errors.SchemaVersionError(), 4),
        (errors.DivergenceError(), 5),
        (errors.ExpiryError(), 6),
        (errors.RunTimedOutError(), 1),
        (errors.CorruptHistoryError(), 1),
        (errors.RunFinishedError(), 1),
    ],
)
def test_each_error_has_its_code(error: errors.StentError, code: int) -> None:
    assert code == exit_code_of(error)

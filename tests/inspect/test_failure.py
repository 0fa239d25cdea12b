"""The traceback that was recorded with an error."""

from __future__ import annotations

from stent.codec import Payload, TypeRegistry, encode_exception
from stent.history.events import RunCompleted, RunFailed
from stent.inspect.failure import traceback_in, traceback_of
from tests.inspect.literals import history, payload


def raised() -> Payload:
    try:
        raise ValueError("no")
    except ValueError as error:
        return encode_exception(error, TypeRegistry())


def test_the_traceback_of_a_failed_run_is_found() -> None:
    text = traceback_of(history(RunFailed(0, 0, raised())))
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("ValueError: no")


def test_a_run_that_did_not_fail_has_none() -> None:
    assert "" == traceback_of(history(RunCompleted(0, 0, payload(1))))


def test_bytes_that_are_no_error_have_none() -> None:
    assert ["", "", ""] == [traceback_in(each) for each in (Payload(9, b"?"), payload(3), payload({"traceback": 4}))]

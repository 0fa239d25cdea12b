"""Logs: through structlog, configured by the application or not at all."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from stent import log

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Loggers are made once and kept."""
    log._logger.cache_clear()
    yield
    log._logger.cache_clear()
    structlog.reset_defaults()


def test_without_a_configuration_events_go_through_logging(caplog: pytest.LogCaptureFixture) -> None:
    """Name, level, event and values; what is below the level is dropped."""
    caplog.set_level(logging.INFO, logger="stent.some")
    logger = log.get_logger("stent.some")
    logger.debug("not_shown")
    logger.info("turn_committed", run_id="r1", seq=4)
    logger.warning("lease_lost", run_id="r1")
    logger.error("store_failed")
    assert [
        ("stent.some", logging.INFO, "event='turn_committed' run_id='r1' seq=4"),
        ("stent.some", logging.WARNING, "event='lease_lost' run_id='r1'"),
        ("stent.some", logging.ERROR, "event='store_failed'"),
    ] == caplog.record_tuples


def test_an_application_that_has_configured_structlog_gets_events_in_its_way() -> None:
    """Also if it did so after the logger was made, before its first use."""
    logger = log.get_logger("stent.other")
    captured = structlog.testing.LogCapture()
    structlog.configure(processors=[captured])
    logger.info("turn_committed", run_id="r1")
    assert [{"event": "turn_committed", "run_id": "r1", "log_level": "info"}] == captured.entries


@pytest.mark.slow
def test_making_a_logger_imports_nothing() -> None:
    """structlog takes as long as half of Stent; it waits for the first event."""
    program = "import sys; from stent.log import get_logger; get_logger('x'); print('structlog' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "False" == shown.strip()

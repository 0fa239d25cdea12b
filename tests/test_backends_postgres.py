"""The PostgreSQL backend: what a URL may be, what is shown of it, whose clock counts, and what is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib import util

import pytest

from stent import Stent
from stent.backends import DATABASE_URL_VARIABLE, PostgresBackend, backend_of
from stent.clock import SystemClock
from stent.errors import NotConfiguredError, OptionError, StoreUnavailableError
from tests.postgres.server import emptied_database, free_port

# psycopg loaded, SQLAlchemy loaded: neither, until a store is opened
LOADED = "import sys; print(sorted({'psycopg', 'sqlalchemy'} & set(sys.modules)))"


@pytest.fixture
def url() -> str:
    return emptied_database()


@pytest.mark.parametrize("url", ["postgresql://me@host/shop", "postgres://me@host:5432/shop"])
def test_a_url_names_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(backend_of(url), PostgresBackend)
    monkeypatch.setenv(DATABASE_URL_VARIABLE, url)
    assert isinstance(Stent.open().backend, PostgresBackend)
    assert Stent.backends.PostgresBackend is PostgresBackend


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://me:secret@host:5432/shop", "postgresql://me:***@host:5432/shop"),
        (
            "postgresql://me@host/shop?password=secret&sslmode=require",
            "postgresql://me@host/shop?password=***&sslmode=require",
        ),
        ("host=db user=me password=secret dbname=shop", "host=db user=me password=*** dbname=shop"),
        ("host=db password = 'sec ret' dbname=shop", "host=db password=*** dbname=shop"),
        ("postgresql://me@host/shop", "postgresql://me@host/shop"),
    ],
)
def test_no_password_is_shown(dsn: str, shown: str) -> None:
    backend = PostgresBackend(dsn)
    assert (shown, f"<PostgresBackend {shown}>") == (backend.url, repr(backend))


def test_without_the_driver_the_fix_is_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = util.find_spec
    monkeypatch.setattr("stent.backends.find_spec", lambda name: None if name == "psycopg" else whole(name))
    with pytest.raises(NotConfiguredError) as caught:
        PostgresBackend("postgresql://host/shop")
    assert "pip install 'stent-replay[postgres]'" == caught.value.fix


@pytest.mark.parametrize(("found", "is_refused"), [("3.1.20", True), ("2.9", True), ("3.2", False), ("10.0b1", False)])
def test_a_driver_that_is_too_old_is_refused(found: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _name: found)
    if not is_refused:
        PostgresBackend("postgresql://host/shop")
        return
    with pytest.raises(NotConfiguredError, match=rf"psycopg 3\.2 or newer, and {found} is installed") as caught:
        PostgresBackend("postgresql://host/shop")
    assert "pip install --upgrade 'stent-replay[postgres]'" == caught.value.fix


def test_naming_a_database_loads_no_driver() -> None:
    program = f"from stent import Stent; Stent.backends.PostgresBackend('postgresql://host/shop'); {LOADED}"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "[]" == said.strip()


def test_an_unknown_durability_is_refused() -> None:
    with pytest.raises(OptionError, match="durability"):
        PostgresBackend("postgresql://host/shop", durability="none")  # type: ignore[arg-type]  # the mistake itself


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StoreUnavailableError, match="STN301"):
        PostgresBackend(f"postgresql://me@127.0.0.1:{free_port()}/shop").open()


def test_what_is_due_is_planned_by_the_clock_of_the_database(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is an hour ahead must not sleep an hour too long."""
    right_us = SystemClock().now_us()
    monkeypatch.setattr(SystemClock, "now_us", lambda self: right_us + 3_600_000_000)
    backend = PostgresBackend(url)
    backend.open("me")
    assert abs(backend.clock.now_us() - right_us) < 60_000_000
    backend.release("me")


async def test_init_db_twice_does_no_harm(url: str) -> None:
    backend = PostgresBackend(url)
    await backend.init_db()
    await backend.init_db()

"""Backends: opened once, closed by the last user, usable again; and what a URL may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stent import Stent
from stent.backends import DATABASE_URL_VARIABLE, SQLiteBackend, backend_of
from stent.errors import NotConfiguredError, OptionError, StoreUnavailableError


def test_the_last_user_closes_the_store(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "a.db")
    threads = backend.open("one")
    assert threads is backend.open("two")
    backend.release("one")
    assert threads is backend.open("two")
    backend.release("two")
    assert threads is not backend.open("three")
    backend.release("three")


async def test_init_db_twice_does_no_harm_and_leaves_nothing_open(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "a.db")
    await backend.init_db()
    await backend.init_db()
    assert (tmp_path / "a.db").exists()
    assert not (tmp_path / "a.db-wal").exists()  # the last connection takes it away


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"STN301"):
        SQLiteBackend(tmp_path).open()


@pytest.mark.parametrize("name", ["", ":memory:"])
def test_what_survives_nothing_is_refused(name: str) -> None:
    with pytest.raises(OptionError):
        SQLiteBackend(name)


def test_an_unknown_durability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="durability"):
        SQLiteBackend(tmp_path / "a.db", durability="none")  # type: ignore[arg-type]  # the mistake itself


def test_urls_and_file_names_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = f"sqlite:///{tmp_path}/a.db"
    assert wanted == backend_of(wanted).url
    assert wanted == backend_of(f"{tmp_path}/a.db").url
    monkeypatch.setenv(DATABASE_URL_VARIABLE, wanted)
    assert wanted == Stent.open().backend.url


def test_no_url_and_a_strange_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_URL_VARIABLE, raising=False)
    with pytest.raises(NotConfiguredError, match=DATABASE_URL_VARIABLE):
        backend_of(None)
    with pytest.raises(OptionError, match="mysql"):
        backend_of("mysql://localhost/x")


LIBPQ = ["host=db user=me password=secret dbname=shop", "dbname=shop", " user = me  host='a b'", "port=5433"]


@pytest.mark.parametrize("given", LIBPQ)
def test_a_connection_string_of_postgresql_is_no_file_name(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for one it made a new and empty database of this very name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DATABASE_URL_VARIABLE, given)
    for database in (given, None):
        with pytest.raises(OptionError, match="connection string of PostgreSQL") as caught:
            backend_of(database)
        assert "PostgresBackend" in caught.value.fix
        assert "postgresql://" in caught.value.fix
        assert "secret" not in str(caught.value)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a=b.db", "hostess=1.db", "folder/host=1.db"])
def test_other_names_with_an_equals_sign_are_file_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert backend_of(name).url == f"sqlite:///{tmp_path}/{name}"


@pytest.mark.parametrize("as_path", [lambda name: f"sqlite:///{name}", Path], ids=["url", "path"])
def test_a_file_that_is_really_called_so_can_be_named(
    as_path: Callable[[str], str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert backend_of(as_path("host=1.db")).url == f"sqlite:///{tmp_path}/host=1.db"

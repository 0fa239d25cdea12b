"""Whole databases of a PostgreSQL server, made and dropped: for tests, each of which has one of its own."""

from __future__ import annotations

import re

import psycopg

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def complaint_of(url: str) -> str:
    """Why a server does not answer; empty if it does."""
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def create_database(url: str, name: str, *, encoding: str = "UTF8") -> None:
    """Make an empty database on the server of `url`, whose user may do so. Names sort by their bytes in it."""
    _execute(
        url, f"CREATE DATABASE {_checked(name)} TEMPLATE template0 ENCODING '{_checked(encoding.lower())}' LOCALE 'C'"
    )


def drop_database(url: str, name: str) -> None:
    """Drop a database, and end whoever is connected to it."""
    _execute(url, f"DROP DATABASE {_checked(name)} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _checked(name: str) -> str:
    assert _NAME.fullmatch(name), "the names are ours"
    return name

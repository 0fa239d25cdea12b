"""Names that only one place may use, or nobody: the clock, chance, databases, pickles, threads in the replay core."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.tidy.imports import imports_of
from tests.tidy.names import use_of, uses
from tests.tidy.source import Breach, Repository, Source, is_under


@dataclass(frozen=True)
class Permit:
    """One name that one place may use although it is banned there, and why."""

    place: str
    name: str
    reason: str


@dataclass(frozen=True)
class Ban:
    """Dotted names (with all that is below them) that are banned within ``inside``, but for the places ``allowed``."""

    rule: str
    names: tuple[str, ...]
    instead: str
    inside: tuple[str, ...] = ("stent/",)
    allowed: tuple[str, ...] = ()
    permits: tuple[Permit, ...] = ()


BANS = (
    Ban(
        rule="clock",
        names=(
            "time",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
            "os.times",
        ),
        instead="only stent/clock.py reads the clock; take the Clock that is handed in",
        allowed=("stent/clock.py",),
    ),
    Ban(
        rule="chance",
        names=(
            "random",
            "secrets",
            "uuid.uuid1",
            "uuid.uuid4",
            "uuid.uuid6",
            "uuid.uuid7",
            "os.urandom",
            "os.getrandom",
        ),
        instead="only stent/ids.py makes chance; take what is handed in",
        allowed=("stent/ids.py",),
        permits=(Permit("stent/replay/", "random.Random", "a run's own generator, seeded from its history"),),
    ),
    Ban(
        rule="databases",
        names=("sqlalchemy", "sqlite3", "psycopg", "psycopg_pool", "psycopg2", "asyncpg", "aiosqlite", "alembic"),
        instead="SQL lives in stent/history/sql/",
        allowed=("stent/history/sql/",),
    ),
    Ban(
        rule="pickle",
        names=(
            *("pickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal"),
            *("builtins.eval", "builtins.exec", "codeop", "code.interact"),
        ),
        instead="stored bytes are data and never become code: use stent/codec",
        permits=(
            Permit("stent/codec/", "marshal.dumps", "a fingerprint of a type is written and compared, never loaded"),
        ),
    ),
    Ban(
        rule="print",
        names=("builtins.print",),
        instead="only stent/cli/ talks to a terminal; elsewhere log, return or raise",
        allowed=("stent/cli/",),
    ),
    Ban(
        rule="replay",
        names=(
            *("threading", "_thread", "socket", "ssl", "subprocess", "multiprocessing", "asyncio.to_thread"),
            *("logging", "structlog"),
        ),
        instead="the replay core is pure: no threads, no sockets, no processes, no logging",
        inside=("stent/replay/",),
    ),
)


def check_ban(ban: Ban, repository: Repository) -> Iterator[Breach]:
    """Imports and uses of the banned names; each line is reported once."""
    for source in repository.sources:
        if not is_under(source.path, ban.inside) or is_under(source.path, ban.allowed):
            continue
        found = dict(banned_names(ban, source))
        for line, dotted in sorted(found.items()):
            yield source.breach(line, ban.rule, f"{dotted.removeprefix('builtins.')}: {ban.instead}")


def banned_names(ban: Ban, source: Source) -> Iterator[tuple[int, str]]:
    permitted = [permit.name for permit in ban.permits if is_under(source.path, (permit.place,))]
    for found in imports_of(source):
        may_import = any(is_within(found.dotted, name) or is_within(name, found.dotted) for name in permitted)
        if is_banned(ban, found.dotted) and not may_import:
            yield found.line, found.dotted
    for use in uses(source):
        if is_banned(ban, use.dotted) and not any(is_within(use.dotted, name) for name in permitted):
            yield use.line, use.dotted


def is_banned(ban: Ban, dotted: str) -> bool:
    return any(is_within(dotted, name) for name in ban.names)


def is_within(dotted: str, name: str) -> bool:
    return dotted == name or dotted.startswith(f"{name}.")


def check_seeds(repository: Repository) -> Iterator[Breach]:
    """A generator without a seed is chance under another name, wherever generators are permitted."""
    for source in repository.sources:
        if is_under(source.path, ("stent/ids.py",)):
            continue
        for node in ast.walk(source.tree):
            match node:
                case ast.Call(func=func, args=[], keywords=[]) if use_of(source, func) == "random.Random":
                    message = "random.Random() without a seed differs on every run"
                    yield source.breach(node.lineno, "seeds", message)

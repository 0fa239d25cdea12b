"""The database of a command: opened once, asked by run, closed at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import click

from stent.backends import DATABASE_URL_VARIABLE, DatabaseBackend, SQLiteBackend, backend_of
from stent.cli.entry import Settings
from stent.client.client import Client
from stent.errors import NotConfiguredError, OptionError, StoreUnavailableError, UnknownRunError
from stent.history import wire
from stent.history.events import Event
from stent.history.fold import Status
from stent.history.records import RunFilter, RunRow
from stent.history.store import Store
from stent.ids import RandomIds
from stent.registry import default_registry

LAST = "@last"
LAST_FAILED = "@last-failed"
FAILED: tuple[Status, ...] = ("failed", "timed_out", "stalled")
SHOWN_CANDIDATES = 5
RUNS_A_PAGE = 500


@dataclass(frozen=True, slots=True)
class Session:
    """One opened database."""

    backend: DatabaseBackend
    client: Client
    store: Store

    async def find(self, reference: str) -> RunRow:
        """The run that a reference means: an id, the beginning of just one, @last or @last-failed."""
        if reference.startswith("@"):
            return await self._newest(reference)
        link = await self.client.link()
        row = await link.read(self.store.get_run, reference)
        if row is not None:
            return row
        wanted = RunFilter(id_prefix=reference, roots_only=True, limit=SHOWN_CANDIDATES + 1)
        found = [run.run_id for run in await self.client.list_runs(wanted)]
        if not found:  # only now the runs behind calls: their ids begin with the id of the run that called
            found = list(await self.client.find_runs(reference, SHOWN_CANDIDATES + 1))
        if len(found) > 1:
            shown = ", ".join(sorted(found)[:SHOWN_CANDIDATES])
            more = " and more" if len(found) > SHOWN_CANDIDATES else ""
            raise OptionError(f"several runs begin with {reference!r}: {shown}{more}", fix="give more of the id")
        return await self.client.get(found[0] if found else reference)

    async def runs(self, *statuses: Status) -> AsyncIterator[RunRow]:
        """All runs, or all of some states, newest first."""
        wanted = RunFilter(statuses=statuses, limit=RUNS_A_PAGE)
        while page := await self.client.list_runs(wanted):
            for row in page:
                yield row
            wanted = replace(wanted, before=(page[-1].created_at_us, page[-1].run_id))

    async def history(self, run_id: str) -> list[Event]:
        """The events of a run; empty if there is none."""
        link = await self.client.link()
        return wire.decode_history(await link.read(self.store.read_rows, run_id))

    async def _newest(self, reference: str) -> RunRow:
        if reference not in (LAST, LAST_FAILED):
            raise OptionError(f"{reference!r} names no run", fix=f"use an id, {LAST} or {LAST_FAILED}")
        statuses = FAILED if reference == LAST_FAILED else ()
        runs = await self.client.list_runs(RunFilter(statuses=statuses, roots_only=True, limit=1))
        if not runs:
            kind = "failed or stalled " if statuses else ""
            raise UnknownRunError(f"there is no {kind}run in this database", run_id=reference)
        return runs[0]


@contextlib.asynccontextmanager
async def session(settings: Settings, *, may_create: bool = False) -> AsyncIterator[Session]:
    """The database that `--db` names. A command that only looks changes no tables and leaves no new file."""
    backend = named_backend(settings)
    if not may_create:
        check_existence(backend)
        await asyncio.to_thread(backend.check_schema)
    client = Client(backend, default_registry, backend.clock, RandomIds())
    try:
        link = await client.link()
        yield Session(backend, client, link.store)
    finally:
        client.close()
        backend.release(client)


def named_backend(settings: Settings) -> DatabaseBackend:
    if settings.database is None:
        raise NotConfiguredError(
            "no database is named",
            fix=f"stent --db app.db ..., or set {DATABASE_URL_VARIABLE}, such as sqlite:///app.db",
        )
    return backend_of(settings.database)


def check_existence(backend: DatabaseBackend) -> None:
    """That there is a file, if the database is one."""
    if isinstance(backend, SQLiteBackend) and not os.path.exists(backend.path):
        raise StoreUnavailableError(
            f"there is no database {backend.path}",
            fix=f"is --db (or {DATABASE_URL_VARIABLE}) right? `stent run` and `stent worker` make a new one",
            path=backend.path,
        )


def settings_of(context: click.Context) -> Settings:
    return context.ensure_object(Settings)

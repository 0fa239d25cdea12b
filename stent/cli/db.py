"""`stent db`: the tables of a database, brought up to date or only looked at."""

from __future__ import annotations

import asyncio

import click

from stent.backends import DatabaseBackend
from stent.cli import exits
from stent.cli.session import check_existence, named_backend, settings_of
from stent.cli.terminal import note, report, write, write_json
from stent.history.records import SchemaState


@click.command()
@click.argument("action", type=click.Choice(["upgrade", "status"]))
@click.option(
    "--sql", "as_sql", is_flag=True, help="Print the statements that are still to be carried out, do nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Where it stands, as JSON.")
@click.pass_context
def db(context: click.Context, action: str, as_sql: bool, as_json: bool) -> int:
    """Create or migrate the tables (upgrade), or say where they stand (status: exit code 4 unless up to date)."""
    backend = named_backend(settings_of(context))
    if action == "upgrade" and not as_sql:
        asyncio.run(backend.init_db())
    else:
        check_existence(backend)
    state = backend.schema_state()
    if as_json:
        write_json({"url": backend.url, "version": state.version, "wanted": state.wanted, "ok": state.is_current})
    elif as_sql and state.refusal is None:
        write("".join(f"{statement};\n" for statement in _transaction(state)).rstrip("\n"))
    else:
        _tell(backend, state)
    is_good = state.is_current or (action == "upgrade" and state.refusal is None)
    return exits.OK if is_good else exits.STORE


def _transaction(state: SchemaState) -> tuple[str, ...]:
    """All of it or nothing, as `upgrade` does it."""
    return ("BEGIN", *state.statements, "COMMIT") if state.statements else ()


def _tell(backend: DatabaseBackend, state: SchemaState) -> None:
    if state.refusal is not None:
        report(state.refusal)
    elif state.version is None:
        note(f"there are no tables of Stent in {backend.url}: stent db upgrade makes them")
    elif state.is_current:
        write(f"{backend.url} is up to date: schema version {state.version}")
    else:
        write(f"{backend.url} has schema version {state.version}, wanted is {state.wanted}: stent db upgrade")

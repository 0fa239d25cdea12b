"""`stent patches`: the patches of a database, as a table and as JSON."""

from __future__ import annotations

from tests.cli.conftest import APP, Cli, data


def test_a_patch_of_a_live_run_and_one_of_an_ended_one(cli: Cli) -> None:
    assert 6 == cli("run", f"{APP}:patched", '["waits", true]', "--id", "live", "--timeout", "300ms").exit_code
    assert 0 == cli("run", f"{APP}:patched", '["ended", false]', "--id", "over").exit_code
    first, second = data(cli("patches", "--json"))
    assert ("ended", "old side only", [], ["live"], 1) == tuple(
        first[name] for name in ("change", "verdict", "live", "others", "ended")
    )
    assert ("waits", "old side is dead", ["live"]) == (second["change"], second["verdict"], second["live"])
    table = cli("patches").stdout
    for part in ("PATCH", "waits", "patched"):
        assert part in table


def test_a_database_without_patches(shop: Cli) -> None:
    result = shop("patches")
    assert (0, "", "no run has recorded a patch\n") == (result.exit_code, result.stdout, result.stderr)
    assert [] == data(shop("patches", "--json"))

"""`stent export`: a file that opens elsewhere."""

from __future__ import annotations

from pathlib import Path

from stent.inspect.portable import loads
from tests.cli.conftest import APP, Cli


def test_the_file_holds_the_history_and_replays_without_a_database(shop: Cli, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(shop("export", "done-1").stdout)
    assert 8 == len(loads(file.read_bytes()))
    (tmp_path / "shop.db").unlink()
    result = shop("replay", str(file), "--app", APP)
    assert (0, "1 history: 1 fit\n") == (result.exit_code, result.stdout)


def test_an_unknown_run_is_not_found(shop: Cli) -> None:
    assert 3 == shop("export", "nonsense").exit_code

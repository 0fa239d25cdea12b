"""`./dev mutants`: plants every bug of the table, says which were caught; the status is 1 if one was not."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.mutants.running import run_all
from tests.mutants.table import MUTANTS
from tests.mutants.verdicts import Result, as_json, as_text

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose id or file has one of these words")
    parser.add_argument("--list", action="store_true", help="say what there is and what it breaks; run nothing")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="how many to try at a time (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    given = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if _is_meant(mutant.id, mutant.file, given.words)]
    if not chosen:
        parser.error("no mutant has one of these words; --list shows them all")
    if given.list:
        _say("\n".join(f"{mutant.id:44} {mutant.breaks}" for mutant in chosen))
        return 0
    report = run_all(ROOT, chosen, at_once=max(1, given.at_once), tell=_tell)
    if given.json is not None:
        given.json.write_text(as_json(report) + "\n", encoding="utf-8")
    _say(f"\n{as_text(report)}")
    return 0 if report.is_good else 1


def _is_meant(name: str, file: str, words: list[str]) -> bool:
    return not words or any(word in name or word in file for word in words)


def _tell(result: Result) -> None:
    sys.stderr.write("." if result.verdict == "caught" else f"\n{result.id} {result.verdict}\n")
    sys.stderr.flush()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())

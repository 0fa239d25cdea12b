"""Stalled runs that one change has stalled are one group, however many they are."""

from __future__ import annotations

from dataclasses import replace

from stent.inspect.stalls import site_in, stall_groups
from tests.inspect.test_patches import RUN

REPORT = """\
[STN101] run {run} of order() cannot go on with this code.
  history  seq 2, call 1    pay({item})    shop/orders.py:{line} in order(), recorded 2026-11-01
  code     call 1           ship({item})   shop/orders.py:{now} in order()
"""


def stalled(run: str, line: int = 7, now: int = 8, version: str | None = None, item: int = 1) -> object:
    report = REPORT.format(run=run, line=line, now=now, item=item)
    return replace(RUN, run_id=run, status="stalled", stall=report), version


def groups(*runs: object) -> list[tuple[int, str | None, str | None, str | None]]:
    return [
        (len(each.run_ids), each.version, each.recorded_site, each.code_site)
        for each in stall_groups(runs)  # type: ignore[arg-type]  # made above
    ]


def test_runs_at_one_place_are_one_group_whatever_their_arguments() -> None:
    was, now = "shop/orders.py:7 in order()", "shop/orders.py:8 in order()"
    assert [(2, None, was, now)] == groups(stalled("r1", item=1), stalled("r2", item=2))


def test_another_place_or_another_version_is_another_group_and_the_largest_comes_first() -> None:
    found = groups(stalled("r1", now=9), stalled("r2"), stalled("r3"), stalled("r4", version="2"))
    assert [2, 1, 1] == [count for count, *_ in found]
    assert {None, "2"} == {version for _, version, *_ in found}


def test_reasons_without_a_place_are_told_apart_by_their_words_but_for_the_id() -> None:
    def broken(run: str, text: str) -> tuple[object, None]:
        return replace(RUN, run_id=run, status="stalled", stall=text), None

    found = stall_groups([broken("r1", "run r1 is odd"), broken("r2", "run r2 is odd"), broken("r3", "no")])  # type: ignore[list-item]  # made above
    assert [["r1", "r2"], ["r3"]] == [each.run_ids for each in found]
    assert "run r1 is odd" == found[0].facts()["reason"]


def test_a_line_that_names_no_place_has_none() -> None:
    assert site_in("  history  nothing more after seq 3\n", "history") is None
    assert "a.py:1 in f()" == site_in("  code  call 1  x(b.py:2 in g())  a.py:1 in f()", "code")

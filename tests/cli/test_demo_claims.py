"""The demo's claims can fail: each one does where it is not true."""

from __future__ import annotations

import pytest

from stent.cli.demo_claims import Claim, Kill, batch_claim, bodies_in, claims_about, kill_of, recorded_in
from stent.history.events import BatchItemsCompleted, BatchScheduled, CallCompleted, Event
from tests.inspect.literals import call, history, payload

DONE = payload(None)
A, B, C = (1, -1), (2, -1), (3, -1)


def completed(*numbers: int) -> list[Event]:
    return history(*[call(number) for number in (1, 2, 3)], *[CallCompleted(0, 0, number, DONE) for number in numbers])


def batch(*ranges: tuple[int, int]) -> list[Event]:
    scheduled = BatchScheduled(0, 0, 1, "shop:pay", 4, payload([]), "activity")
    return history(scheduled, *[BatchItemsCompleted(0, 0, 1, (each,), payload([])) for each in ranges])


def test_what_is_recorded_is_read_from_the_history() -> None:
    assert [A, C] == recorded_in(completed(1, 3))
    assert [(1, 0), (1, 1), (1, 3)] == recorded_in(batch((0, 2), (3, 4)))


def test_bodies_are_read_from_the_ledger_run_by_run() -> None:
    assert [(1, -1), (1, 5)] == bodies_in("mine 1 -1\nother 1 -1\nmine 1 5\n", "mine")


def test_what_had_begun_without_a_record_was_in_flight() -> None:
    assert Kill(frozenset({A}), frozenset({B})) == kill_of(completed(1), [A, B])


def holds(kill: Kill, bodies: list[tuple[int, int]], events: list[Event]) -> list[bool]:
    return [claim.holds for claim in claims_about(kill, events, bodies, 3)]


KILL = Kill(frozenset({A}), frozenset({B}))


@pytest.mark.parametrize(
    ("what", "kill", "bodies", "events", "expected"),
    [
        ("as it must be", KILL, [A, B, B, C], completed(1, 2, 3), [True, True, True, True]),
        ("too early", Kill(frozenset(), frozenset({B})), [A, B, B, C], completed(1, 2, 3), [False, True, True, True]),
        (
            "nothing in flight",
            Kill(frozenset({A}), frozenset()),
            [A, B, C],
            completed(1, 2, 3),
            [False, True, True, True],
        ),
        ("a finished one again", KILL, [A, A, B, B, C], completed(1, 2, 3), [True, False, False, True]),
        ("a new one twice", KILL, [A, B, B, C, C], completed(1, 2, 3), [True, True, False, True]),
        ("a lost result", KILL, [A, B, B, C], completed(1, 2), [True, True, True, False]),
        ("a result twice", KILL, [A, B, B, C], completed(1, 2, 3, 3), [True, True, True, False]),
        ("a result without a body", KILL, [A, B, B], completed(1, 2, 3), [True, True, False, False]),
        ("in flight but not again", KILL, [A, B, C], completed(1, 2, 3), [True, True, False, True]),
    ],
)
def test_each_claim_fails_where_it_is_not_true(
    what: str, kill: Kill, bodies: list[tuple[int, int]], events: list[Event], expected: list[bool]
) -> None:
    assert (what, expected) == (what, holds(kill, bodies, events))


def test_a_map_is_one_event() -> None:
    assert batch_claim(batch((0, 4)), 4).holds
    assert not batch_claim(batch((0, 4)), 5).holds
    assert Claim("3 items were scheduled by 0 events (BatchScheduled); the history has 4 in all", False) == batch_claim(
        completed(), 3
    )

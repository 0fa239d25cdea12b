"""The net under the hints: an alarm that a look puts off."""

from __future__ import annotations

import pytest

from stent.clock import ManualClock
from stent.worker.polling import PEERS_US, Poll


@pytest.mark.parametrize(
    ("interval_us", "has_peers", "expected_us"),
    [
        (200_000, False, 200_000),
        (200_000, True, 200_000),
        (60_000_000, False, 60_000_000),
        (60_000_000, True, PEERS_US),
    ],
)
def test_it_rings_once_when_nobody_has_looked_for_an_interval(
    interval_us: int, has_peers: bool, expected_us: int
) -> None:
    clock, rung = ManualClock(), list[int]()
    poll = Poll(clock, interval_us, lambda: rung.append(clock.now_us()))
    began_us = clock.now_us()
    poll.looked(has_peers)
    clock.advance(10 * interval_us)
    assert [began_us + expected_us] == rung


def test_a_look_puts_it_off() -> None:
    clock, rung = ManualClock(), list[int]()
    poll = Poll(clock, 1_000, lambda: rung.append(clock.now_us()))
    for _ in range(5):
        poll.looked(has_peers=False)
        clock.advance(999)
    assert [] == rung
    clock.advance(1)
    assert [clock.now_us()] == rung


def test_stopped_it_does_not_ring() -> None:
    clock, rung = ManualClock(), list[int]()
    poll = Poll(clock, 1_000, lambda: rung.append(clock.now_us()))
    poll.looked(has_peers=True)
    poll.stop()
    clock.advance(10_000)
    assert [] == rung

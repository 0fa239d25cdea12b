"""Who knows the first run of a chain reaches the one that goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stent import RunCancelledError, Stent
from stent.backends import SQLiteBackend
from stent.errors import RunFinishedError
from stent.history.events import RunContinuedAsNew, SignalReceived

PATIENCE_S = 10


@Stent.durable
async def relay(round_: int = 1, rounds: int = 3) -> list[Any]:
    """Each run of the chain reads one signal."""
    item = await Stent.wait_for_signal("item")
    if round_ < rounds:
        Stent.continue_as_new(round_ + 1, rounds)
    return [round_, item]


async def until_continued(executor: Stent, run_id: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not isinstance((await executor.history_of(run_id))[-1], RunContinuedAsNew):  # noqa: ASYNC110  # it is looked at from outside
            await asyncio.sleep(0.001)


async def start_a_chain(executor: Stent) -> None:
    """Two runs of it are over, the third one waits."""
    await executor.dispatch(relay, id="chain")
    for sent, run_id in (("a", "chain"), ("b", "chain~2")):
        assert await executor.send_signal("chain", "item", sent, key=sent)
        await until_continued(executor, run_id)


async def test_a_signal_to_the_first_run_reaches_the_last(executor: Stent) -> None:
    await start_a_chain(executor)
    assert await executor.send_signal("chain", "item", "c")
    assert [3, "c"] == (await executor.wait_for("chain", expiry=PATIENCE_S)).unwrap()


async def test_a_key_that_any_run_of_the_chain_has_received_is_known(executor: Stent) -> None:
    await start_a_chain(executor)
    assert [False, False] == [await executor.send_signal("chain", "item", sent, key=sent) for sent in ("a", "b")]
    assert [True, False] == [await executor.send_signal("chain", "item", "c", key="c") for _ in range(2)]
    assert [3, "c"] == (await executor.wait_for("chain", expiry=PATIENCE_S)).unwrap()


async def test_cancelling_the_first_run_stops_the_last(executor: Stent) -> None:
    await start_a_chain(executor)
    assert await executor.cancel("chain", "enough")
    assert RunCancelledError is type((await executor.wait_for("chain", expiry=PATIENCE_S)).error)
    assert ["completed", "cancelled"] == [await executor.state_of(run_id) for run_id in ("chain", "chain~3")]
    assert not await executor.cancel("chain")


async def test_a_chain_that_has_ended_takes_nothing(executor: Stent) -> None:
    await start_a_chain(executor)
    await executor.send_signal("chain", "item", "c")
    await executor.wait_for("chain", expiry=PATIENCE_S)
    with pytest.raises(RunFinishedError, match="run chain has ended"):
        await executor.send_signal("chain", "item", "d")
    with pytest.raises(RunFinishedError):
        await executor.send_signal("chain", "item", "d", key="d")
    assert await executor.cancel("chain") is False


async def test_signals_that_wait_go_through_the_whole_chain_in_order(backend: SQLiteBackend) -> None:
    client = Stent(backend)
    await client.dispatch(relay, rounds=5, id="chain")
    for number in range(5):
        await client.send_signal("chain", "item", number, key=f"{number}")
    async with Stent.bootstrap(backend) as executor:
        assert [5, 4] == (await executor.wait_for("chain", expiry=PATIENCE_S)).unwrap()
        for place, run_id in enumerate(("chain", "chain~2", "chain~3", "chain~4", "chain~5")):
            history = await executor.history_of(run_id)
            received = [event.key for event in history if isinstance(event, SignalReceived)]
            assert f"signal-{place}" == received[0], run_id
    await client.shutdown()


@pytest.mark.slow
async def test_nothing_is_lost_while_the_chain_goes_on(executor: Stent) -> None:
    """Signals are put in while the run ends, and arrive each once and in order: each run reads one of them."""
    await executor.dispatch(relay_all, 60, id="chain")
    sent = await asyncio.gather(*[send_all(executor, name, 30) for name in ("a", "b")])
    assert [[True] * 30] * 2 == sent
    assert [["a", n] for n in range(30)] + [["b", n] for n in range(30)] == sorted(
        (await executor.wait_for("chain", expiry=30)).unwrap()
    )


@Stent.durable
async def relay_all(left: int, found: list[Any] | None = None) -> list[Any]:
    found = [*(found or []), await Stent.wait_for_signal("item")]
    if left > 1:
        Stent.continue_as_new(left - 1, found)
    latest: dict[str, int] = {}
    for name, number in found:
        assert latest.get(name, -1) < number, found
        latest[name] = number
    return found


async def send_all(executor: Stent, name: str, count: int) -> list[bool]:
    return [await executor.send_signal("chain", "item", [name, number]) for number in range(count)]

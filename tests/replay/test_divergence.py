"""Changed code against an old history: each kind of change is found at its first command, and told by both places."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from stent.durable import calls as ask
from stent.errors import DivergenceError
from stent.replay.replayer import fits, replay
from tests.replay.driver import Drive, check_replays, durable, finish, record, start


@durable
async def validate_order(order: int) -> int: ...


@durable
async def load_customer(order: int) -> int: ...


@durable
async def charge_card(order: int, details: Any = None) -> int: ...


@durable
async def reserve_stock(sku: str) -> int: ...


@durable
async def notify(order: int) -> int: ...


class Then:
    """The code that recorded the history."""

    @staticmethod
    async def checkout(order: int) -> int:
        await validate_order(order)
        await load_customer(order)
        await charge_card(order, {"amount": 7, "items": ["a", "b"]})
        await notify(order)
        return order


def recorded(body: Any, calls: int | None = None, run_id: str = "order-8f2") -> Drive:
    """A run of the old code, to its end or with so many calls answered."""
    drive = Drive(durable(body, name="shop:checkout"), 42, run_id=run_id)
    drive.start()
    if calls is None:
        return finish(drive)
    for call in range(1, calls + 1):
        drive.complete(call)
    return drive


def divergence(then: Any, now: Any, calls: int | None = None) -> DivergenceError:
    """The error of the new code with the history of the old one. Nothing of the history is changed by it."""
    drive = recorded(then, calls)
    before = list(drive.history)
    error = fits(record(durable(now, name="shop:checkout")), drive.history)
    assert error is not None, "the code does not fit"
    assert before == drive.history
    drive.close()
    return error


def report(error: DivergenceError) -> str:
    """The report with the line numbers left out."""
    return re.sub(r"\.py:\d+", ".py:LINE", str(error))


def test_the_report_of_an_inserted_call() -> None:
    async def checkout(order: int) -> int:
        await validate_order(order)
        await load_customer(order)
        await reserve_stock("A1")
        await charge_card(order, {"amount": 7, "items": ["a", "b"]})
        return order

    error = divergence(Then.checkout, checkout)
    assert """\
[STN101] run order-8f2 of checkout() cannot go on with this code.
  history  seq 6, call 3    charge_card(42, {'amount': 7, 'items': ['a', 'b']}) replay/test_divergence.py:LINE in \
Then.checkout(), recorded 2025-06-15
  code     call 3           reserve_stock('A1')                      replay/test_divergence.py:LINE in \
test_the_report_of_an_inserted_call.<locals>.checkout()
  calls    1 validate_order =   2 load_customer =   + reserve_stock   3 charge_card   4 notify
Nothing was written. The run is stalled, not failed.
  fix 1    guard the change:  if Stent.patched('reserve_stock'): ...
  fix 2    look at it:        stent show order-8f2
  fix 3    put fitting code back: the run goes on by itself""" == report(error).replace("tests/replay/", "replay/")
    assert ("order-8f2", "shop:checkout", "function", 6, 3) == (
        error.run_id,
        error.function,
        error.kind,
        error.seq,
        error.call,
    )


def test_both_call_sites_are_the_users_own_lines() -> None:
    async def checkout(order: int) -> int:
        await validate_order(order)
        return int(await charge_card(order))

    error = divergence(Then.checkout, checkout)
    line = Then.checkout.__code__.co_firstlineno
    assert f"tests/replay/test_divergence.py:{line + 3} in Then.checkout()" == error.expected["site"]
    line = checkout.__code__.co_firstlineno
    assert error.actual["site"].startswith(f"tests/replay/test_divergence.py:{line + 2} in ")


def test_expected_and_actual_are_data() -> None:
    async def checkout(order: int) -> int:
        return int(await asyncio.gather(notify(order), asyncio.sleep(1))[0])  # type: ignore[index]

    error = divergence(Then.checkout, checkout)
    assert {
        "type": "CallScheduled",
        "seq": 2,
        "call": 1,
        "function": "shop:validate_order",
        "text": "validate_order(42)",
        "path": "0",
    } == {name: fact for name, fact in error.expected.items() if name != "site"}
    assert {
        "type": "CallScheduled",
        "seq": None,
        "call": 1,
        "function": "shop:notify",
        "text": "notify(42)",
        "path": "0",
    } == {name: fact for name, fact in error.actual.items() if name != "site"}


# -- one kind of change each: (new code, kind, where the history says it, the words for the difference) --------------


async def replaced(order: int) -> int:
    await validate_order(order)
    await notify(order)
    return order


async def swapped(order: int) -> int:
    await load_customer(order)
    await validate_order(order)
    return order


async def removed(order: int) -> int:
    await validate_order(order)
    await charge_card(order, {"amount": 7, "items": ["a", "b"]})
    return order


async def changed_argument(order: int) -> int:
    await validate_order(order)
    await load_customer(order)
    await charge_card(order, {"amount": 7, "items": ["a", "c"]})
    return order


async def changed_kind(order: int) -> int:
    await validate_order(order)
    await asyncio.sleep(5)
    return order


async def earlier_return(order: int) -> int:
    await validate_order(order)
    return order


async def waits_for_less(order: int) -> int:
    await validate_order(order)
    call = load_customer(order)
    call.cancel()
    await notify(order)
    return order


async def raises(order: int) -> int:
    await validate_order(order)
    raise ValueError(order)


async def changed_result(order: int) -> int:
    await Then.checkout(order)
    return order + 1


async def one_more_at_once(order: int) -> int:
    await validate_order(order)
    await asyncio.gather(load_customer(order), notify(order))
    return order


async def never_comes(order: int) -> int:
    await validate_order(order)
    first = load_customer(order)
    second = charge_card(order, {"amount": 7, "items": ["a", "b"]})
    await first
    return int(await second)


@pytest.mark.parametrize(
    ("now", "kind", "seq", "expected", "actual", "difference"),
    [
        (replaced, "function", 4, "load_customer(42)", "notify(42)", None),
        (swapped, "function", 2, "validate_order(42)", "load_customer(42)", None),
        (removed, "function", 4, "load_customer(42)", "charge_card(42, {'amount': 7, 'items': ['a', 'b']})", None),
        (
            changed_argument,
            "arguments",
            6,
            "charge_card(42, {'amount': 7, 'items': ['a', 'b']})",
            "charge_card(42, {'amount': 7, 'items': ['a', 'c']})",
            "args[1]['items'][1]: 'b' was recorded, now 'c'",
        ),
        (changed_kind, "kind", 4, "load_customer(42)", "sleep", None),
        (earlier_return, "kind", 4, "load_customer(42)", "return 42", None),
        (waits_for_less, "extra", 5, None, "cancel call 2", None),
        (raises, "kind", 4, "load_customer(42)", None, None),
        (changed_result, "result", 10, "return 42", "return 43", "result: 42 was recorded, now 43"),
        (one_more_at_once, "extra", 5, None, "notify(42)", None),
        (never_comes, "extra", 5, None, "charge_card(42, {'amount': 7, 'items': ['a', 'b']})", None),
    ],
)
def test_each_kind_of_change_is_found_at_its_first_command(
    now: Any, kind: str, seq: int, expected: str | None, actual: str | None, difference: str | None
) -> None:
    error = divergence(Then.checkout, now)
    assert (kind, difference) == (error.kind, error.difference)
    assert expected == (error.expected["text"] if error.expected else None)
    if actual is not None:
        assert actual == error.actual["text"]
    if expected is not None:
        assert seq == error.seq


def test_a_renamed_function_is_another_function() -> None:
    @durable(name="shop:check_order")
    async def renamed(order: int) -> int: ...

    async def checkout(order: int) -> int:
        return int(await renamed(order))

    error = divergence(Then.checkout, checkout)
    assert ("function", "validate_order(42)", "check_order(42)") == (
        error.kind,
        error.expected["text"],
        error.actual["text"],
    )


def test_a_command_that_no_longer_comes_is_a_divergence_too() -> None:
    async def then(order: int) -> None:
        await asyncio.gather(validate_order(order), notify(order), asyncio.sleep(9))

    async def now(order: int) -> None:
        await validate_order(order)

    error = divergence(then, now, calls=0)
    assert ("missing", "notify(42)", None) == (error.kind, error.expected["text"], error.actual)
    assert "  code     waits or ends after seq 1 RunStarted" in str(error)
    assert "  calls    1 validate_order =   2 notify   3 sleep" in str(error)


def test_an_extra_command_in_the_middle_is_shown_between_its_neighbours() -> None:
    error = divergence(Then.checkout, one_more_at_once)
    assert "  history  nothing more after seq 3 CallCompleted" in str(error)
    assert "  calls    1 validate_order =   2 load_customer =   + notify   3 charge_card   4 notify" in str(error)


def test_a_map_of_another_size_or_with_other_items() -> None:
    async def then(order: int) -> None:
        await ask.map(notify, [1, 2, 3])

    async def larger(order: int) -> None:
        await ask.map(notify, [1, 2, 3, 4])

    async def other_items(order: int) -> None:
        await ask.map(notify, [1, 5, 3])

    async def other_function(order: int) -> None:
        await ask.map(validate_order, [1, 2, 3])

    error = divergence(then, larger)
    assert ("arguments", "items: 3 were recorded, now 4") == (error.kind, error.difference)
    assert "map(notify, 3 items)" == error.expected["text"]
    assert "items[1][0]: 2 was recorded, now 5" == divergence(then, other_items).difference
    assert ("function", None) == (divergence(then, other_function).kind, divergence(then, other_function).difference)


def test_a_cancel_that_no_longer_comes_and_one_of_another_call() -> None:
    async def then(order: int) -> None:
        first, second = validate_order(order), notify(order)
        first.cancel()
        await second

    async def none(order: int) -> None:
        validate_order(order)
        await notify(order)

    async def other(order: int) -> None:
        first, second = validate_order(order), notify(order)
        second.cancel()
        await first

    assert ("missing", "cancel call 1") == (divergence(then, none, 0).kind, divergence(then, none, 0).expected["text"])
    error = divergence(then, other, 0)
    assert ("call", "cancel call 1", "cancel call 2") == (error.kind, error.expected["text"], error.actual["text"])


def test_another_signal() -> None:
    async def then(order: int) -> None:
        await ask.wait_for_signal("approve")

    async def now(order: int) -> None:
        await ask.wait_for_signal("approved")

    error = divergence(then, now, 0)
    assert ("name", "wait_for_signal('approve')", "wait_for_signal('approved')") == (
        error.kind,
        error.expected["text"],
        error.actual["text"],
    )


def test_a_patch_that_was_taken_out_again() -> None:
    async def then(order: int) -> None:
        if ask.patched("greet"):
            await notify(order)

    async def now(order: int) -> None:
        await notify(order)

    error = divergence(then, now, 0)
    assert ("kind", "patched('greet')") == (error.kind, error.expected["text"])


def test_other_arguments_for_the_next_run() -> None:
    async def then(order: int) -> None:
        ask.continue_as_new(1)

    async def now(order: int) -> None:
        ask.continue_as_new(2)

    error = divergence(then, now)
    assert ("arguments", "args[0]: 1 was recorded, now 2") == (error.kind, error.difference)


def test_calls_after_all_that_is_recorded_are_new_work() -> None:
    async def longer(order: int) -> int:
        await validate_order(order)
        await load_customer(order)
        await reserve_stock("A1")
        return order

    async def shorter(order: int) -> int:
        await validate_order(order)
        await load_customer(order)
        return order

    drive = recorded(shorter, calls=1)
    replayed = replay(record(durable(longer, name="shop:checkout")), drive.history)
    assert [] == replayed.commands
    drive.execution.close()
    drive.execution = replayed.execution
    assert ["3 reserve_stock('A1')"] == drive.complete(2)
    drive.close()


def test_calls_added_at_the_end_of_the_last_turn_are_new_commands() -> None:
    async def before(order: int) -> None:
        await asyncio.gather(validate_order(order))

    async def after(order: int) -> None:
        await asyncio.gather(validate_order(order), notify(order))

    drive = recorded(before, calls=0)
    replayed = replay(record(durable(after, name="shop:checkout")), drive.history)
    assert ["ScheduleCall"] == [type(command).__name__ for command in replayed.commands]
    replayed.execution.close()


def test_work_after_the_recorded_end_is_a_divergence() -> None:
    async def then(order: int) -> int:
        await validate_order(order)
        return order

    async def now(order: int) -> int:
        await validate_order(order)
        await notify(order)
        return order

    error = divergence(then, now)
    assert ("kind", "return 42", "notify(42)") == (error.kind, error.expected["text"], error.actual["text"])


def test_the_first_difference_is_reported_not_what_the_body_does_after_it() -> None:
    async def then(order: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(validate_order(order))
            group.create_task(load_customer(order))
            await notify(order)

    async def now(order: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(validate_order(order))
                group.create_task(load_customer(order + 1))
                await notify(order)
        except BaseException:  # whatever it catches, its first difference counts
            await charge_card(order)

    error = divergence(then, now, 0)
    assert ("arguments", 2, "args[0]: 42 was recorded, now 43") == (error.kind, error.call, error.difference)


def test_a_divergence_writes_nothing_and_the_old_code_goes_on() -> None:
    drive = start(durable(Then.checkout, name="shop:checkout"), 42)
    with pytest.raises(DivergenceError):
        replay(record(durable(swapped, name="shop:checkout")), drive.history)
    finish(drive)
    check_replays(drive.function, drive.history)


def test_only_the_text_of_an_error_may_change() -> None:
    async def then(order: int) -> None:
        raise ValueError("old words")

    async def now(order: int) -> None:
        raise ValueError("new words")

    assert fits(record(durable(now, name="shop:checkout")), recorded(then).history) is None

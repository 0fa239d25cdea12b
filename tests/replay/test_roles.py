"""Who refers to something durable is an orchestrator; everybody else is an activity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stent.durable import calls as ask, gathering
from stent.replay.roles import durable_call, first_durable_reference, is_durable, predict_role
from tests.replay.driver import durable, function_of


@durable
async def pay(amount: int) -> int:
    return amount


HANDLERS = {"pay": pay}


class Stent:
    """As the facade exports them."""

    sleep = staticmethod(ask.sleep)
    gather = staticmethod(gathering.gather)


async def calls_another() -> None:
    await pay(1)


async def sleeps_durably() -> None:
    await Stent.sleep(1)


async def maps() -> None:
    await ask.map(pay, [1])


async def waits_for_a_signal() -> None:
    await ask.wait_for_signal("go")


async def asks_for_the_time() -> Any:
    return ask.now()


async def dispatches(name: str) -> Any:
    return await HANDLERS[name](1)


async def only_sleeps() -> None:
    await asyncio.sleep(1)


async def only_gathers() -> None:
    await Stent.gather(only_sleeps(), only_sleeps())


def plain_def() -> Any:
    return pay(1)


@pytest.mark.parametrize(
    ("body", "role"),
    [
        (calls_another, "orchestrator"),
        (sleeps_durably, "orchestrator"),
        (maps, "orchestrator"),
        (waits_for_a_signal, "orchestrator"),
        (asks_for_the_time, "orchestrator"),
        (dispatches, "orchestrator"),
        (only_sleeps, "activity"),
        (only_gathers, "activity"),
        (plain_def, "activity"),
    ],
)
def test_the_role_is_predicted_from_the_code(body: Callable[..., Any], role: str) -> None:
    assert role == predict_role(function_of(body))


def test_a_declared_role_is_obeyed() -> None:
    assert "activity" == predict_role(function_of(calls_another, role="activity"))
    assert "orchestrator" == predict_role(function_of(only_sleeps, role="orchestrator"))


def test_a_correction_is_remembered() -> None:
    function = function_of(calls_another)
    assert "orchestrator" == predict_role(function)
    function.role_hint = "activity"
    assert "activity" == predict_role(function)


def test_the_first_durable_reference_names_its_line() -> None:
    reference = first_durable_reference(function_of(calls_another))
    assert reference is not None
    assert calls_another.__code__.co_firstlineno + 1 == reference.site.line


def test_a_marked_library_function_is_a_durable_call() -> None:
    @durable_call
    def marked() -> None: ...

    assert is_durable(marked)
    assert is_durable(staticmethod(marked))
    assert not is_durable(print)

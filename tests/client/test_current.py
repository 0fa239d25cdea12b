"""Which executor a durable call goes to."""

from __future__ import annotations

import contextvars
from typing import Any, cast

from stent.client.client import Client
from stent.client.current import Current


class Named:
    """Stands for a client; only its identity counts here."""


def client() -> Client:
    return cast("Client", cast("Any", Named()))


def test_the_newest_is_used_and_the_one_before_it_comes_back() -> None:
    current, first, second = Current(), client(), client()
    current.push(first)
    current.push(second)
    assert second is current.get()
    current.remove(second)
    assert first is current.get()
    current.clear()
    assert None is current.get()


def test_another_context_sees_what_is_configured() -> None:
    current, only = Current(), client()
    contextvars.Context().run(current.push, only)
    assert only is current.get()
    assert only is contextvars.Context().run(current.get)


def test_a_context_of_its_own_comes_first() -> None:
    current, mine, others = Current(), client(), client()
    context = contextvars.Context()
    context.run(current.push, mine)
    current.push(others)
    assert mine is context.run(current.get)
    current.remove(mine)
    assert others is context.run(current.get)

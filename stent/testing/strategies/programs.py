"""Random orchestrators that end by themselves, for whatever works on runs to be tried on."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st

from stent.app import Stent
from stent.testing.strategies.interpreter import Interpreter, Node, told_error

__stent_program__ = True

PARTS_AT_MOST = 8
FAILING = 9
"""The number that the activity of a program does not take."""

NUMBERS = st.integers(0, FAILING)
SECONDS = st.sampled_from([0.5, 1.0, 2.5, 60.0])
SIGNALS = ("red", "green")

LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.tuples(st.just("call"), NUMBERS),
    st.tuples(st.just("call"), NUMBERS),
    st.tuples(st.just("sleep"), SECONDS),
    st.tuples(st.just("signal_in_time"), st.sampled_from(SIGNALS), SECONDS),
    st.tuples(st.just("map"), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("stream"), st.integers(0, 4)),
    st.tuples(st.just("early"), st.lists(NUMBERS, min_size=1, max_size=3), SECONDS),
    st.tuples(st.just("in_set_order"), st.lists(NUMBERS, min_size=2, max_size=6)),
    st.tuples(st.just("generator"), st.integers(0, 2)),
    st.tuples(st.just("forget"), NUMBERS),
    st.tuples(st.just("get")),
    st.tuples(st.just("raise"), st.sampled_from(["a", "b"])),
).map(list)


@Stent.durable(role="activity")
async def act(number: int) -> int:
    """What programs call: ten times the number, and a ValueError for FAILING."""
    if number == FAILING:
        raise ValueError(f"no {number}")
    return number * 10


@Stent.durable(role="orchestrator")
async def run_program(program: list[Any]) -> list[Any]:
    """Run a program; everything that it saw, its value or error at the end. It does not fail."""
    seen: list[Any] = []
    try:
        seen.append(["value", await Interpreter(seen, act, run_program).run(program)])
    except Exception as error:  # border: what the program raises is its answer
        seen.append(["error", told_error(error)])
    return seen


def programs(*, max_parts: int = PARTS_AT_MOST) -> st.SearchStrategy[Node]:
    """Programs for `run_program`, as plain data: calls, maps, timers, signals with a time limit and children, in every
    form of asyncio (gather, wait, TaskGroup, as_completed, timeout, shield, locks, queues ...), nested in one another.

    Each ends by itself, and does the same on every replay. Failing examples shrink to a single call.
    """
    return st.recursive(LEAVES | under_lock(LEAVES), compound, max_leaves=max_parts)


def under_lock(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Programs with a lock or a semaphore around them. Within another one of these they would wait for themselves."""
    return st.tuples(st.sampled_from(["locked", "limited"]), nodes).map(list)


def compound(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Programs made of others."""
    many = st.lists(nodes, min_size=1, max_size=4)
    modes = st.sampled_from([asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED])
    return st.one_of(
        st.tuples(st.just("gather"), st.booleans(), many),
        st.tuples(st.just("wait"), modes, many),
        st.tuples(st.just("group"), many),
        st.tuples(st.just("seq"), many),
        st.tuples(st.just("as_completed"), many),
        st.tuples(st.just("gathers_in_a_set"), many),
        st.tuples(st.just("gathers_in_a_set"), many),
        st.tuples(st.just("timeout"), SECONDS, nodes),
        st.tuples(st.just("wait_for"), SECONDS, nodes),
        st.tuples(st.just("shield"), SECONDS, nodes),
        st.tuples(st.just("cancel"), st.integers(0, 2), nodes),
        st.tuples(st.just("finally"), nodes, nodes),
        st.tuples(st.just("try"), nodes, nodes),
        st.tuples(st.just("stubborn"), nodes),
        st.tuples(st.just("met"), many),
        st.tuples(st.just("put"), nodes),
        st.tuples(st.just("child"), nodes),
        st.tuples(st.just("chance"), nodes),
    ).map(list)

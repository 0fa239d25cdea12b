"""A program, and the same after each kind of change. The lines of this file stand in golden reports."""

from __future__ import annotations

import asyncio
from typing import Any

from stent.durable import calls as ask
from tests.replay.driver import durable


@durable(name="shop:validate_order")
async def validate_order(order: int) -> int: ...


@durable(name="shop:check_order")
async def check_order(order: int) -> int: ...


@durable(name="shop:load_customer")
async def load_customer(order: int) -> int: ...


@durable(name="shop:reserve_stock")
async def reserve_stock(sku: str) -> int: ...


@durable(name="shop:charge_card")
async def charge_card(order: int, details: Any) -> int: ...


async def recorded(order: int) -> Any:
    await validate_order(order)
    await load_customer(order)
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def replaced(order: int) -> Any:
    await validate_order(order)
    await reserve_stock("A1")
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def swapped(order: int) -> Any:
    await load_customer(order)
    await validate_order(order)
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def inserted(order: int) -> Any:
    await validate_order(order)
    await load_customer(order)
    await reserve_stock("C3")
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def removed(order: int) -> Any:
    await validate_order(order)
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def renamed(order: int) -> Any:
    await check_order(order)
    await load_customer(order)
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def changed_argument(order: int) -> Any:
    await validate_order(order)
    await load_customer(order)
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "C3"]})


async def changed_kind(order: int) -> Any:
    await validate_order(order)
    await asyncio.sleep(5)
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def earlier_return(order: int) -> Any:
    await validate_order(order)
    return await load_customer(order)


async def extra_cancel(order: int) -> Any:
    await validate_order(order)
    call = load_customer(order)
    call.cancel()
    await ask.map(reserve_stock, ["A1", "B2"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


async def changed_map_size(order: int) -> Any:
    await validate_order(order)
    await load_customer(order)
    await ask.map(reserve_stock, ["A1", "B2", "C3"])
    return await charge_card(order, {"amount": 7, "items": ["A1", "B2"]})


CHANGES = (
    *(replaced, swapped, inserted, removed, renamed),
    *(changed_argument, changed_kind, earlier_return, extra_cancel, changed_map_size),
)

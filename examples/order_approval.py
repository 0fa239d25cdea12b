"""An order that waits for a person: a signal, a deadline, and something to do when nobody answers.

In this folder, in two terminals:

    export STENT_DATABASE_URL=sqlite:///orders.db
    stent worker order_approval                                    # the first one; Ctrl-C drains it
    stent run order_approval:order '[42, 99.5]' --id order-42 --detach

    stent why order-42                                             # what does it wait for?
    stent signal order-42 decision '{"approved": true, "by": "Ada"}'
    stent show order-42
"""

from __future__ import annotations

from stent import Stent

LIMIT = 50.0


@Stent.durable
async def reserve(order_id: int) -> str:
    return f"reservation-{order_id}"


@Stent.durable
async def charge(order_id: int, amount: float) -> str:
    return f"paid {amount:.2f} for order {order_id}"


@Stent.durable
async def release(reservation: str) -> None:
    """Give back what was reserved."""


@Stent.durable
async def order(order_id: int, amount: float) -> str:
    """Small orders pass; for a large one a person has two days to decide."""
    reservation = await reserve(order_id)
    if amount > LIMIT:
        try:
            decision = await Stent.wait_for_signal("decision", timeout="2d")
        except TimeoutError:
            decision = {"approved": False, "by": "nobody"}
        if not decision["approved"]:
            await release(reservation)
            return f"refused by {decision['by']}"
    return await charge(order_id, amount)

"""A module of a user's, for the walk to find its way into."""

from __future__ import annotations

from typing import Any

from tests.replay.driver import durable

NOTHING = None


@durable
async def ship(item: Any) -> Any:
    """A durable function."""
    return item


def plain_helper(item: Any) -> Any:
    """A helper that is neither durable nor calls what is."""
    return item

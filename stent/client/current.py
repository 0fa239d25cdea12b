"""Which executor a durable call outside of any run goes to: the innermost `bootstrap` or `use`."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stent.client.client import Client

_in_context: ContextVar[Client | None] = ContextVar("stent_current_client", default=None)


@dataclass(slots=True)
class Current:
    """The configured clients, newest last.

    A context variable alone would not do: a fixture or a thread that configures an executor and the code that uses it
    often run in different contexts. So the newest configured one is used where the context has none.
    """

    _configured: list[Client] = field(default_factory=list)

    def get(self) -> Client | None:
        client = _in_context.get()
        if client is not None and client in self._configured:
            return client
        return self._configured[-1] if self._configured else None

    def push(self, client: Client) -> None:
        """Use a client from here on."""
        self._configured.append(client)
        _in_context.set(client)

    def remove(self, client: Client) -> None:
        """Use it no longer; what was used before it is used again."""
        if client in self._configured:
            self._configured.remove(client)
        if _in_context.get() is client:
            _in_context.set(None)

    def clear(self) -> None:
        """Use none."""
        self._configured.clear()
        _in_context.set(None)


current = Current()
